"""Terms of the glossary: their definitions for the tooltips, and one name that works in both editions."""

import json
import re

from docutils import nodes
from sphinx.util.nodes import make_refnode


def anchor(name: str) -> str:
    """The glossary's anchor of an English term, whatever its case and its remark in parentheses."""
    return nodes.make_id("term-" + re.sub(r"\s*\(.*?\)", "", name))


def collect(app, doctree):
    """Keep the definition of each term, in the language of the edition."""
    definitions = app.env.__dict__.setdefault("definitions", {})
    for item in doctree.findall(nodes.definition_list_item):
        lines = [paragraph.astext().replace("\n", " ") for paragraph in item.findall(nodes.paragraph)]
        for identifier in [i for term in item.findall(nodes.term) for i in term["ids"]]:
            definitions[identifier] = "\n".join(lines)


def resolve(app, env, node, contnode):
    """Find a term by its English name where the glossary has been translated."""
    if node.get("reftype") != "term":
        return None
    wanted = anchor(node["reftarget"])
    for document, identifier in env.get_domain("std")._terms.values():
        if wanted in (identifier, anchor(identifier.removeprefix("term-"))):
            here = node["refdoc"]
            return make_refnode(app.builder, here, document, identifier, contnode)
    return None


def embed(app, page, template, context, doctree):
    """Write into a page the definitions of the terms it mentions, for book.js to show on hover and focus."""
    if doctree is None or page == "glossary":
        return
    wanted = {ref.get("refuri", "").partition("#")[2] for ref in doctree.findall(nodes.reference)}
    found = {k: v for k, v in getattr(app.env, "definitions", {}).items() if k in wanted}
    if found:
        data = json.dumps(found, ensure_ascii=False).replace("<", "\\u003c")
        context["body"] += f'<script type="application/json" id="bn-definitions">{data}</script>'


def setup(app):
    app.connect("doctree-read", collect)
    app.connect("missing-reference", resolve)
    app.connect("html-page-context", embed)
    return {"parallel_read_safe": False}
