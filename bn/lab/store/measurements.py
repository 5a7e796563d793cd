"""What is measured without a training, kept like any run: under the question, and the code that answers it."""

import time
from collections.abc import Callable

from bn.lab import paths
from bn.lab.store import cache, code, files, provenance


def once(name: str, module: str, question: list, make: Callable[[], object], checksum: str = "") -> dict:
    """`measured`, what `make` returns and JSON can hold, and `meta`, where it comes from.

    It is made where it is not kept yet in runs/`name`: a file for each `question`, digest of the `module` with all that
    it imports of `bn`, the kernels included, and `checksum` of the data. Raises RunError.
    """
    made_by = code.digest(module, kernels=True)
    key = files.digest([*question, *filter(None, [checksum]), made_by])

    def measure() -> dict:
        origin, begun = provenance.origin(), time.perf_counter()
        measured = make()
        return {"measured": measured, "meta": provenance.meta(origin, checksum, made_by, time.perf_counter() - begun)}

    return cache.once(paths.runs() / name / f"{key}.json", measure)
