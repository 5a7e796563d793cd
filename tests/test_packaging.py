"""The two descriptions of the environment must not drift apart."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_environment_has_the_pins_of_pyproject():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    del extras["networks"]  # `make test-networks` installs it when it is asked for
    pins = {line for extra in extras.values() for line in extra if not line.startswith("bn[")}
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"][-1]["pip"]
    assert set(conda) - {"--editable ."} == pins


def test_everything_is_pinned():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert all("==" in line or line.startswith("bn[") for extra in extras.values() for line in extra)
