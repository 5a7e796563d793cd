"""Fetching: Tiny ImageNet from an archive that the test makes, through the very code that a user calls; no network."""

import gzip
import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bn.lab.data import datasets, fetch
from bn.lab.data.disk import DataError


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder, the address under which its files can be fetched, and a data folder that is not there yet."""
    (folder := tmp_path / "site").mkdir()
    monkeypatch.setenv("BN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def published(site, monkeypatch):
    """An archive with two files, at an address of its own."""
    folder, address = site
    path = folder / "tiny-imagenet-200.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny-imagenet-200/wnids.txt", "n01443537\n")
        archive.writestr("tiny-imagenet-200/train/n01443537/images/a.JPEG", "pixels")
    monkeypatch.setattr(fetch, "TINY_IMAGENET", (address + path.name, hashlib.md5(path.read_bytes()).hexdigest()))
    return path


@pytest.fixture
def published_mnist(site, monkeypatch):
    """Four small files in place of MNIST's, packed as they are published; what is in them."""
    (folder, address), contents = site, {name: name.encode() * 9 for name in datasets.MNIST_FILES}
    expected, resources = {}, []
    for name, content in contents.items():
        expected[name] = (len(content), hashlib.sha256(content).hexdigest())
        (packed := folder / f"{name}.gz").write_bytes(gzip.compress(content))
        resources.append((packed.name, hashlib.md5(packed.read_bytes()).hexdigest()))
    monkeypatch.setattr(datasets, "MNIST_FILES", expected)
    mnist = datasets.torchvision_datasets().MNIST
    monkeypatch.setattr(mnist, "mirrors", [address])
    monkeypatch.setattr(mnist, "resources", resources)
    return contents


@pytest.mark.parametrize("before", ["nothing", "processed/*.pt", "three of the files"])
def test_mnist_is_fetched_whatever_torchvision_would_be_content_with(published_mnist, tmp_path, before):
    raw = tmp_path / "data" / "MNIST" / "raw"
    if before == "processed/*.pt":
        (processed := raw.parent / "processed").mkdir(parents=True)
        for name in ("training.pt", "test.pt"):
            (processed / name).write_bytes(b"no MNIST")
    elif before == "three of the files":
        raw.mkdir(parents=True)
        for name in list(published_mnist)[1:]:
            (raw / name).write_bytes(published_mnist[name])
    assert fetch.mnist() == tmp_path / "data"
    assert {name: (raw / name).read_bytes() for name in published_mnist} == published_mnist
    for path in (tmp_path / "site").iterdir():
        path.unlink()
    fetch.mnist()  # what is there is not fetched again


def test_a_damaged_file_of_mnist_is_named(published_mnist, tmp_path):
    fetch.mnist()
    path = tmp_path / "data" / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=rf"{path} has .*Delete it and run `make data`"):
        fetch.mnist()


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


def test_a_file_in_the_place_of_the_folder_is_no_data_set(published, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tiny-imagenet-200").touch()
    with pytest.raises(OSError, match="Not a directory"):
        fetch.tiny_imagenet()


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
