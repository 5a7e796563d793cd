"""Records: plain JSON with everything that is needed to make them again; those of the book are in order."""

import json
import re
import shlex

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from papermill.cli import NoDatesSafeLoader, papermill

from bn.lab import paths, registry
from bn.lab.chapters.activations.spec import Activations
from bn.lab.chapters.algorithm.spec import Algorithm
from bn.lab.chapters.inception.spec import Counted
from bn.lab.data import datasets
from bn.lab.judge import verdicts
from bn.lab.spec import Spec
from bn.lab.store import claims, records
from bn.lab.train import image_runs, runs
from bn.lab.train.specs import ImageSpec

PROVENANCE = {
    "version",
    "commit",
    "dirty",
    "code",
    "data_sha256",
    "devices",
    "versions",
    "compiled",
    "seeds",
    "runs",
    "training_seconds",
    "finished",
    "command",
}
COMMITTED = sorted(paths.RECORDS.rglob("*.json"))


TRAINED = [name for name in registry.names() if name != "kernels"]  # whose records come from trained runs
RUNS = {"algorithm": 2, "activations": 4 + 8 + 4, "inception": 4}


def strict(text: str) -> dict:
    """JSON as the standard has it: without NaN and Infinity."""

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


# ---- What a record holds -------------------------------------------------------------------------


@pytest.mark.parametrize("experiment", TRAINED)
def test_a_record_is_read_back_as_it_was(experiment, smoke_records, fresh_runs):
    """In a folder of its own: notebooks write the shared ones again, with another number of threads' last digits."""
    path = records.write(smoke_records[experiment])
    assert path == fresh_runs / "records" / f"{experiment}-smoke-digits.json"
    assert strict(path.read_text("utf-8")) == records.read(path) == smoke_records[experiment]


def test_making_a_record_writes_it(fresh_runs):
    record = registry.experiment("algorithm").record(Algorithm(scale="smoke", dataset="digits", steps=2, seeds=(0,)))
    (path,) = (fresh_runs / "records").iterdir()
    assert records.read(path) == record


@pytest.mark.parametrize("experiment", TRAINED)
def test_a_record_says_where_it_comes_from(experiment, smoke_records):
    record = smoke_records[experiment]
    p = record["provenance"]
    assert set(p) == PROVENANCE
    assert (record["experiment"], record["scale"], record["dataset"]) == (experiment, "smoke", "digits")
    assert record["rules"] == claims.rule_digests()
    assert record["papers_own_size"] is False
    assert p["code"] == code_digest(experiment) and p["seeds"] == record["asked"]["seeds"] == [0, 1]
    assert re.fullmatch(r"[0-9a-f]{64}", p["data_sha256"]) and set(p["versions"]) == {"python", "torch", "numpy"}
    assert p["compiled"] == [False] and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", p["finished"])
    expected = recipes_and_seeds(record) if "sweep" in record else RUNS[experiment] - shared_runs(record)
    assert p["runs"] == expected


def recipes_and_seeds(record: dict) -> int:
    """Different networks in a record of section 4.2, times two seeds, and those of its sweep, of one seed."""
    parts = [record.get(name, {}) for name in ("networks", "equal", "best", "alone", "left_out", "plain", "curves")]
    shown = [network["recipe"] for part in parts for network in part.values()]
    different = {json.dumps(recipe, sort_keys=True) for recipe in shown}
    swept = {"plain": "inception", "bn": "bn_x5"}
    tried = {
        json.dumps(record["networks"][swept[kind]]["recipe"] | {"learning_rate": rate}, sort_keys=True)
        for kind in record["sweep"]["chosen"]
        for rate in record["sweep"]["rates"]
        if "networks" in record
    }
    return 2 * len(different) + (len(tried - different) if tried else len(record["sweep"]["rates"]))


def code_digest(experiment: str) -> str:
    """Of the code that trains now."""
    return (image_runs if registry.experiment(experiment).spec is ImageSpec else runs).code_digest()


def shared_runs(record: dict) -> int:
    """Runs that serve twice: a network whose best setting is the asked one."""
    if "tuned" not in record:
        return 0
    same = [record["figure1"][n]["learning_rate"] == record["tuned"][n]["learning_rate"] for n in ("plain", "bn")]
    stds = [record["figure1"][n]["weight_std"] == record["tuned"][n]["weight_std"] for n in ("plain", "bn")]
    return 2 * sum(a and b for a, b in zip(same, stds, strict=True))


@pytest.mark.skipif(
    datasets.resolve("auto") != "mnist", reason="MNIST is not in the data folder; `make data` fetches it"
)
def test_a_record_of_mnist_where_it_is():
    """All other tests of records, notebooks and pages are on digits, where the trainings are short."""
    record = registry.experiment("algorithm").record(Algorithm(scale="smoke", seeds=1, steps=20))
    assert record["dataset"] == "mnist" and record["provenance"]["data_sha256"] == datasets.load("mnist").checksum
    assert all(accuracy > 0.3 for (accuracy,) in record["inference"].values())
    assert asked_by(record["provenance"]["command"], Algorithm).as_dict() == record["asked"] | {"seeds": (0,)}


def test_numbers_keep_five_digits_and_lose_what_is_not_finite():
    assert records.numbers([1 / 3, np.nan, np.inf, 123456.7]) == [0.33333, None, None, 123460.0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is damaged: "),
        ("[]", "has no asked, dataset, experiment, provenance, rules, scale"),
        ('{"experiment": 1, "scale": "cpu"}', "has no asked, dataset, provenance, rules"),
    ],
)
def test_a_record_that_is_not_in_order_is_named(tmp_path, text, sentence):
    path = tmp_path / "cpu.json"
    path.write_text(text, "utf-8")
    with pytest.raises(records.RecordError) as caught:
        records.read(path)
    assert str(path) in str(caught.value) and sentence in str(caught.value)


def test_the_record_of_the_largest_scale_decides(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RECORDS", tmp_path)
    assert records.deciding("algorithm") is None
    (tmp_path / "algorithm").mkdir()
    common = {"experiment": "algorithm", "dataset": "digits", "asked": {}, "rules": {}, "provenance": {}}
    for scale, decides in (("smoke", None), ("cpu", "cpu"), ("paper", "paper"), ("gpu", "paper")):
        (tmp_path / "algorithm" / f"{scale}.json").write_text(json.dumps(common | {"scale": scale}), "utf-8")
        assert (records.deciding("algorithm") or {}).get("scale") == decides


# ---- The command that makes it again -------------------------------------------------------------

whole = st.integers(1, 10**9)
positive = st.floats(1e-12, 1e12) | whole
lists = st.lists(positive, min_size=1, max_size=4).map(tuple)
seeds = whole.filter(lambda n: n < 50) | st.lists(st.integers(0, 2**40), min_size=1, max_size=4, unique=True).map(tuple)
common = {"scale": st.sampled_from(["smoke", "cpu", "gpu"]), "dataset": st.sampled_from(["digits", "mnist"])}
common |= {"seeds": seeds, "steps": whole}
algorithm = st.builds(Algorithm, **common, m=st.integers(2, 999), features=whole, eps=positive)
activations = st.builds(
    Activations,
    **common,
    batch=st.integers(2, 1_257),
    learning_rate=positive,
    weight_std=positive,
    rates=lists,
    weight_stds=lists,
    unit=st.none() | st.integers(0, 99),
)

inception = st.builds(Counted, **common, width=positive, pixels=st.integers(8, 999))


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


NAMES = {Algorithm: "algorithm", Activations: "activations", Counted: "inception"}


@given(algorithm | activations | inception)
def test_the_command_asks_the_same_question_again(spec):
    command = records.command(NAMES[type(spec)], spec)
    assert asked_by(command, type(spec)).as_dict() == spec.as_dict()


def test_the_command_of_the_default_is_short():
    command = records.command("algorithm", Algorithm(scale="smoke", dataset="digits"))
    assert command.count("-y") == 2


# ---- The records of the book ---------------------------------------------------------------------


@pytest.mark.parametrize("path", COMMITTED, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_record_of_the_book_is_in_order(path):
    record = strict(path.read_text("utf-8"))
    p = record["provenance"]
    assert set(p) == PROVENANCE
    assert (record["experiment"], record["scale"]) == (path.parent.name, path.stem)
    assert p["dirty"] is False, "made from files that were not committed"
    carried = records.carried(p["code"]) or {"now": p["code"]}
    assert carried["now"] == code_digest(record["experiment"]), "made by other code than is here: make it again"
    assert re.fullmatch(r"[0-9a-f]{10}", p["commit"])
    kind = registry.experiment(record["experiment"]).spec
    assert asked_by(p["command"], kind).as_dict() == kind(**tuples(record["asked"])).as_dict()


def test_what_is_carried_over_is_of_a_record_and_says_why():
    entries = yaml.safe_load((paths.RECORDS / "carried.yml").read_text("utf-8"))
    assert set(entries) <= {records.read(path)["provenance"]["code"] for path in COMMITTED}
    for entry in entries.values():
        assert set(entry) == {"now", "commit", "why"} and entry["why"]
        assert re.fullmatch(r"[0-9a-f]{10}", entry["commit"]) and entry["now"] in {
            runs.code_digest(),
            image_runs.code_digest(),
        }


def tuples(values: dict) -> dict:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


@pytest.mark.parametrize("path", COMMITTED, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_record_of_the_book_can_be_judged_and_tells_of_changed_rules(path):
    record = records.read(path)
    for name, claim in claims.ledger().items():
        if claim.experiment == record["experiment"]:
            verdict = verdicts.judge(name, record)
            assert verdict.verdict in verdicts.VERDICTS
            assert verdict.rule_changed == (record["rules"].get(name) != claim.digest)
