"""Assemble and build one edition of the book.

python book/_ext/assemble.py ar --out build     build/book/ar -> build/html/ar
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import yaml

BOOK = Path(__file__).absolute().parents[1]
TOOLS = Path(sys.executable).parent
NOTEBOOKS = BOOK.parent / "notebooks"
NOT_SOURCES = ("records", "claims", "welcome.html", "__pycache__", "*.mo", "_config*.yml")


def merged(base: dict, overlay: dict) -> dict:
    """`base` with the values of `overlay` laid over it, at every depth."""
    both = {k: merged(base[k], v) for k, v in overlay.items() if isinstance(v, dict) and k in base}
    return base | overlay | both


def config(language: str) -> dict:
    """The English configuration, with the overlay of another language where there is one."""
    base = yaml.safe_load((BOOK / "_config.yml").read_text(encoding="utf-8"))
    overlay = BOOK / f"_config.{language}.yml"
    return merged(base, yaml.safe_load(overlay.read_text(encoding="utf-8"))) if overlay.exists() else base


def copy_notebook(source: Path, target: Path) -> None:
    """Copy without what papermill added for itself: its parameters cell, paths and times."""
    notebook = nbformat.read(source, as_version=4)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
    notebook.cells = [c for c in notebook.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    nbformat.write(notebook, target)


def assemble(language: str, notebooks: Path, tree: Path) -> Path:
    """Lay out in `tree` what jupyter-book needs: the pages, the executed notebooks, one configuration."""
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(BOOK, tree, ignore=shutil.ignore_patterns(*NOT_SOURCES))
    for notebook in sorted(notebooks.glob("[0-9]*.ipynb")):
        copy_notebook(notebook, tree / notebook.name)
    (tree / "_config.yml").write_text(yaml.safe_dump(config(language), allow_unicode=True), encoding="utf-8")
    return tree


def jupyter_book(tree: Path, *options: str) -> None:
    """Build `tree`; a warning is an error."""
    command = [str(TOOLS / "jupyter-book"), "build", str(tree), "-W", "--keep-going", "-q", *options]
    undated = {**os.environ, "SOURCE_DATE_EPOCH": "0"}  # so that only a new sentence changes a catalogue
    if subprocess.run(command, env=undated).returncode:
        sys.exit(f"The book in {tree} did not build; the first warning or error above says why.")


def edition(language: str, out: Path) -> None:
    """Build the edition in `language` from the executed notebooks of that language."""
    tree = assemble(language, out / "notebooks" / language, out / "book" / language)
    jupyter_book(tree)
    target = out / "html" / language
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(tree / "_build" / "html", target)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("language", choices=["en", "ar"])
    parser.add_argument("--out", type=Path, default=Path("build"))
    asked = parser.parse_args()
    edition(asked.language, asked.out)


if __name__ == "__main__":
    main()
