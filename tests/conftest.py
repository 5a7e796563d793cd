"""Every test writes its runs to a temporary folder, never to the user's; runs at smoke scale are shared."""

import gc
import os
import sys

# One of several processes (pytest-xdist): each has one thread, and what it starts has one, or they would fight over
# the cores. To be said before torch is imported.
if os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings

if not torch.cuda.is_available():  # the kernels run in Triton's interpreter: to be said before anything imports it
    os.environ["TRITON_INTERPRET"] = "1"
    # torch.manual_seed keeps the whole stack as text for each kind of device that may still come, which takes as long
    # as many a test. None comes here.
    for devices in (torch.cuda, torch.mtia, torch.xpu):
        devices.manual_seed_all = lambda seed: None

from bn.lab import registry
from bn.lab.data.splits import Data, Split

settings.register_profile("patient", deadline=None, derandomize=True)  # busy machines, and the same examples each time
settings.load_profile("patient")

# What takes longest begins first: what begins last would leave the other cores without work. The first makes the book
# that others look at, which come when it is likely to be there (if it is not, they wait: see test_book.py).
LONGEST = ("test_api", "test_new_chapter", "test_dry_run", "test_fuse", "test_batch", "test_functional")
LONGEST += ("test_operands", "test_as_torch", "test_inductor", "test_citizens", "test_runs", "test_fold")
LONGEST += ("test_compiled", "test_convert", "test_notebooks", "test_browser")


def is_one_of_several(config) -> bool:
    """Whether this process shares its tests with others: those that a test starts have the same environment."""
    return hasattr(config, "workerinput")


def pytest_collection_modifyitems(config, items):
    """Where several processes share the tests, a file each (`--dist loadfile`): the longest first."""
    if is_one_of_several(config):
        place = {name: k for k, name in enumerate(LONGEST)}
        items.sort(key=lambda item: place.get(item.path.stem, len(place)))


def pytest_collection_finish():
    """All modules are here to stay: the collector of garbage need not look through them again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def shared_runs(pytestconfig, tmp_path_factory):
    """The folder of runs for the whole session, so that no test trains again what another has trained.

    All processes of a session share it: a run is locked while it is trained.
    """
    session = tmp_path_factory.getbasetemp()
    folder = (session.parent if is_one_of_several(pytestconfig) else session) / "runs"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BN_RUNS", str(folder))
        yield


@pytest.fixture
def fresh_runs(tmp_path, monkeypatch):
    """An empty folder of runs for one test."""
    folder = tmp_path / "runs"
    monkeypatch.setenv("BN_RUNS", str(folder))
    return folder


@pytest.fixture
def one_thread():
    """One thread, as in the worker processes: sums then come out the same to the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def usual_plans():
    """What one test has changed of the launch code is not what another is launched by."""
    yield
    if launch := sys.modules.get("bn.launch"):
        launch.replan()


@pytest.fixture(scope="session")
def quick_interpreter():
    """Triton's interpreter in half the time: a launch replaces Triton's language, a call inside it need not again.

    `InterpretedFunction.__call__` does so at each call of a device function, and never takes it back.
    """
    interpreter, language = pytest.importorskip("triton.runtime.interpreter"), pytest.importorskip("triton.language")
    usual = interpreter.InterpretedFunction.__call__

    def call(function, *args, **kwargs):
        replaced = not any(language.core.is_builtin(module.load) for module in (language, language.core))
        return function.rewrite()(*args, **kwargs) if replaced else usual(function, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interpreter.InterpretedFunction, "__call__", call)
        yield


class Smoke(dict):
    """The records of the chapters at smoke scale on digits by name, each made when it is first asked for."""

    def __missing__(self, name: str) -> dict:
        experiment = registry.experiment(name)
        self[name] = experiment.record(experiment.spec(scale="smoke", dataset="digits"))
        return self[name]


@pytest.fixture(scope="session")
def smoke_records(shared_runs):
    """`smoke_records[name]` is a record; none is trained twice."""
    return Smoke()


@pytest.fixture(scope="session")
def tiny():
    """A made-up data set that trains in no time: 10 patterns of 784 pixels, a fifth of the pixels flipped."""
    generator = torch.Generator().manual_seed(0)
    patterns = torch.rand(10, 784, generator=generator) < 0.5

    def split(n: int) -> Split:
        y = torch.randint(10, (n,), generator=generator)
        flipped = torch.rand(n, 784, generator=generator) < 0.2
        return Split((patterns[y] ^ flipped).to(torch.uint8), y)

    return Data("tiny", split(130), split(50), split(70), "tiny")
