"""Batch Normalization (Ioffe and Szegedy, 2015, arXiv 1502.03167): functions, layers, networks, the reference."""

from importlib.metadata import PackageNotFoundError, version

from bn import functional, reference
from bn.convert import convert, revert
from bn.fold import fold
from bn.fuse import fuse
from bn.layers import BatchNorm1d, BatchNorm2d, BatchNorm3d
from bn.statistics import recompute_statistics
from bn.sync import SyncBatchNorm

try:
    __version__ = version("bn")
except PackageNotFoundError:  # used straight from a checkout, on a machine where nothing can be installed
    __version__ = "0+unknown"

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "SyncBatchNorm",
    "__version__",
    "convert",
    "fold",
    "functional",
    "fuse",
    "recompute_statistics",
    "reference",
    "revert",
]
