"""Computed once: found again, made where it is missing or damaged, and made by one process of two."""

import errno
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from bn.lab.store import cache, files, workers


def damage(path: Path) -> bytes:
    """Flip a bit; the bytes afterwards."""
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)
    return bytes(content)


@pytest.fixture
def wanted(tmp_path, fresh_runs) -> dict[str, Path]:
    """Three files, of which b is there."""
    found = {name: tmp_path / f"{name}.json" for name in "abc"}
    files.write_json(found["b"], "b was there")
    return found


class Make:
    """What was asked for; it is made."""

    def __init__(self, wanted: dict[str, Path]) -> None:
        self.wanted, self.asked = wanted, []

    def __call__(self, missing: list[str]) -> None:
        self.asked.append(missing)
        for name in missing:
            files.write_json(self.wanted[name], f"{name} was made")


# ---- Finished ------------------------------------------------------------------------------------


def test_only_files_that_are_missing_are_made_all_at_once(wanted):
    make, expected = Make(wanted), {"a": "a was made", "b": "b was there", "c": "c was made"}
    for _ in range(2):
        found = cache.finished(wanted, make, files.read_json)
        assert found == expected and list(found) == ["a", "b", "c"]
    assert make.asked == [["a", "c"]]


def test_what_is_all_there_asks_nobody(wanted):
    assert cache.finished({"b": wanted["b"]}, lambda missing: 1 / 0, files.read_json) == {"b": "b was there"}


def test_a_damaged_file_is_said_once_set_aside_and_made_again(wanted, capsys):
    make, kept = Make(wanted), damage(wanted["b"])
    assert cache.finished(wanted, make, files.read_json)["b"] == "b was made"
    assert make.asked == [["a", "b", "c"]]
    assert wanted["b"].with_name("b.json.damaged").read_bytes() == kept
    (said,) = capsys.readouterr().out.splitlines()
    assert said == (
        f"{wanted['b']} is damaged: it does not hold what was written into it. It is made again; the damaged file is "
        "kept as b.json.damaged."
    )
    cache.finished(wanted, make, files.read_json)
    assert len(make.asked) == 1 and capsys.readouterr().out == ""


def test_runs_are_what_is_read_where_nothing_else_is_said(tmp_path):
    files.write_arrays(tmp_path / "run.npz", {"x": np.arange(3)}, {"seed": 1})
    found = cache.finished({1: tmp_path / "run.npz"}, lambda missing: 1 / 0)
    assert found[1]["x"].tolist() == [0, 1, 2] and found[1]["meta"] == {"seed": 1}


# ---- Present -------------------------------------------------------------------------------------


def test_what_is_not_there_or_was_set_aside_is_none_without_a_word(wanted, capsys):
    assert cache.present(wanted["a"], files.read_json) is None
    damage(wanted["b"])
    assert cache.present(wanted["b"], files.read_json) is None
    assert capsys.readouterr().out.count("is damaged") == 1
    assert cache.present(wanted["b"], files.read_json) is None
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "no"), OSError(errno.EIO, "no"), MemoryError()])
def test_what_the_system_says_is_passed_on_and_the_file_stays(wanted, monkeypatch, capsys, error):
    def read_bytes(path):
        raise error

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    for call in (
        lambda: cache.present(wanted["b"], files.read_json),
        lambda: cache.finished(wanted, lambda missing: 1 / 0, files.read_json),
        lambda: cache.once(wanted["b"], lambda: 1 / 0),
    ):
        with pytest.raises(type(error)) as caught:
            call()
        assert caught.value is error
    monkeypatch.undo()
    assert files.read_json(wanted["b"]) == "b was there" and capsys.readouterr().out == ""


def test_what_another_process_has_made_again_meanwhile_is_not_set_aside(wanted, monkeypatch, capsys):
    """Both find the damage; while this one waits, the other is faster."""
    damage(wanted["b"])

    @contextmanager
    def lock(*names):
        wanted["b"].unlink()
        files.write_json(wanted["b"], "made by the other")
        yield

    monkeypatch.setattr(cache, "lock", lock)
    assert cache.present(wanted["b"], files.read_json) == "made by the other"
    assert capsys.readouterr().out == "" and not wanted["b"].with_name("b.json.damaged").exists()


# ---- Once ----------------------------------------------------------------------------------------


def test_a_value_is_made_once_and_after_a_damage_once_more(tmp_path, fresh_runs, capsys):
    path, made = tmp_path / "value.json", []

    def make() -> dict:
        made.append(len(made))
        return {"made": made[-1]}

    assert [cache.once(path, make) for _ in range(3)] == [{"made": 0}] * 3
    damage(path)
    assert [cache.once(path, make) for _ in range(3)] == [{"made": 1}] * 3
    assert capsys.readouterr().out.count("is damaged") == 1


def test_what_fails_is_not_kept(tmp_path, fresh_runs):
    with pytest.raises(ZeroDivisionError):
        cache.once(tmp_path / "value.json", lambda: 1 / 0)
    assert cache.once(tmp_path / "value.json", lambda: 3) == 3


def test_parts_of_a_killed_writing_go_when_the_value_is_made(tmp_path, fresh_runs):
    (tmp_path / "value.json.123.part").touch()
    cache.once(tmp_path / "value.json", lambda: 3)
    assert [path.name for path in tmp_path.glob("value*")] == ["value.json"]


def test_two_processes_make_it_once(tmp_path, fresh_runs):
    """Both find nothing and wait for this test, which holds the lock; then one makes it and the other reads."""
    code = f"""
import os, time
from pathlib import Path
from bn.lab.store import cache
def make():
    open({str(tmp_path / "made")!r}, "a").write("made\\n")
    time.sleep(1)
    return os.getpid()
print("GOT", cache.once(Path({str(tmp_path / "value.json")!r}), make))
"""
    command = [sys.executable, "-u", "-c", code]
    with workers.lock("value"):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        both = [subprocess.Popen(command, **pipes, text=True) for _ in range(2)]
        for process in both:
            assert "waiting for it" in process.stderr.readline()
    said = [process.communicate(timeout=60)[0] for process in both]
    assert (tmp_path / "made").read_text() == "made\n"
    assert said[0] == said[1] and said[0].split()[1] in {str(process.pid) for process in both}
