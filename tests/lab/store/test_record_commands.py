"""The command of a record: what papermill makes of it is the same question."""

import shlex

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from papermill.cli import NoDatesSafeLoader, papermill

from bn.lab import paths, registry
from bn.lab.chapters.activations.spec import STD, Activations
from bn.lab.chapters.algorithm.spec import EPS, FEATURES, Algorithm, M
from bn.lab.chapters.inception.spec import PIXELS, WIDTH, Counted
from bn.lab.spec import RATE, SEED, SEEDS, STEPS, Spec
from bn.lab.store import records

NAMES = {Algorithm: "algorithm", Activations: "activations", Counted: "inception"}


def numbers(least: float, most: float):
    return st.floats(least, most) | st.integers(max(1, int(least)), int(most))


def lists(least: float, most: float):
    return st.lists(numbers(least, most), min_size=1, max_size=4).map(tuple)


listed = st.lists(st.integers(*SEED), min_size=1, max_size=4, unique=True).map(tuple)
common = {"scale": st.sampled_from(["smoke", "cpu", "gpu"]), "dataset": st.sampled_from(["digits", "mnist"])}
common |= {"seeds": st.integers(*SEEDS).filter(lambda n: n < 50) | listed, "steps": st.integers(*STEPS)}
specs = {
    "algorithm": st.builds(Algorithm, **common, m=st.integers(*M), features=st.integers(*FEATURES), eps=numbers(*EPS)),
    "activations": st.builds(
        Activations,
        **common,
        batch=st.integers(2, 1_257),
        learning_rate=numbers(*RATE),
        weight_std=numbers(*STD),
        rates=lists(*RATE),
        weight_stds=lists(*STD),
        unit=st.none() | st.integers(0, 99),
    ),
    "inception": st.builds(Counted, **common, width=numbers(*WIDTH), pixels=st.integers(8, PIXELS)),
}


def asked_by(command: str, kind: type) -> Spec:
    """What papermill's own command line makes of a command."""
    program, *arguments = shlex.split(command)
    assert program == "papermill"
    options = papermill.make_context(program, arguments).params
    assert (paths.ROOT / options["notebook_path"]).parent.name == "notebooks"
    values = {}
    for text in options["parameters_yaml"]:
        values |= yaml.load(text, NoDatesSafeLoader)
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})


@given(st.one_of(*specs.values()))
def test_the_command_asks_the_same_question_again(spec):
    command = records.command(NAMES[type(spec)], spec)
    assert asked_by(command, type(spec)).as_dict() == spec.as_dict()


def test_the_command_of_the_default_is_short():
    command = records.command("algorithm", Algorithm(scale="smoke", dataset="digits"))
    assert command.count("-y") == 2


def check(record: dict) -> None:
    """Its command asks what it says that was asked."""
    kind = registry.experiment(record["experiment"]).spec
    asked = {name: tuple(value) if isinstance(value, list) else value for name, value in record["asked"].items()}
    assert asked_by(record["provenance"]["command"], kind).as_dict() == kind(**asked).as_dict()


@pytest.mark.parametrize("experiment", [name for name in registry.names() if name != "kernels"])
def test_the_command_of_a_record_asks_its_question(experiment, smoke_records):
    check(smoke_records[experiment])


@pytest.mark.parametrize("path", sorted(paths.RECORDS.glob("*/*.json")), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_the_command_of_a_record_of_the_book_asks_its_question(path):
    record = records.read(path)
    if record["scale"] == "compiled":  # nothing was run
        assert record["provenance"]["command"] == "python -m bn.lab.chapters.kernels.compiled"
    elif record["experiment"] == "kernels":  # measured without a notebook
        quick = " --quick" if record["asked"]["quick"] else ""
        assert record["provenance"]["command"] == f"python -m bn.lab.chapters.kernels --scale gpu{quick}"
    else:
        check(record)
