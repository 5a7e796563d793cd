"""Assemble and build one edition of the book, or its translation catalogues.

python book/_ext/assemble.py edition ar --out build     build/book/ar -> build/html/ar
python book/_ext/assemble.py catalogues --out build     new sentences -> book/locale/ar
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import yaml
from sphinx_intl import catalog

BOOK = Path(__file__).absolute().parents[1]
TOOLS = Path(sys.executable).parent
NOTEBOOKS = BOOK.parent / "notebooks"
NOT_SOURCES = ("records", "claims.yml", "welcome.html", "__pycache__", "*.mo", "_config*.yml")


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


def templates(out: Path) -> Path:
    """Extract every sentence to translate from the pages and the stored notebooks: one .pot a page."""
    tree = assemble("en", NOTEBOOKS, out / "book" / "gettext")
    jupyter_book(tree, "--builder", "custom", "--custom-builder", "gettext")
    return tree / "_build" / "gettext"


def catalogues(out: Path) -> None:
    """Merge new and changed sentences into book/locale/ar, where a translator finds them."""
    pot = templates(out)
    locale = ["--locale-dir", str(BOOK / "locale"), "--language", "ar", "--line-width", "110"]
    command = [str(TOOLS / "sphinx-intl"), "update", "--pot-dir", str(pot), *locale, "--no-obsolete"]
    subprocess.run(command, check=True)
    for path in (BOOK / "locale").rglob("*.po"):
        tidy(path)


def tidy(path: Path) -> None:
    """Replace the template header of a catalogue, and its guesses at format strings, by what is true."""
    messages = catalog.load_po(str(path))
    messages.header_comment = "# Arabic edition of Batch Normalization, reproduced."
    messages.project, messages.last_translator, messages.language_team = "bn", "", ""
    messages.fuzzy = False
    for message in messages:
        message.flags -= {"python-brace-format", "python-format"}
    catalog.dump_po(str(path), messages, line_width=110)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["edition", "catalogues"])
    parser.add_argument("language", nargs="?", choices=["en", "ar"], default="en")
    parser.add_argument("--out", type=Path, default=Path("build"))
    ask = parser.parse_args()
    edition(ask.language, ask.out) if ask.what == "edition" else catalogues(ask.out)


if __name__ == "__main__":
    main()
