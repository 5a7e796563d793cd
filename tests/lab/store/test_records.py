"""Records: plain JSON that says its question, where it comes from, and whether it is still what was written."""

import hashlib
import json
import re
from pathlib import Path

import made_up
import numpy as np
import pytest
import yaml
from filelock import FileLock, Timeout
from todays_code import today

from bn.lab import paths, registry
from bn.lab.chapters.algorithm import identities
from bn.lab.chapters.algorithm.spec import Algorithm
from bn.lab.chapters.inception import counts
from bn.lab.chapters.inception.spec import Counted
from bn.lab.chapters.training_speed import throughput
from bn.lab.data import datasets
from bn.lab.store import claims, code, files, records
from bn.lab.train import loop, predictions, replicas, runs
from bn.lab.train.settings import Setting
from bn.lab.train.specs import ImageSpec

PROVENANCE = {
    *("version", "commit", "dirty", "code", "data_sha256", "devices", "versions", "compiled", "seeds", "runs"),
    *("training_seconds", "finished", "command"),
}
TRAINED = [name for name in registry.names() if name != "kernels"]  # whose records come from runs
# Of Figure 1 at two settings, the grid, the ladder (of which two are the grid's), the spread, the optimizers' rates and
# the optimizers.
ACTIVATIONS = 4 + 4 + 8 + 2 + 4 + 10 + 16
RUNS = {"algorithm": 1, "activations": ACTIVATIONS, "inception": 4}
DIGITS = Setting("bn", "digits", steps=2, every=2, batch=60, learning_rate=0.5, weight_std=0.1)
QUICK = {"scale": "smoke", "dataset": "digits", "steps": 2}


def algorithm(**options) -> dict:
    return registry.experiment("algorithm").record(Algorithm(**QUICK | options))


def written(runs: Path) -> list[Path]:
    return sorted((runs / "records").iterdir())


def code_of(experiment: str) -> set[str]:
    """The digests of the code that makes a record here: of the trainer, and of what is computed without one."""
    trainer = loop if issubclass(registry.experiment(experiment).spec, ImageSpec) else replicas
    if experiment == "algorithm":
        return {code.digest(identities.__name__, kernels=True)}
    found = {code.digest((counts if experiment == "inception" else trainer).__name__)}
    without = {"ensemble": predictions, "training_speed": throughput}.get(experiment)
    return found | ({code.digest(without.__name__)} if without else set())


# ---- What a record holds -------------------------------------------------------------------------


def strict(text: str) -> dict:
    """JSON as the standard has it: without NaN and Infinity."""

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("experiment", TRAINED)
def test_a_record_is_read_back_as_it_was(experiment, smoke_records, fresh_runs):
    """In a folder of its own: notebooks write the shared ones again, with another number of threads' last digits."""
    record = smoke_records[experiment]
    path = records.write(record)
    assert path == records.run_record(experiment, "smoke", "digits", record["asked"])
    assert path.parent == fresh_runs / "records" and path.name.startswith(f"{experiment}-smoke-digits-")
    assert strict(path.read_text("utf-8")) == records.read(path) == record


@pytest.mark.parametrize("experiment", TRAINED)
def test_a_record_says_where_it_comes_from(experiment, smoke_records):
    record = smoke_records[experiment]
    p = record["provenance"]
    assert set(p) == PROVENANCE
    assert (record["experiment"], record["scale"], record["dataset"]) == (experiment, "smoke", "digits")
    assert record["rules"] == claims.rule_digests()
    assert record["papers_own_size"] is False
    codes, small = set(p["code"].split(", ")), experiment not in RUNS and "sweep" not in record
    assert codes <= today(experiment) if small else codes == code_of(experiment)
    assert p["seeds"] == record["asked"]["seeds"] == ([0] if experiment == "since_then" else [0, 1])
    assert re.fullmatch(r"[0-9a-f]{64}" if experiment != "algorithm" else "", p["data_sha256"])
    assert set(p["versions"]) == {"python", "torch", "numpy"}
    assert p["compiled"] == [False] and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", p["finished"])
    if small:
        assert p["runs"] >= 1
        return
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
    rates = len(tried) if tried else len(record["sweep"]["rates"])
    return 2 * len(different) + rates * len(record["sweep"]["seeds"])  # which are not among the two


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
    record = registry.experiment("inception").record(Counted(scale="smoke", seeds=1))
    assert record["dataset"] == "mnist" and record["provenance"]["data_sha256"] == datasets.load("mnist").checksum


def test_numbers_keep_five_digits_and_lose_what_is_not_finite():
    assert records.numbers([1 / 3, np.nan, np.inf, 123456.7]) == [0.33333, None, None, 123460.0]


# ---- Its file ------------------------------------------------------------------------------------


def test_a_question_never_takes_the_place_of_another_and_a_language_is_none(fresh_runs):
    """Fewer seeds, fewer steps: each has a file of its own; the same in Arabic is the same question."""
    made = [algorithm(seeds=(0, 1)), algorithm(seeds=(0,)), algorithm(seeds=(0, 1), steps=1), algorithm(seeds=(1, 0))]
    assert len(written(fresh_runs)) == len(made)
    again = algorithm(seeds=(0, 1), language="ar")
    assert len(written(fresh_runs)) == len(made) and again == made[0]
    questions = [records.run_record("algorithm", "smoke", "digits", record["asked"]) for record in made]
    assert [records.read(path) for path in questions] == made


def test_a_record_is_sealed_by_the_digest_of_all_else(fresh_runs):
    record = algorithm(seeds=1)
    (path,) = written(fresh_runs)
    content = json.loads(path.read_text("utf-8"))
    seal = content.pop("sha256")
    assert seal == hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest() == record["sha256"]


@pytest.fixture
def small(tmp_path) -> Path:
    """The file of a short record, written as a program that is not ours might."""
    record = {"experiment": "a", "scale": "cpu", "dataset": "d", "asked": {"steps": 3}, "rules": {}, "provenance": {}}
    path = tmp_path / "cpu.json"
    path.write_text(json.dumps(records.sealed(record | {"values": [0.25, 1e-05, None, "ا"]}), indent=2), "utf-8")
    return path


def refused(path: Path) -> str:
    """The one sentence of a record that is not in order, which names its file."""
    with pytest.raises(records.RecordError) as caught:
        records.read(path)
    assert str(caught.value).startswith(f"the record {path} ") and "\n" not in str(caught.value)
    return str(caught.value)


def test_a_changed_number_is_noticed_and_another_layout_is_no_change(small):
    record = records.read(small)
    small.write_text(json.dumps(record), "utf-8")
    assert records.read(small) == record
    for name, value in (("values", [0.26]), ("scale", "gpu"), ("more", 1), ("sha256", "0" * 64), ("sha256", None)):
        small.write_text(json.dumps(record | {name: value}), "utf-8")
        assert "is damaged, or was changed by hand: its sha256 is not that of the rest" in refused(small)


def test_a_cut_record_is_noticed_wherever_it_is_cut(small):
    content = small.read_bytes().rstrip()
    for length in range(len(content)):
        small.write_bytes(content[:length])
        assert "is damaged: " in refused(small)


def test_a_flipped_bit_is_noticed_wherever_it_says_something_else(small):
    content, record, same = small.read_bytes(), records.read(small), []
    for k in range(8 * len(content)):
        flipped = bytes([*content[: k // 8], content[k // 8] ^ 1 << k % 8, *content[k // 8 + 1 :]])
        small.write_bytes(flipped)
        try:
            assert records.read(small) == record
            same.append(flipped[k // 8 : k // 8 + 1])
        except records.RecordError as error:
            assert str(small) in str(error)
    assert set(same) <= {b"E", b"A", b"B", b"C", b"D", b"F"}, "1e-05 may be written 1E-05, and \\u062a as \\u062A"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is damaged: "),
        ("[" * 100_000, "is damaged: "),
        ("1" * 5_000, "is damaged: "),
        ("[]", "has no asked, dataset, experiment, provenance, rules, scale, sha256"),
        ('{"experiment": 1, "scale": "cpu"}', "has no asked, dataset, provenance, rules, sha256"),
        ('{"experiment":1,"scale":1,"asked":1,"dataset":1,"provenance":1,"rules":1}', "has no sha256"),
    ],
)
def test_a_record_that_is_not_in_order_is_named(small, text, sentence):
    small.write_text(text, "utf-8")
    assert sentence in refused(small)


def test_the_record_of_the_largest_scale_decides(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RECORDS", tmp_path)
    assert records.deciding("algorithm") is None
    (tmp_path / "algorithm").mkdir()
    common = {"experiment": "algorithm", "dataset": "digits", "asked": {}, "rules": {}, "provenance": {}}
    for scale, decides in (("smoke", None), ("cpu", "cpu"), ("paper", "paper"), ("gpu", "paper")):
        text = json.dumps(records.sealed(common | {"scale": scale}))
        (tmp_path / "algorithm" / f"{scale}.json").write_text(text, "utf-8")
        assert (records.deciding("algorithm") or {}).get("scale") == decides


def test_a_record_of_another_chapter_or_scale_decides_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RECORDS", tmp_path)
    content = {
        "experiment": "algorithm",
        "scale": "cpu",
        "dataset": "digits",
        "asked": {},
        "rules": {},
        "provenance": {},
    }
    for name, scale in (("ensemble", "cpu"), ("algorithm", "paper")):
        path = tmp_path / name / f"{scale}.json"
        path.parent.mkdir()
        path.write_text(json.dumps(records.sealed(content)), "utf-8")
        with pytest.raises(records.RecordError, match=r"holds the record of algorithm at scale cpu") as caught:
            records.deciding(name)
        assert str(path) in str(caught.value)


def test_runs_from_before_and_after_a_change_that_is_carried_over_have_one_rule(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RECORDS", tmp_path)
    entry = {"commit": "c", "why": "it computes the same"}
    entries = {"old": entry | {"now": "new", "bytes": False}, "other": entry | {"now": "new", "bytes": None}}
    (tmp_path / "carried.yml").write_text(yaml.safe_dump(entries))

    def kept(*digests: str | None) -> str | None:
        return records.rules([{"rules": {"multicrop": digest}} for digest in digests])["multicrop"]

    assert kept("old", "new", "old") == "new"
    assert kept("old", "old") == "old"  # as the runs knew it
    assert kept("other", "new") is kept("old", "third") is kept("new", None) is None


@pytest.mark.parametrize("text", ["[1, 2]", "3", "a: [", "a: 3", "a: {now: b}"])
def test_what_is_carried_over_is_in_order_or_named(text, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RECORDS", tmp_path)
    assert records.carried("a") is None
    (tmp_path / "carried.yml").write_text(text)
    with pytest.raises(records.RecordError, match=r"carried\.yml is not in order"):
        records.carried("a")


# ---- Where it comes from -------------------------------------------------------------------------


def test_the_commit_is_that_at_the_beginning_of_each_run_and_not_that_of_the_writing(fresh_runs, monkeypatch):
    told = {}
    for commit, seeds in (("aaaaaaaaaa", (0,)), ("bbbbbbbbbb", (0,)), ("cccccccccc", (0, 1))):
        made_up.at(commit, monkeypatch)
        metas = [found["meta"] for found in runs.run([(DIGITS, seed) for seed in seeds]).values()]
        told[commit] = finish(*metas)["provenance"]["commit"]
    assert list(told.values()) == ["aaaaaaaaaa", "aaaaaaaaaa", "aaaaaaaaaa, cccccccccc"]


def meta(commit="a", dirty=False, **more) -> dict:
    """As `provenance.meta` might make it."""
    source = {"version": "0.1", "commit": commit, "dirty": dirty}
    about = {"source": source, "rules": claims.rule_digests(), "data_sha256": "d", "code": "c1", "compiled": False}
    about |= {"trained_together": 1, "training_seconds": 10.0, "device": "a CPU", "versions": {"torch": "2"}}
    return about | {"finished": "2026-01-01 00:00 UTC"} | more


def finish(*metas: dict, computed=()) -> dict:
    return records.finish("algorithm", Algorithm(**QUICK, seeds=1), list(metas), {"x": 1}, computed)


@pytest.mark.parametrize(
    ("dirty", "merged"),
    [
        ([False], False),
        ([False, False], False),
        ([False, True], True),
        ([None, True, False], True),
        ([None, False], None),
        ([None], None),
    ],
)
def test_one_run_of_changed_or_of_unknown_files_is_said_of_the_record(dirty, merged):
    metas = [meta(commit=f"c{k}", dirty=value) for k, value in enumerate(dirty)]
    commits = ", ".join(f"c{k}" for k in range(len(dirty)))
    assert records.source(metas[::-1]) == {"version": "0.1", "commit": commits, "dirty": merged}


def test_what_was_computed_counts_for_all_but_is_no_training(fresh_runs):
    rules = claims.rule_digests()
    other = meta("b", code="c2", rules=rules | {"alg1-transform": "another"}, device="a TPU", training_seconds=99.0)
    record = finish(meta(), meta(trained_together=5, device="a GPU"), computed=[other])
    p = record["provenance"]
    assert (p["commit"], p["code"]) == ("a, b", "c1, c2")
    assert (p["devices"], p["runs"], p["training_seconds"]) == (["a CPU", "a GPU", "a TPU"], 2, 12)
    assert record["rules"] == rules | {"alg1-transform": None}


def test_libraries_that_were_updated_between_two_runs_are_said_with_both_versions(fresh_runs):
    metas = [meta(versions={"python": "3.12", "torch": version}) for version in ("2.9", "2.8")]
    p = finish(*metas, computed=[meta(versions={"python": "3.12", "numpy": "2.4"})])["provenance"]
    assert p["versions"] == {"python": "3.12", "torch": "2.8, 2.9", "numpy": "2.4"}


def test_a_rule_that_a_run_did_not_know_is_none_of_the_record(fresh_runs):
    rules = claims.rule_digests()
    early = {name: digest for name, digest in rules.items() if name != "alg1-transform"}
    assert finish(meta(), meta(rules=early))["rules"] == rules | {"alg1-transform": None}
    assert finish(meta(rules=early))["rules"] == rules | {"alg1-transform": None}
    assert finish(meta(rules=rules | {"of the past": "x"}))["rules"] == rules


def test_making_a_record_writes_it(fresh_runs):
    record = finish(meta())
    (path,) = written(fresh_runs)
    assert records.read(path) == record and path.stem.endswith(files.digest(record["asked"])[:8])


def test_a_record_is_written_by_one_process_at_a_time(fresh_runs, monkeypatch):
    """Whoever writes clears away what a kill has left: not what another has half written."""
    written, write = [], files.write_atomically

    def noted(path: Path, content: bytes) -> None:
        with pytest.raises(Timeout):
            FileLock(fresh_runs / "locks" / f"{path.stem}.lock").acquire(timeout=0)
        written.append(path)
        write(path, content)

    monkeypatch.setattr(files, "write_atomically", noted)
    path = records.write({"experiment": "made_up", "scale": "cpu", "dataset": "digits", "asked": {}})
    assert written == [path] and json.loads(path.read_text("utf-8"))["experiment"] == "made_up"
