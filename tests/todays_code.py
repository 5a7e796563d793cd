"""Which code makes a record today."""

from test_architecture import sources

from bn.lab import paths
from bn.lab.store import code, files
from bn.lab.train import loop, predictions, replicas, small

OF_SPEED = "kernels"  # its record is of measurements, with a command and a provenance of its own
MEASURING = [f"bn.lab.chapters.kernels.{name}" for name in ("cases", "measure", "precision", "step")]


def today(experiment: str) -> set[str]:
    """The digests of the code that makes such a record today, on a CPU or a GPU.

    That of a trainer, with the study of the chapter where it is for small networks, and of whatever module of the
    chapter measures without a training.
    """
    folder = paths.ROOT / "bn" / "lab" / "chapters" / experiment
    own = [[f"bn.lab.chapters.{experiment}.{path.stem}"] for path in sorted(folder.glob("*.py"))]
    roots = [*own, *([small.__name__, *module] for module in own)]
    roots += [[loop.__name__], [replicas.__name__], [predictions.__name__]]
    roots += [MEASURING, ["bn.launch"]] if experiment == OF_SPEED else []  # measured, and what the compiler says
    house = sources()
    return {files.digest(code.closure(tuple(root), house, kernels)) for root in roots for kernels in (False, True)}
