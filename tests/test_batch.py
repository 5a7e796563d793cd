"""The batch: what runs again and what does not, which settings it takes, and how it ends.

In a copy of the project where papermill and the printing of the pages are stand-ins: the first keeps what it was
called with in the place of the notebook.
"""

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
import yaml

from bn.lab import paths, registry
from bn.lab.data import datasets

ROOT = Path(__file__).parents[1]
COPIED = ("bn", "book", "notebooks", "Snakefile", "Makefile", "pyproject.toml")
PYTHON = f"""#!/bin/sh
case "$1" in
  book/_ext/assemble.py) mkdir -p "$4/html/$2" && touch "$4/html/$2/index.html" ;;
  *) exec "{sys.executable}" "$@" ;;
esac
"""
PAPERMILL = """
import json, os, sys
with open(sys.argv[2], "w") as file:
    json.dump({"called": sys.argv[1:], "cores": os.environ["BN_CORES"]}, file)
print("Output Notebook:", sys.argv[2])
"""
SNAKEMAKE = """
import sys
from snakemake.cli import main
sys.exit(main())
"""
# The project's own data folder, and not as a part of the `make test` that this may be.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name[:3] not in ("MAK", "MFL")} | {"BN_DATA": ""}
STREAMS = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
ALL = {path.stem for path in map(registry.notebook, registry.names())}
OF_IMAGES = {"08_training_speed", "09_ablations", "10_ensemble"}
OF_DIGITS = ALL - OF_IMAGES
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("make"), reason="there is no make")]


def install(folder: Path, **programs: str) -> None:
    """Put programs into the .venv of a folder as pip does: each names the Python there by its full path.

    Where that has a space, a shell starts it; to Python those two lines are a text.
    """
    place = folder / ".venv" / "bin"
    place.mkdir(parents=True, exist_ok=True)
    for name, source in programs.items():
        head = f"#!/bin/sh\n'''exec' \"{place}/python\" \"$0\" \"$@\"\n' '''\n"
        (place / name).write_text(source if name == "python" else head + source)
        (place / name).chmod(0o755)
    (place / "ready").touch()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The copy, its book finished, without MNIST."""
    folder = tmp_path_factory.mktemp("a copy") / "project"
    for name in COPIED:
        ignored = shutil.ignore_patterns("__pycache__", "*.mo")
        take = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        take(ROOT / name, folder / name, **({"ignore": ignored} if take is shutil.copytree else {}))
    install(folder, python=PYTHON, papermill=PAPERMILL, snakemake=SNAKEMAKE)
    done = make(folder, "book")
    assert done.returncode == 0, done.stdout
    assert "The book is ready: open build/html/index.html" in done.stdout
    return folder


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Call make in a folder; what it says is one text."""
    return subprocess.run(["make", *arguments], cwd=folder, env=ENVIRONMENT | environment, **STREAMS)


def snakemake(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Call the copy's Snakemake."""
    tools = f"{folder}/.venv/bin"
    environment = ENVIRONMENT | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"} | environment
    return subprocess.run([f"{tools}/snakemake", *arguments], cwd=folder, env=environment, **STREAMS)


def again(folder: Path, *arguments: str, **environment: str) -> set[str]:
    """What would run again: the notebooks as `en/01_algorithm`, the pages as `html/en`."""
    done = snakemake(folder, "book", "-n", "--cores", "2", *arguments, **environment)
    assert done.returncode == 0, done.stdout
    outputs = re.findall(r"^    output: build/(?:notebooks/)?(.*?)(?:\.ipynb)?$", done.stdout, re.MULTILINE)
    assert bool(outputs) != ("Nothing to be done" in done.stdout)
    return set(outputs)


def both(names: set[str]) -> set[str]:
    """Notebooks in both languages, and the pages that are then printed."""
    return {f"{language}/{name}" for language in ("en", "ar") for name in names} | {"html/en", "html/ar"}


def called(notebook: Path) -> dict:
    """What papermill was called with: its two files, the parameters, the processes."""
    kept = json.loads(notebook.read_text())
    source, target, log, option, parameters = kept["called"]
    assert (log, option) == ("--log-output", "-y")
    return {"files": (source, target), "parameters": yaml.safe_load(parameters), "cores": kept["cores"]}


@contextmanager
def changed(path: Path, more: str):
    """A file with more at its end, or a new one; afterwards it is as it was."""
    before = (path.read_bytes(), path.stat()) if path.exists() else None
    with path.open("a") as file:
        file.write(more)
    yield
    if before is None:
        return path.unlink()
    path.write_bytes(before[0])
    os.utime(path, ns=(before[1].st_atime_ns, before[1].st_mtime_ns))


# ---- What runs again -----------------------------------------------------------------------------


def test_a_finished_book_is_not_made_again(project):
    assert again(project) == set()


@pytest.mark.parametrize(
    ("file", "more"),
    [
        ("bn/lab/chapters/algorithm/figures.py", "\n# changed\n"),
        ("bn/lab/chapters/algorithm/new.py", '"""A new one."""\n'),
        ("book/claims/algorithm.yml", "\n# changed\n"),
        ("book/records/algorithm/cpu.json", "{}"),
        ("notebooks/01_algorithm.ipynb", "\n"),
    ],
)
def test_what_belongs_to_a_chapter_runs_its_notebook_and_no_other(project, file, more):
    with changed(project / file, more):
        assert again(project) == both({"01_algorithm"})


@pytest.mark.parametrize("file", ["bn/lab/paper.py", "bn/lab/chapters/__init__.py", "book/records/carried.yml"])
def test_what_all_share_runs_all(project, file):
    with changed(project / file, "\n# changed\n"):
        assert again(project) == both(ALL)


def test_a_notebook_takes_from_no_other_chapter():
    """Or the two tests above would leave an old page."""
    for name in registry.names():
        cells = nbformat.read(registry.notebook(name), 4).cells
        code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
        assert set(re.findall(r"bn\.lab\.chapters\.(\w+)", code)) == {name}
        others = {path.stem: yaml.safe_load(path.read_text("utf-8"))["claims"] for path in paths.CLAIMS.glob("*.yml")}
        others = {claim["id"] for chapter, claims in others.items() if chapter != name for claim in claims}
        assert not others & set(re.findall(r'"([\w-]+)"', code))


def test_mnist_is_nothing_to_those_who_name_their_data(project):
    options = ("build/digits/notebooks/en/03_activations.ipynb", "--config", "dataset=digits", "out=build/digits")
    assert snakemake(project, *options, "--cores", "2").returncode == 0
    assert "Nothing to be done" in snakemake(project, *options, "-n", BN_DATA=mnist(project / "named")).stdout


def mnist(folder: Path) -> str:
    """A data folder in which MNIST has arrived."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").touch()
    return str(folder)


def test_the_batch_looks_for_mnist_as_the_notebooks_do(tmp_path, monkeypatch):
    monkeypatch.setenv("BN_DATA", str(tmp_path))
    raw = paths.mnist()

    def look(expected: str) -> None:
        assert paths.digits() == datasets.resolve("auto") == expected
        assert {registry.experiment(chapter[3:]).spec().dataset for chapter in OF_DIGITS} == {expected}

    look("digits")
    raw.mkdir(parents=True)
    (raw / "notes.txt").touch()
    look("digits")
    for name in datasets.MNIST_FILES:
        (raw / name).touch()
        look("mnist")
        (raw / name).unlink()
    shutil.rmtree(raw)
    raw.symlink_to("nowhere")
    look("mnist")
    raw.unlink()
    raw.touch()
    look("mnist")


def test_what_the_snakefile_reads_brings_no_torch():
    """So that a book that is finished says so at once."""
    code = "import runpy, sys; [runpy.run_path(f'bn/lab/{name}.py') for name in ('paths', 'spec')]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "bn"} & set(done.stdout.split())
    assert re.search(r'for name in \("paths", "spec"\)', (ROOT / "Snakefile").read_text())
    assert runpy.run_path(str(ROOT / "bn" / "lab" / "paths.py"))["ROOT"] == paths.ROOT


def test_stray_notebooks_are_nothing_to_the_batch(project):
    folder = project / "notebooks"
    (folder / ".ipynb_checkpoints").mkdir()
    strays = ["Untitled", "03_activations-Copy1", "13_mine", ".ipynb_checkpoints/01_algorithm-checkpoint"]
    for name in strays:
        (folder / f"{name}.ipynb").write_text("{")
    assert again(project) == set()
    done = snakemake(project, "build/notebooks/en/13_mine.ipynb", "-n", "--cores", "1")
    assert done.returncode == 1 and "MissingRuleException" in done.stdout
    for name in strays:
        (folder / f"{name}.ipynb").unlink()


# ---- Settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["build/my book", 'it\'s a ["book"] #2; \\ & <1>', "كتاب"])
def test_every_setting_reaches_papermill_as_it_is(project, out):
    settings = ("scale=smoke", "dataset=digits", "seeds=[0, 7]", "steps=12", f"out={out}", "CORES=3")
    done = make(project, "book", *settings)
    assert done.returncode == 0 and f"open {out}/html/index.html" in done.stdout, done.stdout
    asked = {"scale": "smoke", "dataset": "digits", "seeds": [0, 7], "steps": 12}
    for language in ("en", "ar"):
        folder = project / out / "notebooks" / language
        for name in ALL:
            assert called(folder / f"{name}.ipynb") == {
                "files": (f"notebooks/{name}.ipynb", f"{out}/notebooks/{language}/unfinished-{name}.ipynb"),
                "parameters": asked | {"language": language},
                "cores": "3",
            }
        assert (project / out / "html" / language / "index.html").exists()


@pytest.mark.parametrize(
    ("options", "more"),
    [
        (("--config", "seeds=[0,1]"), {"seeds": [0, 1]}),
        (("--config", "seeds=3", "steps=None"), {"seeds": 3}),
        (("--config", "seeds=", "scale=gpu"), {"scale": "gpu"}),
    ],
)
def test_snakemakes_own_settings_have_their_types(project, options, more):
    target = "typed/notebooks/en/01_algorithm.ipynb"
    done = snakemake(project, target, "--cores", "40", *options, "out=typed", "--forcerun", "notebook")
    assert done.returncode == 0, done.stdout
    found = called(project / target)
    assert found["parameters"] == {"scale": "cpu", "language": "en"} | more
    assert found["cores"] == "16", "more cores are for other notebooks"


REFUSED = [
    (
        "sclae=smoke",
        "unknown setting 'sclae'; the settings are scale dataset seeds steps out minutes options CORES PYTHON",
    ),
    ("cores=4", "unknown setting 'cores'; the settings are"),
    ("scale=smkoe", "scale must be one of 'smoke', 'cpu', 'gpu', 'paper', but it is 'smkoe'"),
    ("dataset=cifar", "dataset must be one of 'auto', 'digits', 'mnist', 'tiny-imagenet', 'imagenet', but it is 'cif"),
    ("scale=smoke;touch EVIL", "scale must be one of .*, but it is 'smoke;touch EVIL'"),
    ("scale=smoke'; touch EVIL; '", "scale must be one of .*, but it is \"smoke'; touch EVIL; '\""),
    ("dataset=`touch EVIL`", "dataset must be one of .*, but it is '`touch EVIL`'"),
    (
        'steps=1" & touch EVIL & "',
        "steps must be a whole number from 1 to 1,000,000,000, but it is '1\" & touch EVIL &",
    ),
    ("seeds=$$(touch EVIL)", "seeds must be one line without a dollar sign"),
    ("seeds=$(shell touch EVIL)", "seeds must be one line without a dollar sign"),
    ("CORES=$(shell touch EVIL)", "CORES must be one line without a dollar sign"),
    ("scale=smoke\ntouch EVIL", "scale must be one line without a dollar sign"),
    ("out={name}", "out must be a folder's path without braces or a leading -, but it is '{name}'"),
]


@pytest.mark.parametrize(("setting", "sentence"), REFUSED, ids=repr)
def test_a_wrong_setting_is_refused_in_one_sentence_and_nothing_runs(project, setting, sentence):
    before = set(project.iterdir())
    done = make(project, "book", setting)
    assert done.returncode == 2
    first, *others = done.stdout.strip().splitlines()
    assert re.match(rf"(Makefile:\d+: \*\*\* )?{sentence}", first)
    assert [line for line in others if not line.startswith("make: ***")] == []
    assert set(project.iterdir()) == before


def test_words_of_other_commands_are_no_shell_either(project):
    for arguments in (("data", "dataset=mnist; touch EVIL"), ("gpu", "options=--skip; touch EVIL `touch EVIL`")):
        done = make(project, "-n", *arguments)
        (line,) = (line for line in done.stdout.splitlines() if " -m bn." in line)
        said = subprocess.run(
            ["sh", "-c", f"printf '%s\\n' {line}"], cwd=project, capture_output=True, text=True
        ).stdout
        assert "touch" in said
    assert make(project, "-n", "book", PYTHON="x; touch EVIL", seeds="$(shell touch EVIL)").returncode == 0
    assert not (project / "EVIL").exists()


def test_a_gpu_is_visited_for_so_many_minutes_by_the_python_that_is_there(project):
    """No environment is set up: on a machine that is lent there is no network."""
    (line,) = make(project, "-n", "gpu", "minutes=9.5", "options=--skip tests", PYTHON="python3").stdout.splitlines()
    assert line == "'python3' -m bn.lab.gpu --minutes '9.5' '--skip' 'tests'"


def test_a_setting_of_the_environment_is_none(project):
    """A shell may well have a variable `out` or `steps` for something else."""
    assert make(project, "-n", "book", scale="paper", steps="7").stdout.count("--config     out=") == 1


# ---- Data, at the end as the book is then that of MNIST -------------------------------------------


def test_mnist_arrives_and_leaves(project):
    """Where it is no longer what `auto` stood for, the chapters that train on digits run again."""
    assert again(project, BN_DATA="nowhere") == set()
    mnist(project / "of mine")
    assert again(project, BN_DATA="of mine") == both(OF_DIGITS)
    mnist(project / "data")
    assert again(project) == both(OF_DIGITS)
    assert make(project, "book").returncode == 0
    assert again(project) == set()
    shutil.rmtree(project / "data")
    assert again(project) == both(OF_DIGITS)


# ---- How it ends ---------------------------------------------------------------------------------

WAITING = """
import pathlib, signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: None)  # Snakemake then waits for its jobs
job = subprocess.Popen(["sleep", "60"])
pathlib.Path("started").write_text(str(job.pid))
try:
    job.wait()
except KeyboardInterrupt:
    job.wait()
    sys.exit(1)
"""


@pytest.mark.parametrize(("number", "whole_group"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_what_ends_make_ends_all(tmp_path, number, whole_group):
    """A termination of make alone, and Ctrl-C, which the terminal sends to make's whole group."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    install(tmp_path, python=PYTHON, snakemake=WAITING)

    def as_from_a_terminal() -> None:
        """What is started in the background, as these tests may be, ignores Ctrl-C, and so would all below it."""
        signal.signal(signal.SIGINT, signal.default_int_handler)

    options = {"cwd": tmp_path, "env": ENVIRONMENT, "start_new_session": True, "preexec_fn": as_from_a_terminal}
    with subprocess.Popen(["make", "book"], **options, **STREAMS) as running:
        started = tmp_path / "started"
        while not (started.exists() and started.read_text()):
            assert running.poll() is None
            time.sleep(0.05)
        (os.killpg if whole_group else os.kill)(running.pid, number)
        said, _ = running.communicate(timeout=20)
    assert running.returncode == -number
    assert "What was trained is kept: the same command goes on from it." in said and "Done" not in said
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


def test_a_failure_is_said_and_keeps_its_status(tmp_path):
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    install(tmp_path, python=PYTHON, snakemake="import sys; sys.exit(1)")
    done = make(tmp_path, "book")
    assert done.returncode == 2 and "The book is not finished" in done.stdout and "--unlock" in done.stdout


@pytest.mark.parametrize("fault", ["renamed", "no Python", "a link to nowhere"])
def test_an_environment_that_cannot_run_is_to_be_made_again(tmp_path, fault):
    """At every command, and not a word of what the shell says of it."""
    folder = tmp_path / "before"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    install(folder, python=PYTHON, snakemake="print('started')")
    assert make(folder, "book").stdout == "started\nThe book is ready: open build/html/index.html\n"
    if fault == "renamed":
        folder = folder.rename(tmp_path / "after")
    else:
        (folder / ".venv" / "bin" / "python").unlink()
        if fault == "a link to nowhere":
            (folder / ".venv" / "bin" / "python").symlink_to(tmp_path / "nowhere")
    for command in ("book", "test", "test-networks", "data", "bench", "serve"):
        done = make(folder, command)
        first, second, *others = done.stdout.splitlines()
        assert done.returncode == 2 and len(others) == 1 and others[0].startswith("make: ***")
        assert first.endswith(".venv must be made again.") and second.startswith("Type rm -rf .venv, then the same")


@pytest.mark.parametrize(
    "line", ["#!{}", "#!/bin/sh\n'''exec' {} \"$0\" \"$@\"\n' '''", "#!/bin/sh\n'''exec' \"{}\" \"$0\""]
)
def test_pip_names_the_python_in_three_ways(tmp_path, line):
    """Where the path is long, or has a space, a shell starts it."""
    folder = tmp_path / "here"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    install(folder, python=PYTHON, snakemake="")
    program = folder / ".venv" / "bin" / "snakemake"
    program.write_text(line.format(f"{folder}/.venv/bin/python3.11"))
    assert make(folder, "venv").returncode == 0
    program.write_text(line.format(f"/elsewhere{folder}/.venv/bin/python3.11"))
    assert make(folder, "venv").returncode == 2
