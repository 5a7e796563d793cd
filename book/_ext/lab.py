"""The `lab` directive: a figure, a tally or the ledger, drawn by bn.lab from committed records."""

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class Lab(SphinxDirective):
    """```{lab} NAME``` becomes the HTML of `bn.lab.show.html.part(NAME, language)`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        if self.env.app.builder.name == "gettext":  # its words are translated in bn.lab, not in catalogues
            return []
        from bn.lab.show import html as show

        return [nodes.raw("", show.part(self.arguments[0], self.config.language), format="html")]


def setup(app):
    app.add_directive("lab", Lab)
    return {"parallel_read_safe": True}
