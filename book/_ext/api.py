"""The `api` directive: the signatures and docstrings of `bn`, in English in every edition, and their index.

The role `networks` is for the one thing on that page that was counted: what the functions did to real networks.
"""

import importlib
import inspect
import json
import re
from itertools import groupby
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.util.inspect import signature, stringify_signature

KINDS = {"class": inspect.isclass, "function": inspect.isfunction}
LABELS = "Arguments|Shapes|Types|Returns|Errors|Source"


class English(nodes.General, nodes.Element):
    """A block that stays left to right on an Arabic page."""


class Names(nodes.General, nodes.Element):
    """The place of the index, which is made when the whole page has been read."""


def public(module) -> dict:
    """The public names of `module`: those it exports, or else those it defines without an underscore."""
    names = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__
    ]
    return {name: getattr(module, name) for name in names if not name.startswith("_")}


def kind(value) -> str | None:
    """The Python domain's word for `value`, None where it is neither a class nor a function."""
    return next((word for word, test in KINDS.items() if test(value)), None)


def markdown(docstring: str, names: list[str]) -> str:
    """A docstring as MyST: examples fenced, `names` linked, each of the LABELS at the head of a paragraph."""
    text = re.sub(rf"^({LABELS}):", r"\n**\1:**", inspect.cleandoc(docstring), flags=re.M)
    blocks = re.split(r"\n\s*\n", text)
    link = re.compile(rf"(?<!`)`((?:bn\.)?(?:{'|'.join(names)})(?:\.\w+)?)`(?!`)")
    return "\n\n".join(
        f"```pycon\n{block}\n```" if block.startswith(">>>") else link.sub(r"{py:obj}`\1`", block) for block in blocks
    )


def methods(value) -> dict:
    """The methods of a class that it documents itself."""
    own = {name: getattr(value, name) for name in vars(value) if not name.startswith("_")}
    return {name: m for name, m in own.items() if (inspect.isfunction(m) or inspect.ismethod(m)) and m.__doc__}


def describe(module, name: str, value, word: str, fence: str = "::::::") -> str:
    """A directive of Sphinx's Python domain with the signature of `value` and its own, not inherited, docstring."""
    docstring = value.__dict__.get("__doc__") if word == "class" else value.__doc__
    if not docstring:
        raise ExtensionError(f"{module.__name__}.{name} has no docstring, and a public name of bn needs one")
    is_method = word == "method"
    parameters = signature(value, bound_method=is_method and inspect.isfunction(value))
    lines = [f"{fence}{{py:{word}}} {name}{stringify_signature(parameters, unqualified_typehints=True)}"]
    lines += [":classmethod:"] if is_method and inspect.ismethod(value) else []
    lines += [f":module: {module.__name__}", "", markdown(docstring, sorted(public(module))), ""]
    if word == "class":
        lines += [describe(module, n, method, "method", fence[:-1]) for n, method in methods(value).items()]
    return "\n".join([*lines, fence, ""])


class Api(SphinxDirective):
    """```{api} MODULE NAME…``` becomes the documentation of these names, or of all the public ones."""

    required_arguments = 1
    optional_arguments = 99
    option_spec = {"kind": lambda word: directives.choice(word, list(KINDS))}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        if self.env.app.builder.name == "gettext":  # docstrings stay English: there is nothing to translate
            return []
        module = importlib.import_module(self.arguments[0])
        values = {name: getattr(module, name) for name in self.arguments[1:] or public(module)}
        kinds = [self.options["kind"]] if "kind" in self.options else list(KINDS)
        text = [describe(module, name, value, kind(value)) for name, value in values.items() if kind(value) in kinds]
        block = English(support_smartquotes=False)
        self.state.nested_parse(StringList("\n".join(text).splitlines(), module.__file__), 0, block)
        return [block]


class ApiIndex(SphinxDirective):
    """```{api-index}``` becomes a list of all that the page documents: each name and its first line."""

    def run(self) -> list[nodes.Node]:
        return [] if self.env.app.builder.name == "gettext" else [Names()]


def entry(description: addnodes.desc) -> nodes.definition_list_item:
    """A link to what is described, and the first paragraph of its docstring."""
    head = description[0]
    link = nodes.reference("", "", nodes.literal("", head["fullname"]), refid=head["ids"][0], internal=True)
    first = next(description.findall(nodes.paragraph)).deepcopy()
    return nodes.definition_list_item("", nodes.term("", "", link), nodes.definition("", first))


def fill(app, doctree):
    """Put the index in its place: the names of one module after those of another."""
    for place in list(doctree.findall(Names)):
        block = English(support_smartquotes=False)
        described = [one for one in doctree.findall(addnodes.desc) if one["objtype"] in KINDS]
        for module, group in groupby(described, lambda one: one[0]["module"]):
            block += nodes.paragraph("", "", nodes.literal("", module), classes=["bn-module"])
            block += nodes.definition_list("", *map(entry, group), classes=["bn-names"])
        place.replace_self(block)


class Networks(SphinxRole):
    """{networks}`LIBRARY COUNT` becomes a number of networks.json, which `make test-networks` writes."""

    def run(self) -> tuple[list[nodes.Node], list]:
        from bn.lab.show import numbers

        library, count = self.text.split()
        found = json.loads((Path(self.env.srcdir) / "networks.json").read_text(encoding="utf-8"))
        return [nodes.Text(numbers.number(found["counts"][library][count]))], []


def setup(app):
    start = '<div class="bn-api" dir="ltr" lang="en">'
    visit, depart = lambda self, node: self.body.append(start), lambda self, node: self.body.append("</div>")
    app.add_node(English, html=(visit, depart))
    app.add_directive("api", Api)
    app.add_directive("api-index", ApiIndex)
    app.add_role("networks", Networks())
    app.connect("doctree-read", fill)
    return {"parallel_read_safe": True}
