"""A visit with made-up stages: limits, failures, signals, what is kept, and what the next visit finds."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from test_architecture import ROOT

from bn.lab.gpu import __main__, stages, visit
from bn.lab.gpu.output import ArchiveError
from bn.lab.gpu.stages import Stage

LAUNCH = "WINDOW = 20 * 2**20  # bytes\nTASK = 4 * SMALLEST\n"


@pytest.fixture
def folders(tmp_path):
    """A checkout with little in it; each call is a fresh temporary folder and fresh runs, as on another machine."""
    root = tmp_path / "checkout"
    (root / "bn").mkdir(parents=True)
    (root / "bn" / "launch.py").write_text(LAUNCH)
    (tmp_path / "carried").mkdir()
    made = []

    def another() -> visit.Folders:
        made.append(tmp_path / str(len(made)))
        return visit.Folders(root, made[-1], made[-1] / "out", made[-1] / "runs", tmp_path / "carried")

    return another


def stage(name, code, seconds=30.0, **more):
    return Stage(name, ("-c", code), seconds, **more)


def run(chosen, folders, seconds=100.0):
    return visit.run(chosen, folders, time.monotonic() + visit.RESERVE + seconds, {})


def summary(folders) -> dict:
    return json.loads((folders.out / "summary.json").read_text())


def states(folders) -> dict[str, str]:
    return {row["stage"]: row["state"] for row in summary(folders)["stages"]}


# ---- Each stage under watch --------------------------------------------------------------------------------------


def test_a_stage_that_hangs_is_killed_with_its_children_and_the_next_goes_on(folders, capfd, monkeypatch):
    monkeypatch.setattr(visit, "LEAST", 1.0)
    here = folders()
    hang = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(90)'])\n"
        "print(child.pid, flush=True)\ntime.sleep(90)"
    )
    start = time.monotonic()
    assert run([stage("hangs", hang, 2.0), stage("next", "print('fine')")], here) == 1
    assert time.monotonic() - start < 30
    assert states(here) == {"hangs": "stopped", "next": "done"}
    hanging, after = summary(here)["stages"]
    assert hanging["finding"].startswith("killed at its limit of 2 s; ") and after["finding"] == "fine"
    child = int(hanging["finding"].split()[-1])
    for _ in range(50):  # whoever inherits it may take a moment to bury it
        if not Path(f"/proc/{child}/stat").exists() or Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
            break
        time.sleep(0.1)
    else:
        pytest.fail("the child lives on, and would keep the GPU")
    assert "hangs        stopped" in capfd.readouterr().out


def test_a_stage_that_fails_is_said_in_a_line_and_the_next_goes_on(folders):
    here = folders()
    chosen = [stage("fails", "print('why'); raise SystemExit(3)"), stage("next", "print('fine')")]
    assert run(chosen, here) == 1
    assert summary(here)["stages"][0]["finding"] == "exit status 3; why"
    assert states(here) == {"fails": "failed", "next": "done"}
    assert "why\n" in (here.out / "log.txt").read_text()


def test_a_stage_may_go_on_after_a_failure(folders):
    """As the kernels' record does in a new process, where the old one lost its GPU."""
    here = folders()
    code = "import os; print('again' if os.path.exists('begun') else open('begun', 'w') and exit(1))"
    assert run([stage("kernels", code, 90.0, tries=2)], here) == 0
    assert summary(here)["stages"][0]["finding"] == "again"


def test_it_ends_before_its_limit_whatever_a_stage_does(folders, monkeypatch):
    monkeypatch.setattr(visit, "LEAST", 1.0)
    here, start = folders(), time.monotonic()
    chosen = [stage("long", "import time; time.sleep(90)", None, share=1.0), stage("late", "print('late')", None)]
    assert run(chosen, here, seconds=3.0) == 1
    assert time.monotonic() - start < 3 + visit.RESERVE / 2
    assert states(here) == {"long": "stopped", "late": "skipped"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_everything_in_the_output(folders, number):
    here = folders()
    code = (
        "import sys, time; from pathlib import Path; from test_visit import run, stage; from bn.lab.gpu import visit\n"
        f"here = visit.Folders(*map(Path, {list(map(str, vars(here).values()))!r}))\n"
        'slow = stage(\'slow\', \'import os, time; open(os.environ["BN_RUNS"] + "/a.npz", "w").write("kept");\''
        " ' print(\"begun\", flush=True); time.sleep(90)')\n"
        "sys.exit(run([slow, stage('next', '0')], here))"
    )
    places = os.pathsep.join(map(str, (ROOT, ROOT / "tests", Path(__file__).parent)))
    options = {"stdout": subprocess.PIPE, "text": True, "env": os.environ | {"PYTHONPATH": places}}
    with subprocess.Popen([sys.executable, "-c", code], **options) as running:
        for line in running.stdout:
            if line == "begun\n":
                running.send_signal(number)
        running.wait(30)
    assert running.returncode == 128 + number
    assert states(here) == {"slow": "interrupted", "next": "not begun"}
    with tarfile.open(here.out / "runs-0.tar") as archive:
        assert archive.extractfile("a.npz").read() == b"kept"


# ---- What is found goes on -----------------------------------------------------------------------------------------


def test_the_next_visit_does_nothing_twice(folders):
    """A stage of which once is enough; and runs are where they were."""
    first, second = folders(), folders()
    code = "import os; open(os.environ['BN_RUNS'] + '/made.npz', 'x').write('1'); print('measured')"
    assert run([stage("tests", code, once=True)], first) == 0
    (first.out / "runs-0.tar").rename(first.carried / "runs-0.tar")
    assert run([stage("tests", code, once=True), stage("other", "print('new')", once=True)], second) == 0
    assert [row["finding"] for row in summary(second)["stages"]] == ["done before: measured", "new"]
    assert (second.runs / "made.npz").read_text() == "1"
    with tarfile.open(second.out / "runs-0.tar") as archive:  # and the visit after it has all of both
        assert {"made.npz"} < set(archive.getnames()) and len(archive.getnames()) == 3


@pytest.mark.parametrize("change", ["code", "command"])
def test_what_was_found_of_other_code_is_found_again(folders, change):
    first, second = folders(), folders()
    run([stage("tests", "print('one')", once=True)], first)
    (first.out / "runs-0.tar").rename(first.carried / "runs-0.tar")
    if change == "code":
        (first.root / "bn" / "launch.py").write_text("WINDOW = 1\n")
    run([stage("tests", "print('two')" if change == "command" else "print('one')", once=True)], second)
    assert not summary(second)["stages"][0]["finding"].startswith("done before")


def test_a_failure_is_no_finding(folders):
    first, second = folders(), folders()
    for here in (first, second):
        run([stage("tests", "exit(1)", once=True)], here)
        assert states(here) == {"tests": "failed"}
        assert not list(here.out.glob("runs-*.tar"))


def test_tuned_constants_are_in_the_code_of_the_next_stages_and_in_a_patch(folders, monkeypatch, tmp_path):
    clean = {"version": "1", "commit": "5e94e3e1a2", "dirty": False}
    monkeypatch.setattr(visit.provenance, "source", lambda: clean)
    first, second = folders(), folders()
    (tmp_path / "found").write_text(json.dumps({"finding": "WINDOW", "constants": {"WINDOW": 8 * 2**20}}))
    copy = "import shutil, sys; shutil.copy(*sys.argv[1:])"
    tune = Stage("tune", ("-c", copy, str(tmp_path / "found"), "{finding}"), 30.0, once=True)
    after = stage("kernels", "import os; print(open('bn/launch.py').readline()[:-1], os.environ['BN_DIRTY'])")
    before = stage("before", "import os; print(os.environ['BN_COMMIT'], os.environ['BN_DIRTY'])")
    assert run([before, tune, after], first) == 0
    findings = [row["finding"] for row in summary(first)["stages"]]
    assert findings == ["5e94e3e1a2 0", "WINDOW", "WINDOW = 8 * 2**20  # bytes 1"]
    (first.out / "runs-0.tar").rename(first.carried / "runs-0.tar")
    assert run([tune, after], second) == 0  # found, and in the code again
    assert summary(second)["stages"][1]["finding"] == "WINDOW = 8 * 2**20  # bytes 1"
    command = ["patch", "-p1", "-i", str(first.out / "launch.patch")]
    assert subprocess.run(command, cwd=first.root, capture_output=True).returncode == 0
    assert (first.root / "bn" / "launch.py").read_text() == LAUNCH.replace("20 *", "8 *", 1)
    third = folders()
    assert run([tune, after], third) == 0  # of the code with the patch the same finding holds
    assert [row["finding"][:11] for row in summary(third)["stages"]] == ["done before", "WINDOW = 8 "]
    assert not (third.out / "launch.patch").exists()


def test_a_variable_is_told_to_the_stages_that_come(folders):
    first, second = folders(), folders()
    chosen = [stage("sharing", "print('many'); print(4)", once=True, variable="BN_PER_GPU")]
    chosen += [stage("training", "import os; print(os.environ.get('BN_PER_GPU'))")]
    for here in (first, second):
        assert run(chosen, here) == 0
        assert summary(here)["stages"][1]["finding"] == "4"
        shutil.copy(first.out / "runs-0.tar", first.carried)
    assert summary(second)["stages"][0]["finding"] == "done before: 4"
    third = folders()
    run([stage("sharing", "print('no'); exit(1)", variable="BN_PER_GPU"), chosen[1]], third)
    assert summary(third)["stages"][1]["finding"] == "None"


def test_an_archive_that_is_none_is_refused(folders):
    here = folders()
    (here.carried / "runs-0.tar").write_bytes(b"cut")
    with pytest.raises(ArchiveError, match=r"runs-0\.tar cannot be unpacked"):
        run([], here)


def test_without_images_nothing_is_trained(folders, monkeypatch, tmp_path):
    monkeypatch.setenv("BN_DATA", str(tmp_path / "empty"))
    here = folders()
    unpack = Stage("images", ("-c", "import sys; print(sys.argv)", "{data}", "{archives}"), 30.0)
    training = stage("training", "import os; print(os.environ['BN_DATA'])", images=True)
    assert run([unpack, training], here) == 0
    assert set(states(here).values()) == {"skipped"}
    there = folders()
    (here.carried / "train.tar.gz").touch()
    run([unpack, training], there)
    assert "train.tar.gz" in summary(there)["stages"][0]["finding"]
    assert summary(there)["stages"][1]["finding"] == str(there.scratch / "data")


# ---- What is asked -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            [],
            "error: torch finds no CUDA device here, and this measures on one; --dry-run walks through it on a CPU.\n",
        ),
        (["--dry-run", "--minutes", "0.5"], "--minutes must be from 1 to 1440, but it is 0.5\n"),
        (["--minutes", "nan"], "--minutes must be from 1 to 1440, but it is nan\n"),
        (["--dry-run", "--only", "testing"], "there is no stage testing; there are machine, races, tests, precompile,"),
        (["--dry-run", "--out", __file__], f"--out must be a folder, but {__file__} is a file\n"),
    ],
)
def test_a_wrong_call_is_refused_in_one_sentence(arguments, sentence, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        __main__.main(arguments)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_both_tables_have_the_same_stages():
    of_images = ("images", "sharing")  # digits need no archive, and a CPU is not shared
    assert [s.name for s in stages.REAL if s.name not in of_images] == [s.name for s in stages.DRY]
    for table in (stages.REAL, stages.DRY):
        for entry in table:
            for file in (word for word in entry.command if word.endswith(".py")):
                assert (ROOT / file).exists()
