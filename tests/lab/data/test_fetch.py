"""Fetching: Tiny ImageNet from an archive that the test makes, through the very code that a user calls; no network."""

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bn.lab.data import fetch
from bn.lab.data.datasets import DataError


@pytest.fixture
def published(tmp_path, monkeypatch):
    """An archive with two files, at an address of its own, and an empty data folder."""
    path = tmp_path / "site" / "tiny-imagenet-200.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny-imagenet-200/wnids.txt", "n01443537\n")
        archive.writestr("tiny-imagenet-200/train/n01443537/images/a.JPEG", "pixels")
    monkeypatch.setenv("BN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=path.parent)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{path.name}"
        monkeypatch.setattr(fetch, "TINY_IMAGENET", (url, hashlib.md5(path.read_bytes()).hexdigest()))
        yield path
        server.shutdown()


def test_the_archive_is_unpacked_whole_and_what_is_there_is_not_fetched_again(published, tmp_path):
    folder = fetch.tiny_imagenet()
    assert folder == tmp_path / "data" / "tiny-imagenet-200"
    assert (folder / "train/n01443537/images/a.JPEG").read_text() == "pixels"
    assert [entry.name for entry in folder.parent.iterdir()] == ["tiny-imagenet-200"]
    published.unlink()
    assert fetch.tiny_imagenet() == folder


def test_another_archive_is_refused_with_one_sentence(published, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "TINY_IMAGENET", (fetch.TINY_IMAGENET[0], "0" * 32))
    with pytest.raises(DataError, match=r"is not the published archive, whose MD5 is 0{32}\. Delete .*\.zip and"):
        fetch.tiny_imagenet()
    assert not (tmp_path / "data" / "tiny-imagenet-200").exists()


def test_an_unpacking_that_was_interrupted_leaves_no_folder_that_looks_complete(published, tmp_path, monkeypatch):
    from torchvision.datasets import utils

    def full(*arguments):
        raise OSError("No space left on device")

    monkeypatch.setattr(utils, "extract_archive", full)
    with pytest.raises(OSError, match="No space left"):
        fetch.tiny_imagenet()
    assert not (tmp_path / "data" / "tiny-imagenet-200").exists()


def test_an_unknown_name_is_refused_with_what_is_allowed(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["fetch", "cifar"])
    with pytest.raises(SystemExit):
        fetch.main()
    assert "mnist" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["mnist", "tiny-imagenet"])
def test_without_a_network_the_download_fails_without_a_traceback(name, tmp_path):
    """The only door to the network is `make data`; here that door leads to a proxy that is not there."""
    closed = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    command = [sys.executable, "-m", "bn.lab.data.fetch", name]
    environment = {**os.environ, **closed, "BN_DATA": str(tmp_path)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode != 0
    assert f"{name} could not be fetched: " in result.stderr
    assert "Traceback" not in result.stderr
