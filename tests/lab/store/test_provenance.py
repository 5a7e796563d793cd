"""Provenance: the version of the repository, the device and the libraries, as a record keeps them."""

import platform
import re
import subprocess

import numpy as np
import torch

import bn
from bn.lab import paths
from bn.lab.store import claims, provenance


def test_the_source_is_the_commit_and_whether_files_were_changed(tmp_path, monkeypatch):
    def git(*arguments):
        who = ["-c", "user.name=n", "-c", "user.email=e"]
        return subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True, text=True)

    monkeypatch.setattr(paths, "ROOT", tmp_path)
    git("init", "--quiet")
    (tmp_path / "file").write_text("first")
    git("add", "file")
    git("commit", "--quiet", "--message", "first")
    commit = git("rev-parse", "HEAD").stdout[:10]
    assert provenance.source() == {"version": bn.__version__, "commit": commit, "dirty": False}
    (tmp_path / "new").touch()
    assert not provenance.source()["dirty"]  # a file that is not the repository's
    (tmp_path / "file").write_text("second")
    assert provenance.source() == {"version": bn.__version__, "commit": commit, "dirty": True}


def test_without_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    unknown = {"version": bn.__version__, "commit": None, "dirty": None}
    assert provenance.source() == unknown
    monkeypatch.setenv("PATH", str(tmp_path))  # and without git
    assert provenance.source() == unknown


def test_a_commit_travels_with_files_that_left_their_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setenv("BN_COMMIT", "5e94e3e1a2")
    assert provenance.source() == {"version": bn.__version__, "commit": "5e94e3e1a2", "dirty": False}


def test_what_is_kept_of_a_training_is_what_was_given_the_rules_the_device_the_versions_and_the_time():
    found = provenance.meta("of the data", "of the code", 1.5, trained_together=3, seed=7)
    given = {"data_sha256": "of the data", "code": "of the code", "training_seconds": 1.5}
    assert given.items() <= found.items() and found["rules"] == claims.rule_digests()
    assert (found["compiled"], found["trained_together"], found["seed"]) == (False, 3, 7)
    assert found["device"] == provenance.device_name("cpu") and found["device"].strip()
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    assert found["versions"] == versions
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", found["finished"])


def test_a_system_that_does_not_tell_has_a_cpu(monkeypatch):
    monkeypatch.setattr(provenance, "Path", lambda path: paths.ROOT / "not there")
    assert provenance.device_name("cpu") == "CPU"
