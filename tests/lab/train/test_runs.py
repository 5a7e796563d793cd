"""One life of a run, for both trainers: trained once, gone on with after a kill, and never filed as another's."""

import json
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bn.lab.store import claims, code, files, provenance, workers
from bn.lab.store.files import RunError
from bn.lab.train import recipes, runs
from bn.lab.train.settings import Recipe, Setting

DIGITS = Setting("bn", "digits", steps=20, every=5, batch=60, learning_rate=0.5, weight_std=0.1)
PLAIN = replace(DIGITS, network="plain")
SIZE = recipes.ImageSize(steps=8, seeds=1, pixels=8, width=1 / 32, modules=("3c", "5b"), watched=40)
INCEPTION = replace(recipes.inception(SIZE, "digits", learning_rate=0.05), every=4)
MEMBER = replace(recipes.members(INCEPTION)["member_1"], steps=8)  # with BN and Dropout
WILD = replace(INCEPTION, learning_rate=1e6)
pytestmark = pytest.mark.usefixtures("one_thread")
each_kind = pytest.mark.parametrize("setting", [DIGITS, MEMBER], ids=["digits", "images"])


class Stop(BaseException):
    """Raised by a test in the middle of a training, where a kill could have been."""


@pytest.fixture
def asked(fresh_runs, monkeypatch):
    """The runs that were asked for, done in this process one after the other, in an empty folder of runs."""
    jobs = []

    def in_this_process(work, wanted, steps, title, unit="step"):
        assert len(wanted) == len(steps)
        for job in wanted:
            jobs.extend(job.wanted)
            work(job)

    monkeypatch.setattr(workers, "in_processes", in_this_process)
    return jobs


def train(*wanted, report=lambda step: None) -> None:
    runs.train(runs.job(*wanted), report)


def killed_at(step: int):
    def report(done: int) -> None:
        if done >= step:
            raise Stop

    return report


def finished(pair) -> dict:
    return files.read_arrays(runs.run_file(*pair))


def checkpoint(pair):
    return runs.run_file(*pair).parents[1] / "checkpoints" / f"{runs.run_file(*pair).stem}.pt"


def assert_same(first: dict, second: dict) -> None:
    """To the last byte, where it came from aside."""
    assert set(first) == set(second)
    for name in set(first) - {"meta"}:
        assert first[name].dtype == second[name].dtype
        assert first[name].tobytes() == second[name].tobytes(), name


# ---- Once ----------------------------------------------------------------------------------------


@each_kind
def test_what_is_finished_is_read_and_only_what_is_missing_trains(setting, asked, fresh_runs):
    first = runs.run([(setting, 0), (setting, 1)])
    assert asked == [(setting, 0), (setting, 1)]
    again = runs.run([(setting, 1), (setting, 0), (setting, 1)])
    assert len(asked) == 2 and list(again) == [(setting, 1), (setting, 0)]
    more = runs.run([(setting, seed) for seed in (0, 1, 2)])
    assert asked[2:] == [(setting, 2)]
    for seed in (0, 1):
        assert_same(first[setting, seed], again[setting, seed])
        assert_same(first[setting, seed], more[setting, seed])
    assert not list(fresh_runs.glob("checkpoints/*"))


@each_kind
def test_who_comes_second_finds_it_finished(setting, fresh_runs):
    train((setting, 1))
    before, steps = runs.run_file(setting, 1).stat().st_mtime_ns, []
    train((setting, 1), report=steps.append)
    assert runs.run_file(setting, 1).stat().st_mtime_ns == before and steps == []


def test_a_run_of_digits_holds_what_it_promises(fresh_runs):
    found = runs.run([(DIGITS, 3)])[DIGITS, 3]
    shapes = {name: value.shape for name, value in found.items() if name != "meta"}
    assert shapes == {
        **{name: (5,) for name in ("steps", "validation", "test", "finite")},
        **{"percentiles": (5, 99, 100), "pooled": (5, 3), "mean": (5, 100), "std": (5, 100)},
        **{"look_steps": (4,), "population": (4,), "moving": (4, 2)},
    }
    assert found["steps"].tolist() == [0, 5, 10, 15, 20]
    assert Setting(**found["meta"]["setting"]) == DIGITS


def test_a_run_of_images_holds_its_curves_and_the_weights_of_its_last_evaluation(asked):
    found = runs.run([(MEMBER, 3)])[MEMBER, 3]
    curves = {name: value.shape for name, value in found.items() if name != "meta" and not name.startswith("net/")}
    ends = dict.fromkeys(("final_test", "final_train", "diverged", "infinite"), ())
    assert curves == {"steps": (3,), "validation": (3,)} | ends
    assert found["steps"].tolist() == [0, 4, 8] and found["diverged"] == -1
    meta = found["meta"]
    assert Recipe(**meta["setting"] | {"modules": tuple(meta["setting"]["modules"])}) == MEMBER
    trainer = runs.trainer_of([(MEMBER, 3)])
    trainer.load_weights(found)
    assert trainer.accuracy(trainer.watched) == found["validation"][-1]
    assert trainer.accuracy(runs.data_of(MEMBER).test) == found["final_test"]
    assert meta["parameters"] == sum(p.numel() for p in trainer.net.parameters()) and meta["processes"] == 1


@each_kind
def test_where_a_run_comes_from_is_where_it_began(setting, fresh_runs, monkeypatch):
    """The commit and the rules of the moment before it, also where it was stopped and HEAD went on."""
    monkeypatch.setattr(runs, "SAVE_EVERY", 0)
    begun = provenance.origin()
    with pytest.raises(Stop):
        train((setting, 3), report=killed_at(6))
    monkeypatch.setattr(provenance, "source", lambda: {"version": "9", "commit": "later", "dirty": True})
    train((setting, 3))
    meta = finished((setting, 3))["meta"]
    assert (meta["source"], meta["rules"]) == (begun["source"], claims.rule_digests())
    assert meta["seed"] == 3 and meta["code"] == runs.code_digest(setting) and meta["compiled"] is False
    assert meta["data_sha256"] == runs.data_of(setting).checksum


def test_a_diverged_run_is_kept_and_the_others_finish(asked):
    found = runs.run([(WILD, 1), (MEMBER, 1)])
    wild = found[WILD, 1]
    assert 0 < wild["diverged"] < 4 and wild["steps"].tolist() == [0, 4]
    assert np.isfinite(wild["validation"][0]) and np.isnan(wild["validation"][1]) and np.isnan(wild["final_test"])
    assert found[MEMBER, 1]["diverged"] == -1 and np.isfinite(found[MEMBER, 1]["final_test"])
    assert_same(runs.run([(WILD, 1)])[WILD, 1], wild)


# ---- Company -------------------------------------------------------------------------------------


def test_on_a_cpu_each_run_trains_alone_on_a_gpu_small_networks_of_one_shape_together():
    slow = replace(DIGITS, learning_rate=0.1, weight_std=0.2)
    wanted = [(DIGITS, 0), (PLAIN, 0), (slow, 4), (MEMBER, 0), (DIGITS, 1), (MEMBER, 1)]
    assert runs.groups(wanted, "cpu") == [[pair] for pair in wanted]
    together = [[(DIGITS, 0), (slow, 4), (DIGITS, 1)], [(PLAIN, 0)], [(MEMBER, 0)], [(MEMBER, 1)]]
    assert runs.groups(wanted, "cuda") == together


@each_kind
def test_the_bytes_of_a_run_depend_on_no_other(setting, tmp_path, monkeypatch):
    """Any set of seeds, other settings between them, stopped or not; of each two seeds, each comes first once."""
    other, alone = replace(setting, learning_rate=setting.learning_rate / 2), {}
    for seed in (1, 2, 7):
        monkeypatch.setenv("BN_RUNS", str(tmp_path / f"alone {seed}"))
        train((setting, seed))
        alone[seed] = finished((setting, seed))
    monkeypatch.setattr(runs, "SAVE_EVERY", 0)
    for k, order in enumerate([(1, 2, 7), (7, 2, 1)]):
        monkeypatch.setenv("BN_RUNS", str(tmp_path / f"together {k}"))
        for seed in order:
            with pytest.raises(Stop):
                train((setting, seed), report=killed_at(6))
            train((other, seed))
        for seed in order[::-1]:
            train((setting, seed))
            assert_same(finished((setting, seed)), alone[seed])


def test_those_that_stopped_at_one_step_go_on_together(fresh_runs, monkeypatch):
    """As on a GPU: three replicas, one of them stopped earlier; each ends as if it had been alone."""
    wanted, alone = [(PLAIN, seed) for seed in (0, 1, 2)], runs.groups
    monkeypatch.setattr(runs, "groups", lambda missing, device: alone(missing, "cuda"))
    monkeypatch.setattr(runs, "SAVE_EVERY", 0)
    for step, pairs in ((6, wanted[:1]), (22, wanted[1:])):
        with pytest.raises(Stop):
            train(*pairs, report=killed_at(step))
    stopped = [
        (len(group), [state.get("step") for state in states]) for group, states in runs._resumed(runs.job(*wanted))
    ]
    assert stopped == [(1, [5]), (2, [10, 10])]
    train(*wanted)
    ends = {pair: finished(pair)["validation"] for pair in wanted}
    for pair in wanted:
        runs.run_file(*pair).unlink()
        train(pair)
        np.testing.assert_allclose(ends[pair], finished(pair)["validation"], atol=0.02)


# ---- Killed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "constant", "goes_on"),
    [
        (DIGITS, "SAVE_EVERY", 5),
        (PLAIN, "SAVE_BETWEEN", 4),
        (replace(MEMBER, every=5), "SAVE_BETWEEN", 4),
        (INCEPTION, "SAVE_EVERY", 4),
        (MEMBER, "SAVE_EVERY", 4),
        (MEMBER, "SAVE_BETWEEN", 5),
        (WILD, "SAVE_BETWEEN", 2),
    ],
    ids=["digits", "digits between", "images between", "images", "member", "between evaluations", "diverged"],
)
def test_a_killed_training_goes_on_from_its_checkpoint_and_ends_with_the_same_bytes(
    setting, constant, goes_on, tmp_path, monkeypatch, fresh_runs
):
    """Killed in the sixth step, or, after a divergence in the third, in the fourth."""
    pair, steps = (setting, 1), []
    monkeypatch.setenv("BN_RUNS", str(tmp_path / "undisturbed"))
    train(pair)
    undisturbed = finished(pair)
    assert undisturbed.get("diverged", -1) == (2 if setting is WILD else -1)
    monkeypatch.setenv("BN_RUNS", str(fresh_runs))
    monkeypatch.setattr(runs, constant, 0)
    with pytest.raises(Stop):
        train(pair, report=killed_at(4 if setting is WILD else 6))
    assert not runs.run_file(*pair).exists() and checkpoint(pair).exists()
    train(pair, report=steps.append)
    assert (steps[0] == goes_on and steps[-1] == setting.steps) or setting is WILD
    assert_same(finished(pair), undisturbed)
    assert not checkpoint(pair).exists()


@each_kind
def test_a_checkpoint_is_not_written_at_every_evaluation(setting, fresh_runs, monkeypatch):
    written = []
    monkeypatch.setattr(files, "save", lambda path, state: written.append(path))
    train((setting, 1))
    assert written == []  # in a training of two seconds


@each_kind
def test_a_damaged_checkpoint_is_said_and_the_run_begins_again(setting, fresh_runs, monkeypatch, capsys):
    pair, steps = (setting, 1), []
    monkeypatch.setattr(runs, "SAVE_EVERY", 0)
    with pytest.raises(Stop):
        train(pair, report=killed_at(6))
    content = bytearray(checkpoint(pair).read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint(pair).write_bytes(content)
    train(pair, report=steps.append)
    assert steps[0] == 0 and str(checkpoint(pair)) in capsys.readouterr().out
    train((setting, 2))
    (aside,) = fresh_runs.glob("checkpoints/*.damaged")
    assert aside.read_bytes() == bytes(content)


@each_kind
def test_a_damaged_run_is_said_and_trained_again(setting, asked, capsys):
    first, path = runs.run([(setting, 1)]), runs.run_file(setting, 1)
    for damaged in (path.read_bytes()[:-100], b"", b"not a run"):
        path.write_bytes(damaged)
        assert_same(runs.run([(setting, 1)])[setting, 1], first[setting, 1])
        assert f"{path} is damaged" in capsys.readouterr().out
    assert len(asked) == 4


@each_kind
def test_another_run_s_file_under_its_name_is_damaged(setting, asked, capsys):
    first = runs.run([(setting, 1), (setting, 2)])
    runs.run_file(setting, 2).rename(runs.run_file(setting, 1))
    assert_same(runs.run([(setting, 1)])[setting, 1], first[setting, 1])
    assert "is damaged" in capsys.readouterr().out


def test_what_a_kill_left_beside_a_finished_run_is_cleared(asked):
    runs.run([(DIGITS, 1)])
    left = [checkpoint((DIGITS, 1)), runs.run_file(DIGITS, 1).with_name(f"{runs.run_file(DIGITS, 1).name}.3.part")]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    runs.run([(DIGITS, 1)])
    assert len(asked) == 1 and not any(path.exists() for path in left)


def test_a_checkpoint_of_an_earlier_laboratory_is_none(fresh_runs):
    files.save(checkpoint((DIGITS, 1)), {"step": 10})
    steps = []
    train((DIGITS, 1), report=steps.append)
    assert steps[0] == 0


@each_kind
def test_a_job_of_several_is_on_a_cpu_one_after_the_other(setting, fresh_runs):
    wanted = [(setting, 0), (replace(setting, learning_rate=setting.learning_rate / 2), 1), (setting, 2)]
    train(*wanted)
    together = {pair: finished(pair) for pair in wanted}
    for pair in wanted:
        runs.run_file(*pair).unlink()
        train(pair)
        assert_same(finished(pair), together[pair])


def test_a_folder_that_cannot_hold_runs_is_said_before_anything_is_trained(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        monkeypatch.setenv("BN_RUNS", str(folder))
        with pytest.raises(RunError, match=r"cannot hold what is kept .*point BN_RUNS at a folder"):
            runs.run([(DIGITS, 0)])


def test_what_a_kill_left_half_written_is_cleared(fresh_runs):
    path = runs.run_file(DIGITS, 1)
    left = [path.with_name(f"{path.name}.{n}.part") for n in (1, 99_999)] + [
        checkpoint((DIGITS, 1)).with_name(f"{checkpoint((DIGITS, 1)).name}.7.part")
    ]
    other = path.with_name("another.npz.5.part")
    for part in (*left, other):
        part.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
    train((DIGITS, 1))
    assert other.exists() and not any(part.exists() for part in left)


def test_a_training_begun_with_torch_compile_begins_again_where_that_does_not_work(fresh_runs, monkeypatch, capsys):
    pair, steps = (DIGITS, 1), []
    monkeypatch.setattr(runs, "SAVE_EVERY", 0)
    with pytest.raises(Stop):
        train(pair, report=killed_at(6))
    state = files.load(checkpoint(pair))
    assert state["made_as"]["compiled"] is False
    earlier = {"source": {"version": "0", "commit": "earlier", "dirty": False}, "rules": {}}
    changed = {"made_as": state["made_as"] | {"compiled": True}, "origin": earlier}
    files.save(checkpoint(pair), state | changed)
    train(pair, report=steps.append)
    assert steps[0] == 0 and "begins again" in capsys.readouterr().out
    meta = finished(pair)["meta"]
    assert meta["compiled"] is False and (meta["source"], meta["rules"]) == tuple(provenance.origin().values())


def test_a_training_is_not_gone_on_with_by_another_command(fresh_runs, monkeypatch):
    """Of one process or of eight, with joined statistics or without: one that changed would be of two kinds."""
    pair = (MEMBER, 1)
    monkeypatch.setattr(runs, "SAVE_EVERY", 0)
    with pytest.raises(Stop):
        train(pair, report=killed_at(6))
    state = files.load(checkpoint(pair))
    for name, value in (("processes", 8), ("synchronized", True)):
        files.save(checkpoint(pair), state | {"made_as": state["made_as"] | {name: value}})
        with pytest.raises(RunError, match=rf"begun with {name} {value}, and here it is .*give the same command"):
            train(pair)
    files.save(checkpoint(pair), state)
    train(pair)
    assert finished(pair)["meta"]["processes"] == 1


@each_kind
def test_code_that_changes_while_it_trains_does_not_lose_the_run(setting, fresh_runs, monkeypatch):
    """What was loaded trains on, and is filed under the code that it is."""
    job, then = runs.job((setting, 0)), runs.code_digest(setting)

    def edited(*roots, kernels):
        raise RunError("the code was changed")

    def edit(step):
        monkeypatch.setattr(code, "digest", edited)

    runs.train(job, edit)
    monkeypatch.undo()
    (path,) = job.wanted.values()
    assert files.read_arrays(path)["meta"]["code"] == then


# ---- The name of its file ------------------------------------------------------------------------


@pytest.fixture
def any_data(monkeypatch):
    """Data sets that need not be there: the name of a run's file wants their digest alone."""
    monkeypatch.setattr(runs, "data_of", lambda setting: SimpleNamespace(checksum="made up"))


def other(value):
    """A different value of the same type."""
    if isinstance(value, bool):
        return not value
    return {str: lambda v: v + "-2", tuple: lambda v: (*v, "4a")}.get(type(value), lambda v: v + 1)(value)


@pytest.mark.parametrize(
    ("setting", "name"),
    [(setting, field.name) for setting in (DIGITS, INCEPTION) for field in fields(setting)],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_each_field_of_a_setting_changes_the_name_of_its_file(setting, name, any_data):
    changed = replace(setting, **{name: other(getattr(setting, name))})
    assert runs.run_file(changed, 0).stem[-16:] != runs.run_file(setting, 0).stem[-16:]
    assert runs.run_file(replace(setting), 0) == runs.run_file(setting, 0)


@each_kind
def test_so_do_the_seed_the_data_and_the_code(setting, any_data, monkeypatch):
    usual, seeded = runs.run_file(setting, 0), runs.run_file(setting, 1)
    monkeypatch.setattr(code, "digest", lambda *roots, kernels: "another")
    recoded = runs.run_file(setting, 0)
    monkeypatch.undo()
    monkeypatch.setattr(runs, "data_of", lambda setting: SimpleNamespace(checksum="others"))
    assert len({path.stem[-16:] for path in (usual, seeded, recoded, runs.run_file(setting, 0))}) == 4


@each_kind
def test_a_worker_with_other_code_than_its_parent_s_files_nothing(setting, fresh_runs, monkeypatch):
    job = runs.job((setting, 0))
    monkeypatch.setattr(code, "digest", lambda *roots, kernels: "another")
    with pytest.raises(RunError, match=r"The code or the data was changed .* restart the kernel"):
        runs.train(job)
    assert not list(fresh_runs.rglob("*.npz"))


def test_a_run_of_a_gpu_is_another_than_that_of_a_cpu(any_data, monkeypatch):
    on_cpu = [runs.run_file(setting, 0) for setting in (DIGITS, INCEPTION)]
    monkeypatch.setattr(workers, "device", lambda: "cuda")
    assert not set(on_cpu) & {runs.run_file(setting, 0) for setting in (DIGITS, INCEPTION)}


def test_the_kernels_are_part_of_what_a_run_on_a_gpu_is_valid_for(any_data, monkeypatch):
    on_cpu = [runs.code_digest(setting) for setting in (DIGITS, INCEPTION)]
    monkeypatch.setattr(workers, "device", lambda: "cuda")
    on_gpu = [runs.code_digest(setting) for setting in (DIGITS, INCEPTION)]
    assert on_gpu[1] != on_cpu[1]
    assert on_gpu[0] == on_cpu[0]  # written along the replica axis, without bn's layers


def test_a_state_holds_tensors_numbers_and_words_only(fresh_runs, tmp_path):
    """So that reading it can run no code."""
    for setting in (DIGITS, MEMBER):
        trainer = runs.trainer_of([(setting, 0)])
        trainer.run()
        files.save(tmp_path / "state.pt", trainer.state(0))
        found = files.load(tmp_path / "state.pt")
        assert found["step"] == setting.steps
        net = {name: value.tolist() for name, value in found["net"].items()}
        assert json.dumps(net) and all(isinstance(value, torch.Tensor) for value in found["net"].values())
