"""The two descriptions of the environment must not drift apart."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def extras() -> dict[str, list[str]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def pins(without: str = "") -> set[str]:
    chosen = [lines for name, lines in extras().items() if name != without]
    return {line for lines in chosen for line in lines if not line.startswith("bn[")}


def test_environment_has_the_pins_of_pyproject():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"][-1]["pip"]
    assert set(conda) - {"--editable ."} == pins(without="networks")  # `make test-networks` installs it when asked


def test_everything_is_pinned():
    assert all("==" in line or line.startswith("bn[") for lines in extras().values() for line in lines)
