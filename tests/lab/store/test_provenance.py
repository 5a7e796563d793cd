"""Provenance: the version of the repository, the device and the libraries, as a record keeps and a strip says them."""

import os
import platform
import re
import shutil
import subprocess
import sys

import made_up
import numpy as np
import pytest
import torch
import yaml
from seen import bare
from test_architecture import ROOT

import bn
from bn.lab import paths
from bn.lab.show import speech
from bn.lab.store import claims, provenance

UNKNOWN = {"version": bn.__version__, "commit": "unknown", "dirty": None}


def git(folder, *arguments):
    who = ["-c", "user.name=n", "-c", "user.email=e"]
    return subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder that the package seems to lie in."""
    folder = tmp_path / "outer" / "project"
    (folder / "bn").mkdir(parents=True)
    (folder / "bn" / "__init__.py").write_text("first")
    monkeypatch.setattr(bn, "__file__", str(folder / "bn" / "__init__.py"))
    monkeypatch.delenv("BN_COMMIT", raising=False)
    monkeypatch.delenv("BN_DIRTY", raising=False)
    return folder


def commit(folder) -> str:
    """Commit all that is in a folder to a repository of its own; the first digits of the commit."""
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    return git(folder, "rev-parse", "HEAD")[:10]


# ---- Which commit --------------------------------------------------------------------------------


def test_the_source_is_the_commit_and_whether_files_were_changed(project):
    name = commit(project)
    clean = {"version": bn.__version__, "commit": name, "dirty": False}
    assert provenance.source() == clean
    (project / "new").touch()
    assert provenance.source() == clean  # a file that is not the repository's
    (project / "bn" / "__init__.py").write_text("second")
    assert provenance.source() == clean | {"dirty": True}


def test_without_a_repository_or_without_git_the_commit_is_unknown(project, monkeypatch):
    assert provenance.source() == UNKNOWN
    commit(project)
    monkeypatch.setenv("PATH", str(project))
    assert provenance.source() == UNKNOWN


def test_the_commit_of_another_repository_around_the_project_is_none_of_its_own(project):
    commit(project.parent)
    assert provenance.source() == UNKNOWN


def test_the_commit_of_another_repository_whose_hook_runs_this_is_none_of_its_own(project, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").touch()
    commit(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert provenance.source() == UNKNOWN
    monkeypatch.delenv("GIT_DIR")
    name = commit(project)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert provenance.source() == {"version": bn.__version__, "commit": name, "dirty": False}


def test_a_package_in_a_folder_of_packages_is_not_of_the_repository_that_it_is_used_in(tmp_path):
    """A notebook of another project, in the root of whose repository Python was started."""
    packages = tmp_path / "packages"
    shutil.copytree(ROOT / "bn", packages / "bn", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    commit(tmp_path / "used")
    code = "from bn.lab.store import provenance; print(provenance.source())"
    environment = os.environ | {"PYTHONPATH": str(packages)}
    environment.pop("BN_COMMIT", None)
    call = {"cwd": tmp_path / "used", "env": environment, "capture_output": True, "text": True}
    assert subprocess.run([sys.executable, "-c", code], **call).stdout.strip() == str(UNKNOWN)


def test_a_repository_whose_state_cannot_be_told_is_unknown_and_not_clean(project):
    commit(project)
    (project / ".git" / "index").write_bytes(b"damaged")
    assert provenance.source() == UNKNOWN
    shutil.rmtree(project / ".git")
    git(project, "init", "--quiet")  # without a commit
    assert provenance.source() == UNKNOWN


@pytest.mark.parametrize(("told", "dirty"), [("0", False), ("1", True), ("", None), ("no", None), (None, None)])
def test_a_commit_travels_with_files_that_left_their_repository(project, monkeypatch, told, dirty):
    """And whether they were changed; where nobody says so, it is unknown and not clean."""
    monkeypatch.setenv("BN_COMMIT", "5e94e3e1a2")
    if told is not None:
        monkeypatch.setenv("BN_DIRTY", told)
    assert provenance.source() == {"version": bn.__version__, "commit": "5e94e3e1a2", "dirty": dirty}
    monkeypatch.setenv("BN_COMMIT", "")
    assert provenance.source() == UNKNOWN


def test_a_commit_that_was_left_in_the_environment_speaks_for_no_repository(project, monkeypatch):
    first = commit(project)
    monkeypatch.setenv("BN_COMMIT", "5e94e3e1a2")
    assert (provenance.source()["commit"], provenance.source()["dirty"]) == (first, False)
    (project / "bn" / "new_chapter.py").touch()
    assert provenance.source()["dirty"] is True  # it may be what runs


# ---- What is kept of a training ------------------------------------------------------------------


def test_a_training_begins_from_a_source_and_from_the_rules_that_stand_before_it(monkeypatch):
    monkeypatch.setenv("BN_COMMIT", "5e94e3e1a2")
    assert provenance.origin() == {"source": provenance.source(), "rules": claims.rule_digests()}


def test_what_is_kept_is_the_origin_what_was_given_the_device_the_versions_and_the_time():
    origin = {"source": UNKNOWN, "rules": {"a": "of the time before"}}
    found = provenance.meta(origin, "of the data", "of the code", 1.5, trained_together=3, seed=7)
    given = {"data_sha256": "of the data", "code": "of the code", "training_seconds": 1.5}
    assert (origin | given).items() <= found.items()
    assert (found["compiled"], found["trained_together"], found["seed"]) == (False, 3, 7)
    assert found["device"] == provenance.device_name("cpu") and found["device"].strip()
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    assert found["versions"] == versions
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", found["finished"])


def test_a_system_that_does_not_tell_has_a_cpu(monkeypatch):
    monkeypatch.setattr(provenance, "Path", lambda path: paths.ROOT / "not there")
    assert provenance.device_name("cpu") == "CPU"


# ---- What the strip says -------------------------------------------------------------------------


def strip(language: str = "en", **changed) -> tuple[str, dict[str, str]]:
    """The line and the table under a figure, without isolates."""
    record = made_up.finished({})
    record["provenance"] |= changed
    said = speech.provenance(record, language)
    return bare(said["brief"]), {bare(name): bare(str(value)) for name, value in said["full"].items()}


@pytest.mark.parametrize(
    ("commit", "dirty", "words"),
    [
        ("0123456789", False, "commit 0123456789"),
        ("0123456789", True, "commit 0123456789 (with uncommitted changes)"),
        ("0123456789, 9876543210", False, "commit 0123456789, 9876543210"),
        ("unknown", None, "commit unknown"),
        ("0123456789, unknown", None, "commit 0123456789, commit unknown"),
        ("0123456789, unknown", True, "commit 0123456789, commit unknown (with uncommitted changes)"),
    ],
)
def test_the_strip_says_which_commits_and_which_are_not_known(commit, dirty, words):
    brief, full = strip(commit=commit, dirty=dirty)
    assert f" · {words} · " in brief
    assert "None" not in brief + str(full)


@pytest.mark.parametrize(("seconds", "words"), [(1, "1 second"), (5377, "5,377 seconds")])
def test_the_strip_calls_the_time_of_training_what_it_is(seconds, words):
    brief, _ = strip(training_seconds=seconds)
    assert brief.endswith(f" · training time of all runs by the wall clock: {words}")


@pytest.mark.parametrize("language", ["en", "ar"])
def test_what_is_not_known_is_said_in_the_language_of_the_page(language):
    brief, full = strip(language, commit="unknown", dirty=None)
    assert "None" not in brief + str(full)
    assert ("unknown" in brief) is (language == "en")


def test_the_strip_says_of_each_digest_which_code_is_the_same_today(tmp_path, monkeypatch):
    entries = {
        name: {"now": f"now-{name}", "commit": f"commit-{name}", "bytes": name != "d", "why": "it is"}
        for name in ("a", "c", "d")
    }
    (tmp_path / "carried.yml").write_text(yaml.safe_dump(entries))
    monkeypatch.setattr(paths, "RECORDS", tmp_path)
    today = {code: strip(code=code)[1].get("the same code today") for code in ("a", "b", "a, b", "a, b, c")}
    of_a, of_c = "now-a (commit-a)", "now-c (commit-c)"
    assert today == {"a": of_a, "b": None, "a, b": of_a, "a, b, c": f"{of_a}, {of_c}"}
    other = "today's code, with other rounding and random numbers"
    assert strip(code="d")[1][other] == "now-d (commit-d)" and other not in strip(code="a")[1]
