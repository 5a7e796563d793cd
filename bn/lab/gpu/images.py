"""Unpack the images that were carried along into the data folder."""

import argparse
import tarfile
from pathlib import Path

from bn.lab.gpu.finding import tell


def main() -> None:
    """Unpack archives, one after the other."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("archives", type=Path, nargs="*")
    parser.add_argument("--finding", type=Path)
    options = parser.parse_args()
    for archive in options.archives:
        with tarfile.open(archive) as opened:
            opened.extractall(options.folder, filter="data")
    count = sum(1 for _ in options.folder.rglob("*.JPEG"))
    tell(options.finding, f"{count:,} images from {len(options.archives)} archives", images=count)


if __name__ == "__main__":
    main()
