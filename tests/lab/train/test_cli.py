"""The command that trains on ImageNet: alone, in two processes, interrupted, and asked wrongly."""

import contextlib
import io
import os
import pickle
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import torch
import torch.distributed as dist
from PIL import Image

from bn.lab import paths, registry
from bn.lab.data import augment
from bn.lab.store import files, workers
from bn.lab.store.files import RunError
from bn.lab.train import cli, recipes, runs
from bn.lab.train.loop import ImageTrainer
from bn.lab.train.specs import ImageSpec

SMALL = ["--steps", "2", "--batch", "8", "--width", "0.03125", "--pixels", "16"]
PAPER = [*SMALL, "--scale", "paper", "--classes", "4"]
DIGITS = ["--scale", "smoke", "--batch", "8", "--learning-rate", "0.01"]
DIVERGING = [*DIGITS, "--network", "inception", "--learning-rate", "1e6"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data folder with 4 classes in ImageNet's published layout: pictures of noise, each class in its colour."""
    data = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for part, count in (("train", 20), ("val", 3)):
        for label in range(4):
            for i in range(count):
                path = data / "imagenet" / part / f"n0{label}" / f"n0{label}_{i}.JPEG"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = random.integers(128, size=(20, 24, 3), dtype=np.uint8)
                pixels[..., label % 3] += 40 * label
                Image.fromarray(pixels).save(path, "JPEG")
    return data


@pytest.fixture
def here(folder, fresh_runs, monkeypatch, one_thread):
    """That data folder, and no runs."""
    monkeypatch.setenv("BN_DATA", str(folder))
    return fresh_runs


def pair_of(*options):
    """The recipe and the seed that the command trains."""
    options = cli.parser().parse_args(options)
    return cli.asked(options)[options.network], options.seed


def content(folder):
    """The arrays and weights of the only run in a folder of runs."""
    (path,) = folder.glob("*/*.npz")
    return {name: array for name, array in files.read_arrays(path).items() if name != "meta"}


def assert_same_bytes(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.tobytes() == other[name].tobytes(), name


class Killed(Exception):
    pass


def killed_at(step):
    """A report that ends the training in the middle."""

    def report(now):
        if now == step:
            raise Killed

    return report


# ---- Alone ---------------------------------------------------------------------------------------


def test_a_notebook_finds_the_run_that_the_command_trained(fresh_runs, one_thread, monkeypatch, capsys):
    cli.main([*DIGITS, "--network", "bn_x30", "--seed", "3"])
    said = capsys.readouterr().out
    monkeypatch.setattr(workers, "in_processes", None)  # a call would fail
    spec = ImageSpec(scale="smoke", batch=8, learning_rate=0.01, seeds=(3,))
    wanted = (recipes.bn_x30(spec.base(0.01)), 3)
    found = runs.run([wanted])[wanted]
    assert found["steps"][-1] == 4 * 32 / 8 and len(found["validation"]) == len(found["steps"])
    assert f"{runs.run_file(*wanted)} holds the run" in said
    assert f"test accuracy {100 * found['final_test']:.2f}% after 16 steps" in said
    assert f"{found['meta']['training_seconds']:.1f} seconds" in said


@pytest.mark.parametrize("kept", ["after an evaluation", "between two"])
def test_an_interrupted_run_ends_with_the_same_bytes(here, tmp_path, monkeypatch, kept):
    pair = pair_of(*PAPER, "--network", "inception")  # its dropout and its distortion are random
    pair = replace(pair[0], every=4), pair[1]
    monkeypatch.setattr(runs, {"between two": "SAVE_BETWEEN"}.get(kept, "SAVE_EVERY"), 0)
    runs.train(runs.job(pair))
    monkeypatch.setenv("BN_RUNS", str(tmp_path / "again"))
    with pytest.raises(Killed):
        runs.train(runs.job(pair), killed_at(7))
    (checkpoint,) = (tmp_path / "again" / "checkpoints").iterdir()
    at = files.load(checkpoint)
    assert at["step"] == (6 if kept == "between two" else 4) and at["seconds"] > 0
    resumed = []
    runs.train(runs.job(pair), resumed.append)
    assert resumed[0] == at["step"] and not checkpoint.exists()
    assert_same_bytes(content(here), content(tmp_path / "again"))


def first_infinite(pair):
    """The step whose loss is the first that is not finite, by looking at each."""
    trainer = ImageTrainer(*pair, runs.data_of(pair[0]))
    while trainer.loss.isfinite():
        trainer.advance()
    return trainer.step - 1


def test_a_divergence_is_a_finding_and_its_step_is_told(fresh_runs, one_thread, capsys):
    cli.main(DIVERGING)
    step = first_infinite(pair_of(*DIVERGING))
    assert 0 < step < 31
    said = capsys.readouterr().out
    assert f"diverged: the loss of step {step} was not finite" in said and "accuracy" not in said


def test_a_checkpoint_after_a_divergence_would_move_its_step_and_is_not_written(fresh_runs, one_thread, monkeypatch):
    pair = pair_of(*DIVERGING)
    pair = replace(pair[0], every=32), pair[1]
    step = first_infinite(pair)
    monkeypatch.setattr(runs, "SAVE_BETWEEN", 0)
    with pytest.raises(Killed):
        runs.train(runs.job(pair), killed_at(20))
    (checkpoint,) = (fresh_runs / "checkpoints").iterdir()
    assert files.load(checkpoint)["step"] == step < 20
    runs.train(runs.job(pair))
    assert content(fresh_runs)["diverged"] == step


# ---- Two processes -------------------------------------------------------------------------------


@pytest.mark.slow
def test_torchrun_trains_a_run_of_the_paper_and_a_second_call_trains_nothing(here, monkeypatch, capsys):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, "-m", "bn.lab.train.cli", *PAPER, "--network", "bn_x5"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=paths.ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    path = runs.run_file(*pair_of(*PAPER, "--network", "bn_x5"))
    assert ended.stdout.count("holds the run") == 1 and str(path) in ended.stdout
    assert ended.stderr.count("0.00/4.00 [00:00<?") == 1  # one bar, of the first process
    run = files.read_arrays(path)
    assert run["meta"]["processes"] == 2 and run["meta"]["synchronized"] is False
    assert run["steps"][-1] == 2 * 32 / 8 / 2  # BN-x5 takes half the steps, of a quarter of the images each
    before = {file: file.stat().st_mtime_ns for file in here.rglob("*.*")}
    monkeypatch.setattr(runs, "trainer_of", None)  # a call would fail
    cli.main([*PAPER, "--network", "bn_x5"])
    assert "finished before, and nothing is trained" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in here.rglob("*.*")} == before


CASES = {  # network, statistics joined
    "bn joined": ("bn_x5", True),
    "bn apart": ("bn_x5", False),
    "plain": ("plain_shuffling", False),
}


def exact(patch):
    """Images that are not moved, and arithmetic that leaves no doubt: double precision."""
    normalized = ImageTrainer.normalized
    patch.setattr(augment, "changed", lambda x, changes: x)
    patch.setattr(ImageTrainer, "normalized", lambda trainer, x: normalized(trainer, x).double())


def trained(name, synchronized, steps=3):
    """Parameters and moving averages of a network after a few steps."""
    recipe, seed = pair_of(*PAPER, "--network", name)
    recipe = replace(recipe, precision="float32", dropout=0.0)
    torch.set_default_dtype(torch.float64)
    try:
        trainer = ImageTrainer(recipe, seed, runs.data_of(recipe), synchronized=synchronized)
        for _ in range(steps):
            trainer.advance()
    finally:
        torch.set_default_dtype(torch.float32)
    averages = {name: b for name, b in trainer.net.named_buffers() if b.is_floating_point()}
    return {name: p.detach() for name, p in trainer.net.named_parameters()}, averages


def process(rank, address, folder):
    """One of the two processes: every case, its results written to a file."""
    torch.set_num_threads(1)
    patience = timedelta(seconds=120)  # then a sum that the other process does not join raises
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2, timeout=patience)
    found = {"resumed": [], "again": []}
    found["told"] = [runs._of_the_first(rank == 0), runs._of_the_first(rank == 1)]
    os.environ["BN_RUNS"] = str(folder / "whole")
    runs.SAVE_BETWEEN = 0
    recipe, seed = pair_of(*PAPER, "--network", "inception")
    pair = replace(recipe, every=4), seed
    runs.train(runs.job(pair))
    os.environ["BN_RUNS"] = str(folder / "killed")
    with contextlib.suppress(Killed):
        runs.train(runs.job(pair), killed_at(7))
    runs.train(runs.job(pair), found["resumed"].append)
    runs.train(runs.job(pair), found["again"].append)
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            cli.main([*PAPER, "--network", "bn_x5", "--batch", "9"])
        except SystemExit as end:
            found["nine"] = end.code, said.getvalue()
    with pytest.MonkeyPatch.context() as patch:
        exact(patch)
        found |= {case: trained(*asked) for case, asked in CASES.items()}
    (folder / f"{rank}.pkl").write_bytes(pickle.dumps(found))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def processes(folder, tmp_path_factory):
    """What each of the two processes found, and the folder in which they were."""
    where = tmp_path_factory.mktemp("processes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BN_DATA", str(folder))
        torch.multiprocessing.spawn(process, args=(f"file://{where / 'meeting'}", where), nprocs=2)
    return [pickle.loads((where / f"{rank}.pkl").read_bytes()) for rank in range(2)], where


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_processes_on_halves_are_one_on_the_whole_if_statistics_are_joined(here, processes, monkeypatch, case):
    exact(monkeypatch)
    expected, averages = trained(*CASES[case])
    start = trained(*CASES[case], steps=0)[0]
    (found, found_averages), (others, others_averages) = (result[case] for result in processes[0])
    torch.testing.assert_close(others, found, rtol=0, atol=0)  # all processes hold the same network
    furthest = max(float((expected[name] - start[name]).abs().max()) for name in start)
    apart = max(float((expected[name] - found[name]).abs().max()) for name in start)
    if case == "bn apart":
        assert apart > 0.01 * furthest
        return
    assert apart < 1e-9 * furthest
    torch.testing.assert_close(found_averages, averages, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(others_averages, averages, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_an_interrupted_run_of_two_processes_ends_with_the_same_bytes(processes):
    results, folder = processes
    assert [result["resumed"][0] for result in results] == [6, 6]
    assert [result["again"] for result in results] == [[], []]  # the finished run is found by both
    assert_same_bytes(content(folder / "whole"), content(folder / "killed"))


@pytest.mark.slow
def test_all_processes_go_by_what_the_first_one_found(processes):
    """One that waited for another job may find the run finished where the others looked too early, and would hang."""
    assert [result["told"] for result in processes[0]] == [[True, False]] * 2


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_refused_by_both_processes(processes):
    for result in processes[0]:
        status, said = result["nine"]
        assert status == 1 and said.endswith("\nerror: batch must be a multiple of the 2 processes, but it is 9\n")


# ---- What the command and the notebooks say ------------------------------------------------------


def fails(capsys, status, *options):
    """The one sentence with which the command ends."""
    with pytest.raises(SystemExit) as ended:
        cli.main(list(options))
    said = capsys.readouterr()
    assert ended.value.code == status and said.out == ""
    (line,) = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in said.err and said.err.endswith(line + "\n")
    return line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--network", "bn_x7"], ("network must be one of 'inception', 'bn_baseline', 'bn_x5'", "'bn_x7'")),
        (["--network", "bn_x5", "--scale", "huge"], ("scale must be one of", "'huge'")),
        (["--network", "bn_x5", "--dataset", "mnist"], ("data set must be one of imagenet", "mnist")),
        (["--network", "bn_x5", "--pixels", "4"], ("pixels must be a whole number from 8 to",)),
        (["--network", "bn_x5", "--batch", "1"], ("batch must be a whole number from 2 to",)),
        (["--network", "bn_x5", "--width", "0"], ("width must be a number from 0.001 to",)),
        (["--network", "bn_x5", "--seed", "-1"], ("seed must be a whole number from 0 to",)),
        (["--network", "bn_x5", "--classes", "1"], ("classes must be a whole number at least 2",)),
        (["--network", "bn_x5", "--scale", "gpu"], ("'gpu'", "by a sweep", "give --learning-rate")),
    ],
)
def test_what_is_asked_wrongly_is_told_in_one_sentence(fresh_runs, capsys, options, words):
    line = fails(capsys, 2, *options)
    for word in words:
        assert word in line
    assert not fresh_runs.exists()


def test_a_folder_with_other_classes_than_the_network(here, capsys):
    line = fails(capsys, 1, *SMALL, "--scale", "paper", "--network", "bn_x5")
    assert "imagenet has 4 classes here, but the network has 1,000" in line


def test_an_absent_folder(fresh_runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BN_DATA", str(tmp_path / "nothing"))
    line = fails(capsys, 1, *PAPER, "--network", "bn_x5")
    assert str(tmp_path / "nothing" / "imagenet" / "train") in line and "BN_DATA" in line


def test_an_image_that_is_cut_short_is_named(folder, fresh_runs, tmp_path, monkeypatch, capsys):
    shutil.copytree(folder / "imagenet", tmp_path / "data" / "imagenet")
    monkeypatch.setenv("BN_DATA", str(tmp_path / "data"))
    path = tmp_path / "data" / "imagenet" / "train" / "n02" / "n02_11.JPEG"
    path.write_bytes(path.read_bytes()[:400])
    line = fails(capsys, 1, *PAPER, "--network", "bn_x5")
    assert f"{path} cannot be decoded: it is cut short" in line


def test_a_checkpoint_of_another_network_is_not_gone_on_with(here, capsys):
    (recipe, seed), other = pair_of(*PAPER, "--network", "bn_x5"), pair_of(*PAPER, "--network", "bn_x30")[0]
    name = here / "checkpoints" / f"{runs.run_file(recipe, seed).stem}.pt"
    files.save(name.with_name(f"{runs.run_file(other, seed).stem}.pt"), {"step": 3})
    name.with_name(f"{runs.run_file(other, seed).stem}.pt").rename(name)
    cli.main([*PAPER, "--network", "bn_x5"])
    said = capsys.readouterr().out
    assert f"{name} is damaged" in said and "holds the run" in said


def test_the_list_names_each_network_of_the_paper_with_its_work(capsys):
    cli.main(["--list"])
    rows = {name: rest for name, *rest in map(str.split, capsys.readouterr().out.splitlines()[1:])}
    # Section 4.2.2: Inception is trained for 31 million steps of 32 images, at 0.0015; BN-x5 at 0.0075, x30 at 0.045.
    assert rows["inception"] == ["0.0015", "31,000,000", "992,000,000"]
    assert [rows[name][0] for name in ("bn_baseline", "bn_x5", "bn_x30")] == ["0.0015", "0.0075", "0.045"]
    assert {"bn_x5_sigmoid", "plain_x5", "plain_x30", "sigmoid"} < rows.keys()
    assert {f"member_{i}" for i in range(1, 7)} < rows.keys()
    changes = ("rate", "dropout", "l2", "decay", "lrn", "shuffling", "distortion")
    assert {f"{part}_{change}" for part in ("alone", "left_out") for change in changes} < rows.keys()


@pytest.mark.parametrize("name", ["training_speed", "ablations", "ensemble"])
def test_a_notebook_at_the_papers_size_trains_nothing_and_names_the_commands(here, monkeypatch, name):
    wanted, asked = [], []
    monkeypatch.setattr(cli, "NAMED", 99)
    expect = cli.expect_finished
    monkeypatch.setattr(cli, "expect_finished", lambda spec, pairs: wanted.extend(pairs) or expect(spec, pairs))
    spec = registry.experiment(name).spec(scale="paper", batch=64, pixels=16, seeds=(0, 5))
    with pytest.raises(RunError, match="Runs of scale 'paper' are missing") as caught:
        registry.experiment(name).record(spec)
    commands = [line for line in str(caught.value).splitlines() if "--network" in line]
    for line in commands:
        assert line.startswith("  python -m bn.lab.train.cli ")
        asked.append(pair_of(*shlex.split(line)[3:]))
    assert asked == list(dict.fromkeys(wanted)) and len(asked) > 10
    assert f"({len(asked)})" in str(caught.value)


def test_a_network_that_the_command_does_not_know_is_told_with_where_its_name_belongs(here):
    spec = ImageSpec(scale="paper", pixels=16)
    base = spec.base(spec.learning_rate)
    with pytest.raises(RunError, match=r"\(2\), and bn.lab.train.cli has no name .*: add the recipe to `networks`"):
        cli.expect_finished(spec, [(base, 0), (replace(base, momentum=0.5), 0)])


def test_a_sentence_about_missing_runs_names_a_few_and_counts_the_others(here):
    spec = ImageSpec(scale="paper", pixels=16)
    pairs = [(recipe, 0) for recipe in recipes.members(spec.base(spec.learning_rate)).values()]
    with pytest.raises(RunError) as caught:
        cli.expect_finished(spec, pairs)
    lines = str(caught.value).splitlines()
    assert "(6)" in lines[0] and len(lines) == 5 and lines[-1].startswith("  and 3 more: ")
    for recipe, seed in pairs:
        files.write_arrays(runs.run_file(recipe, seed), {}, {})
    cli.expect_finished(spec, pairs)
    runs.run_file(*pairs[0]).write_bytes(b"damaged")
    with pytest.raises(RunError, match=r"are missing \(1\)"):
        cli.expect_finished(spec, pairs)
