"""Which code made a result: digests that follow imports.

A training is valid for the module of its trainer and for every module of `bn` that this one imports, directly or not
(`digest`); a rule, for its estimator and for every definition of `bn` that this one names (`digest_of_entry`).
Comments, docstrings and import lines are no part of either, nor are the store, the paths and the checks of parameters,
which compute nothing.

All sources are read once, when the process starts. Where they are others by the time of the question, what runs here
is no longer what stands there, and nothing is filed under either: RunError.
"""

import ast
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import bn
from bn.lab.store import files
from bn.lab.store.files import RunError

_ROOT = Path(bn.__file__).parent
_APART = ("bn.lab.store", "bn.lab.paths", "bn.lab.spec")  # they keep, and check what is asked; neither is a result
_KERNELS = "bn.ops"  # the only door to the Triton kernels, which run on a GPU and nowhere else


def _sources() -> dict[str, str]:
    """The text of each module of bn as it stands now."""
    found = {}
    for folder, _, names in os.walk(_ROOT):  # which takes a third of the time that Path.rglob takes, at each question
        package = Path(folder).relative_to(_ROOT.parent).parts
        for path in filter(os.path.isfile, (os.path.join(folder, name) for name in names if name.endswith(".py"))):
            module, status = os.path.basename(path).removesuffix(".py"), os.stat(path)
            name = ".".join(package if module == "__init__" else (*package, module))
            found[name] = _text(path, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
    return found


@lru_cache(maxsize=1_000)
def _text(path: str, *status: int) -> str:
    return Path(path).read_text("utf-8")


_AT_START = _sources()


def digest(*roots: str, kernels: bool = False) -> str:
    """Digest of modules by name and of all that they import of `bn`; of the kernels only where these are asked for.

    Raises RunError where one of them was changed after this process had started.
    """
    return _digest(_closure_at_start(roots, kernels), lambda sources: closure(roots, sources, kernels), _sources())


def digest_of_entry(module: str, table: str, key: str) -> str:
    """Digest of one entry of a dict at the top of a module and of all that it names within `bn`.

    Of no entry where there is no such module, dict or key. Raises RunError.
    """
    return digests_of_entries([(module, table, key)])[0]


def digests_of_entries(entries: Sequence[tuple[str, str, str]]) -> list[str]:
    """`digest_of_entry` of several, by one look at how the sources stand now: there are a hundred files of them."""
    now = _sources()
    return [_digest(_definitions_at_start(*entry), partial(definitions, *entry), now) for entry in entries]


@cache
def _closure_at_start(roots: tuple[str, ...], kernels: bool) -> dict[str, str]:
    return closure(roots, _AT_START, kernels)


@cache
def _definitions_at_start(module: str, table: str, key: str) -> dict[str, str]:
    return definitions(module, table, key, _AT_START)


def _digest(then: dict[str, str], of: Callable[[Mapping[str, str]], dict[str, str]], sources: Mapping[str, str]) -> str:
    """Digest of what was found in the sources at the start, and is still `of` those of now. Raises RunError."""
    now = then if sources == _AT_START else of(sources)
    if changed := sorted(name for name in {*then, *now} if then.get(name) != now.get(name)):
        raise RunError(
            f"The code was changed after this process had started ({', '.join(changed)}): what it trains would be "
            "filed under code that did not make it. Start it again; in a notebook, restart the kernel."
        )
    return files.digest(then)


def closure(roots: tuple[str, ...], sources: Mapping[str, str], kernels: bool) -> dict[str, str]:
    """Of each module that is imported from the roots on, the digest of what it does."""
    found, waiting = {}, list(roots)
    while waiting:
        name = waiting.pop()
        if name in found or name not in sources or _apart(name) or (name == _KERNELS and not kernels):
            continue
        module = _parsed(sources[name])
        found[name] = _sha256(module.logic)
        waiting += [imported.module for imported in module.imports(name, sources)]
    return found


def _apart(name: str) -> bool:
    return any(name == other or name.startswith(f"{other}.") for other in _APART)


def definitions(module: str, table: str, key: str, sources: Mapping[str, str]) -> dict[str, str]:
    """Of an entry of a dict and each definition that it needs, by `module.name`, the digest of what it does."""
    if module not in sources:
        return {}
    found, waiting = {}, []

    def add(place: str, name: str, nodes: list[ast.AST]) -> None:
        parsed, found[f"{place}.{name}"] = _parsed(sources[place]), _sha256(*map(_written, nodes))
        for root, attributes in set().union(*map(_named, nodes)):
            if root in parsed.bound:
                waiting.append((place, root))
            for _, target, attribute in parsed.imports(place, sources, root):
                reach(target, (attribute, *attributes) if attribute else attributes)

    def reach(place: str, attributes: tuple[str, ...]) -> None:
        """What is asked of a module: one definition, or all of them where the module itself is handed on."""
        while attributes and f"{place}.{attributes[0]}" in sources:
            place, attributes = f"{place}.{attributes[0]}", attributes[1:]
        waiting.extend((place, name) for name in attributes[:1] or _parsed(sources[place]).bound)

    add(module, f"{table}[{key}]", _parsed(sources[module]).entry(table, key))
    while waiting:
        place, name = waiting.pop()
        if f"{place}.{name}" in found or _apart(place):
            continue
        add(place, name, _parsed(sources[place]).bound.get(name, []))
        for _, target, attribute in _parsed(sources[place]).imports(place, sources, name):
            reach(target, (attribute,) if attribute else ())  # by way of a module that has it from elsewhere
    return found


@cache
def _named(node: ast.AST) -> set[tuple[str, tuple[str, ...]]]:
    """The names in a piece of code, each with the attributes that are asked of it: `a`, and `b` and `c` of `a.b.c`."""
    asked, found = {id(n.value): n for n in ast.walk(node) if isinstance(n, ast.Attribute)}, set()
    for name in (n for n in ast.walk(node) if isinstance(n, ast.Name)):
        chain, attributes = name, ()
        while chain := asked.get(id(chain)):
            attributes += (chain.attr,)
        found.add((name.id, attributes))
    return found


class Import(NamedTuple):
    """What an import binds: a name, to a module of bn or to an attribute of one."""

    bound: str
    module: str
    attribute: str | None


class _Module:
    """A module without words: what it does, what it binds at its top, and what it imports."""

    def __init__(self, text: str) -> None:
        try:
            tree = ast.parse(text)
        except SyntaxError:  # half of an edit: it is another module than the one that runs here
            tree = ast.Module([ast.Pass(), ast.Expr(ast.Constant(text))], [])
        self._imported = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
        tree = _WithoutWordsAndImports().visit(tree)
        self.logic = _written(tree)
        self.bound: dict[str, list[ast.AST]] = {}
        for node in tree.body:
            for name in _bound(node):
                self.bound.setdefault(name, []).append(node)

    def entry(self, table: str, key: str) -> list[ast.AST]:
        """The value under a key of a dict that is bound at the top, in a list; none where there is none."""
        dicts = [node.value for node in self.bound.get(table, []) if isinstance(getattr(node, "value", None), ast.Dict)]
        pairs = [pair for found in dicts for pair in zip(found.keys, found.values, strict=True)]
        return [value for name, value in pairs if isinstance(name, ast.Constant) and name.value == key]

    def imports(self, name: str, sources: Mapping[str, str], bound: str | None = None) -> list[Import]:
        """What it imports of bn where its own name is `name`: all of that, or what is bound to one name."""
        found = []
        for node in self._imported:
            origin = _absolute(name, node, sources) if isinstance(node, ast.ImportFrom) else None
            for alias in node.names:
                whole = f"{origin}.{alias.name}" if origin else alias.name
                if whole in sources:
                    found.append(Import(alias.asname or alias.name, whole, None))
                elif origin in sources:
                    found.append(Import(alias.asname or alias.name, origin, alias.name))
                package = alias.name.partition(".")[0]
                if not (origin or alias.asname) and package in sources:  # `import a.b` binds a
                    found.append(Import(package, package, None))
        return [one for one in found if bound in (None, one.bound)]


def _absolute(name: str, node: ast.ImportFrom, sources: Mapping[str, str]) -> str:
    """The module that a `from` line names, relative or not."""
    if not node.level:
        return node.module
    package = any(other.startswith(f"{name}.") for other in sources)
    parts = name.split(".")[: len(name.split(".")) - node.level + package]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _bound(node: ast.AST) -> set[str]:
    """The names that a statement at the top of a module binds."""
    defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    if isinstance(node, defined):
        return {node.name}
    inside = list(ast.walk(node))  # of an assignment, or of an `if` with definitions in it
    stored = {n.id for n in inside if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return stored | {n.name for n in inside if isinstance(n, defined)}


@cache
def _parsed(text: str) -> _Module:
    return _Module(text)


@cache
def _written(node: ast.AST) -> str:
    """A syntax tree as text, the same in each version of Python: what is empty is left out, as newer ones do."""
    return _as_text(node)


def _as_text(node: object) -> str:
    if isinstance(node, ast.AST):
        filled = [(name, value) for name, value in ast.iter_fields(node) if value is not None and value != []]
        return f"{type(node).__name__}({', '.join(f'{name}={_as_text(value)}' for name, value in filled)})"
    return f"[{', '.join(map(_as_text, node))}]" if isinstance(node, list) else repr(node)


def _sha256(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


class _WithoutWordsAndImports(ast.NodeTransformer):
    """Takes docstrings and import statements out of a syntax tree, wherever they stand."""

    def visit(self, node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            return None
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node) is not None:
            del node.body[0]
        return self.generic_visit(node)
