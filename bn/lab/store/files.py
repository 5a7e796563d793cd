"""Files that are whole or not there, and digests of values and of code, which name them.

>>> digest({"seed": 0, "steps": 60})
'db16a7850b678d08'
"""

import ast
import hashlib
import io
import json
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from bn.lab.store.workers import RunError

_DIGITS = 16  # of a digest, 64 bits: among a million files two have the same name with a chance of 3e-8


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a kill or a full disk leaves what was there before. Raises OSError."""
    with whole_or_not(path) as file:
        file.write(content)


@contextmanager
def whole_or_not(path: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name when all of it is written: `write_atomically`, for what is written in parts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def save(state: dict, path: Path) -> None:
    """Write what torch.save takes, whole or not at all. Raises OSError."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], meta: dict) -> None:
    """Write a finished run: its arrays by name, of any shapes, and in `meta` where it came from. Raises OSError."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, meta=np.array(json.dumps(meta)), **arrays)
    write_atomically(path, buffer.getvalue())


def read_arrays(path: Path) -> dict:
    """A finished run as `write_arrays` wrote it: arrays by name, and `meta`, a dict. Raises RunError if damaged."""
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:
        raise RunError(
            f"The finished run {path} cannot be read ({error}). Delete that file; it will be trained again."
        ) from None
    return arrays | {"meta": json.loads(str(arrays["meta"]))}


def finished(wanted: Mapping[Hashable, Path], make: Callable[[list], None], read: Callable = read_arrays) -> dict:
    """What the wanted files hold, by their keys; `make` is asked for those that are missing, if there are any."""
    missing = [key for key, path in wanted.items() if not path.exists()]
    if missing:
        make(missing)
    return {key: read(path) for key, path in wanted.items()}


def digest(value: object) -> str:
    """A short name for any value that JSON can hold: 16 hexadecimal digits, the same in every process."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def logic_digest(files: Iterable[Path]) -> str:
    """Digest of what Python files do, in their order: comments, docstrings, line breaks and imports aside.

    Where a name is imported from says nothing of what is done with it; a file whose code matters is one of `files`.
    """
    trees = (ast.parse(path.read_text("utf-8")) for path in files)
    return digest([ast.dump(_WithoutWordsAndImports().visit(tree)) for tree in trees])


class _WithoutWordsAndImports(ast.NodeTransformer):
    """Takes docstrings and import statements out of a syntax tree, wherever they stand."""

    def visit(self, node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            return None
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node) is not None:
            del node.body[0]
        return self.generic_visit(node)
