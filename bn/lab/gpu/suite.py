"""Tests on a GPU, in several processes where pytest-xdist is there; `bn.lab.gpu.reports` says what failed."""

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

QUIET = ("-q", "--no-header", "--tb=short", "--show-capture=no", "-p", "no:cacheprovider", "-p", "bn.lab.gpu.reports")
LONGEST = "60"  # seconds of a test, where pytest-timeout is there; by its thread: no signal gets to who waits for a GPU


def main() -> int:
    """Run tests; the exit status is pytest's."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--only", default="", help="an expression for pytest -k")
    parser.add_argument("--finding", type=Path)
    options = parser.parse_args()
    if options.finding:
        os.environ["BN_FINDING"] = str(options.finding)
    extra = ("-n", str(options.processes)) if options.processes > 1 and find_spec("xdist") else ()
    if find_spec("pytest_timeout"):
        extra += ("--timeout", LONGEST, "--timeout-method", "thread")
    return int(pytest.main([*QUIET, *extra, "-k", options.only, *options.files]))


if __name__ == "__main__":
    sys.exit(main())
