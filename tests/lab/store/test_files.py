"""Files: whole or not there, read back as they were; digests that name them by values and by code."""

import ast
import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from bn.lab.store import files
from bn.lab.store.workers import RunError
from bn.lab.train import mlp

# ---- Whole or not there --------------------------------------------------------------------------


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file"
    files.write_atomically(path, b"first")
    assert path.read_bytes() == b"first"

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_atomically(path, b"second")
    assert path.read_bytes() == b"first"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_what_is_written_in_parts_is_there_when_all_of_it_is(tmp_path):
    path = tmp_path / "file"
    with files.whole_or_not(path) as file:
        file.write(b"one ")
        assert not path.exists()
        file.write(b"two")
    assert path.read_bytes() == b"one two"
    with pytest.raises(KeyboardInterrupt), files.whole_or_not(path) as file:
        file.write(b"three")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"one two" and [p.name for p in tmp_path.iterdir()] == ["file"]


# ---- Read back -----------------------------------------------------------------------------------


def test_arrays_and_states_are_read_back_as_they_were(tmp_path):
    arrays = {"steps": np.arange(3), "test": np.array([0.1, np.nan, 0.3], np.float32), "diverged": np.array(-1)}
    files.write_arrays(tmp_path / "run.npz", arrays, {"seed": 3, "versions": {"torch": "2"}})
    found = files.read_arrays(tmp_path / "run.npz")
    assert found.pop("meta") == {"seed": 3, "versions": {"torch": "2"}}
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    files.save({"step": 7, "net": {"weight": torch.ones(2)}}, tmp_path / "checkpoints" / "run.pt")
    state = torch.load(tmp_path / "checkpoints" / "run.pt", weights_only=False)
    assert state["step"] == 7 and torch.equal(state["net"]["weight"], torch.ones(2))


@pytest.mark.parametrize("damaged", [b"", b"not a run", None], ids=["empty", "other", "absent"])
def test_a_run_that_cannot_be_read_is_named_in_one_sentence(damaged, tmp_path):
    path = tmp_path / "run.npz"
    if damaged is not None:
        path.write_bytes(damaged)
    with pytest.raises(RunError, match=re.escape(str(path)) + " cannot be read .*Delete that file") as caught:
        files.read_arrays(path)
    assert "\n" not in str(caught.value)


def test_only_files_that_are_missing_are_made_all_at_once(tmp_path):
    wanted, asked = {name: tmp_path / name for name in "abc"}, []

    def make(missing):
        asked.append(missing)
        for name in missing:
            wanted[name].write_text(f"{name} was made")

    wanted["b"].write_text("there before")
    found = {"a": "a was made", "b": "there before", "c": "c was made"}
    assert files.finished(wanted, make, Path.read_text) == files.finished(wanted, make, Path.read_text) == found
    assert asked == [["a", "c"]]


# ---- Digests -------------------------------------------------------------------------------------


def test_a_digest_names_a_value_whatever_the_order_of_its_keys():
    assert files.digest({"seed": 0, "steps": 60}) == files.digest({"steps": 60, "seed": 0}) == "db16a7850b678d08"
    others = [{"seed": 1, "steps": 60}, {"seed": 0, "steps": 60, "rate": None}, [0, 60]]
    assert len({files.digest(value) for value in [{"seed": 0, "steps": 60}, *others]}) == 4


def test_the_digest_sees_logic_and_nothing_else(tmp_path):
    source = Path(mlp.__file__).read_text("utf-8")

    def digest(text: str) -> str:
        path = tmp_path / "mlp.py"
        path.write_text(text, "utf-8")
        return files.logic_digest([path])

    usual = digest(source)
    assert digest(ast.unparse(ast.parse(source))) == usual  # no comments, other line breaks
    assert digest(source.replace("Algorithm 1", "Algorithm One")) == usual  # a docstring
    for line, other in (("(100, 100, 100)", "(100, 100, 101)"), ("m / (m - 1)", "1"), ("momentum)", "momentum / 2)")):
        assert source.count(line) >= 1
        assert digest(source.replace(line, other)) != usual


SOURCE = '''"""A module."""
import math
from pathlib import (
    Path,
)


def area(radius):
    """Of a circle."""
    from statistics import mean
    return math.pi * radius**2
'''


def test_imports_are_no_logic_wherever_they_stand(tmp_path):
    def digest(text: str) -> str:
        (tmp_path / "module.py").write_text(text, "utf-8")
        return files.logic_digest([tmp_path / "module.py"])

    usual = digest(SOURCE)
    moved = SOURCE.replace("from pathlib import (\n    Path,\n)\n", "").replace("import math", "import cmath as math")
    assert digest(moved) == digest(moved.replace("    from statistics import mean\n", "")) == usual
    assert digest(moved.replace("    from statistics", "    mean = max\n    from statistics")) != usual
    assert digest(moved.replace("math.pi", "math.tau")) != usual


def test_the_digest_is_of_all_files_in_their_order(tmp_path):
    paths = [tmp_path / "a.py", tmp_path / "b.py"]
    for path in paths:
        path.write_text(f"name = {path.stem!r}")
    assert len({files.logic_digest(some) for some in (paths, paths[::-1], paths[:1])}) == 3
