"""A data folder for one test, a clock that ends what waits for ever, and a user who may not do everything."""

import os
import signal
import tempfile
from pathlib import Path

import pytest

NOBODY = 65534
SECONDS = 30


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty data folder."""
    monkeypatch.setenv("BN_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def clock():
    """What takes longer than half a minute is interrupted: it waits for something that never comes."""

    def ring(*arguments):
        raise TimeoutError(f"still waiting after {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def common_user(monkeypatch):
    """A data folder of a user who is not root: only such a user can be refused a file."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        monkeypatch.setenv("BN_DATA", name)
        root = os.geteuid() == 0
        if root:
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)
