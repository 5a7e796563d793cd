"""Batch Normalization (Ioffe and Szegedy, 2015, arXiv 1502.03167): the layers and the reference."""

from importlib.metadata import PackageNotFoundError, version

from bn import reference
from bn.layers import BatchNorm1d, BatchNorm2d, BatchNorm3d

try:
    __version__ = version("bn")
except PackageNotFoundError:  # used straight from a checkout, on a machine where nothing can be installed
    __version__ = "0+unknown"

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "__version__", "reference"]
