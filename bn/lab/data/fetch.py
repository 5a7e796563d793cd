"""Fetch a data set that the notebooks can use into the data folder, and check it against its published digest.

    python -m bn.lab.data.fetch                  MNIST, about 11 MB
    python -m bn.lab.data.fetch tiny-imagenet    200 classes of ImageNet at 64×64 pixels, 237 MB

ImageNet itself is given out at image-net.org to those who register.
"""

import argparse
import shutil
from pathlib import Path

from bn.lab import paths
from bn.lab.data.datasets import check_mnist, torchvision_datasets
from bn.lab.data.disk import DataError

TINY_IMAGENET = ("http://cs231n.stanford.edu/tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de")  # its MD5


def mnist() -> Path:
    """Fetch MNIST unless it is there, check it, and return its folder. Raises DataError, RuntimeError, OSError."""
    published = torchvision_datasets().MNIST
    source = published.__new__(published)  # its initialiser is content with MNIST/processed/*.pt, and fetches nothing
    source.root = paths.data()
    source.download()
    check_mnist()
    return paths.data()


def tiny_imagenet() -> Path:
    """Fetch and unpack Tiny ImageNet unless its folder is there, and return that folder.

    Raises DataError where the archive is another one, OSError where it cannot be fetched or kept.
    """
    folder = paths.data() / "tiny-imagenet-200"
    if not folder.is_dir():
        torchvision_datasets()  # makes torchvision importable beside a CPU build of torch
        from torchvision.datasets.utils import download_and_extract_archive

        (url, md5), draft = TINY_IMAGENET, paths.data() / "tiny-imagenet-200.part"
        try:
            download_and_extract_archive(url, paths.data(), extract_root=draft, md5=md5, remove_finished=True)
        except RuntimeError:
            archive = paths.data() / Path(url).name
            raise DataError(
                f"{url} is not the published archive, whose MD5 is {md5}. Delete {archive} and try again."
            ) from None
        (draft / folder.name).rename(folder)  # whole or not at all
        shutil.rmtree(draft)
    return folder


def main() -> None:
    """Fetch what is named."""
    fetch = {"mnist": mnist, "tiny-imagenet": tiny_imagenet}
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("dataset", nargs="?", choices=fetch, default="mnist")
    name = parser.parse_args().dataset
    try:
        print(f"{name} is complete in {fetch[name]()}")
    except (DataError, RuntimeError, OSError) as error:
        raise SystemExit(f"{name} could not be fetched: {error}") from None


if __name__ == "__main__":
    main()
