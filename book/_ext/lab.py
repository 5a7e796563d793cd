"""The `lab` directive: a figure, a tally or the ledger, drawn by bn.lab from committed records."""

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class Lab(SphinxDirective):
    """```{lab} NAME OPTION…``` becomes the HTML of `bn.lab.show.pages.part(language, NAME, OPTION…)`."""

    required_arguments = 1
    optional_arguments = 2

    def run(self) -> list[nodes.Node]:
        if self.env.app.builder.name == "gettext":  # its words are in lab.po and claims.po
            return []
        from bn.lab.show import pages

        return [nodes.raw("", pages.part(self.config.language, *self.arguments), format="html")]


def setup(app):
    app.add_directive("lab", Lab)
    return {"parallel_read_safe": True}
