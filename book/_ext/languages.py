"""Two editions of one book: the same anchors in both, links between them, words of the other language."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import roles
from sphinx import addnodes
from sphinx.locale import init
from sphinx.transforms import SphinxTransform


class SameEquations(SphinxTransform):
    """Keep display equations out of the catalogues: they are the same in every language."""

    default_priority = 10  # before the transform that translates

    def apply(self):
        for equation in self.document.findall(nodes.math_block):
            equation["translatable"] = False


def label_first(app, doctree):
    """Let a section's explicit label be its anchor: an Arabic heading makes none of its own, only `id3`."""
    labels = {target.get("refid") for target in doctree.findall(nodes.target)}
    for section in doctree.findall(nodes.section):
        section["ids"].sort(key=lambda identifier: identifier not in labels)


def captions(app, doctree):
    """Translate the captions of the contents: they join the index page after Sphinx has translated it."""
    folders = [str(Path(app.srcdir) / folder) for folder in app.config.locale_dirs]
    catalogue, _ = init(folders, app.config.language, "index")
    for contents in doctree.findall(addnodes.toctree):
        if contents.get("caption"):
            contents["caption"] = catalogue.gettext(contents["caption"])


def alternates(app, page, template, context, doctree):
    """Tell search engines where the same page is in each language."""
    for language in ("en", "ar"):
        href = f"{context['content_root']}../{language}/{page}.html"
        link = f'<link rel="alternate" hreflang="{language}" href="{href}" />\n'
        context["metatags"] = context.get("metatags", "") + link


def without_thebe(app, config):
    """Silence an extension of jupyter-book that would load a script from another host."""
    for listeners in app.events.listeners.values():
        listeners[:] = [one for one in listeners if not one.handler.__module__.startswith("sphinx_thebe")]
    app.registry.css_files[:] = [one for one in app.registry.css_files if one[0] != "sphinx-thebe.css"]


def copy_mathjax(app, exception):
    """Put MathJax beside the pages, from the package that carries it: no page asks another host for it."""
    package = Path(find_spec("sphinx-mathjax-offline").origin).parent
    if exception is None and app.builder.format == "html":
        shutil.copy(package / "static" / "mathjax" / "tex-svg.js", Path(app.outdir) / "_static")


def setup(app):
    for language in ("en", "ar"):  # docutils turns the class into lang="…"
        option = {"class": [f"language-{language}"]}
        roles.register_local_role(language, roles.CustomRole(language, roles.generic_custom_role, option, content=[]))
    app.add_transform(SameEquations)
    app.connect("doctree-read", label_first, priority=100)  # before Sphinx collects the table of contents
    app.connect("doctree-read", captions, priority=900)
    app.connect("config-inited", without_thebe)
    app.connect("html-page-context", alternates)
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True}
