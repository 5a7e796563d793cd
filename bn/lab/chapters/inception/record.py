"""The network of Figure 5 counted at full size, and a narrow one that takes a few steps."""

import time
from functools import lru_cache

from bn.lab import paths
from bn.lab.chapters.inception import counts
from bn.lab.chapters.inception.spec import Counted
from bn.lab.data import datasets
from bn.lab.store import cache, code, files, provenance, records

NETWORKS = ("plain", "bn")


def record(spec: Counted) -> dict:
    """`rows` of the network as built, `totals` of every reading, the claims `measured`, and the `trials` by network."""
    rows, tried = _readings(), _tried(spec)
    results = {
        "rows": rows["figure 5 bn"],
        "totals": counts.totals(rows),
        "measured": counts.measure(rows),
        "trials": tried["trials"],
    }
    return records.finish("inception", spec, tried["metas"], results)


@lru_cache(maxsize=1)
def _readings() -> dict[str, list[dict]]:
    """The network of every reading, counted once: nothing of it depends on what is asked."""
    return counts.readings()


def _tried(spec: Counted) -> dict:
    """The steps of the narrow networks, kept like any run: the second language then shows the very same."""
    images, made_by = datasets.load(spec.dataset), code.digest(counts.__name__)
    key = files.digest([spec.as_dict(), images.checksum, made_by])

    def make() -> dict:
        origin, trials, metas = provenance.origin(), {name: [] for name in NETWORKS}, []
        for name in NETWORKS:
            options = {"width": spec.width, "size": spec.pixels, "batch_norm": name == "bn"}
            for seed in spec.seeds:
                begun = time.perf_counter()
                trials[name].append(counts.trial(images.train, seed, spec.steps, **options))
                seconds = time.perf_counter() - begun
                metas.append(provenance.meta(origin, images.checksum, made_by, seconds, seed=seed))
        return {"trials": trials, "metas": metas}

    return cache.once(paths.runs() / spec.dataset / f"inception-{key}.json", make)
