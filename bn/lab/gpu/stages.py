"""The stages of a visit: what each runs, for how long at most, and what it is at tiny sizes."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
MANY = str(max(1, CORES - 2))  # two are left for the watch and the driver
# The most important first: what a kill leaves undone is at the end.
TESTS = (
    *(
        f"tests/test_{name}.py"
        for name in ("kernels", "functional", "ops", "layers", "operands", "as_torch", "convert")
    ),
    *("tests/test_fuse.py", "tests/test_inductor.py", "tests/lab/train/test_gpu.py"),
)


@dataclass(frozen=True)
class Stage:
    """One process of a visit.

    - `command`: arguments for Python; `{seconds}` and `{minutes}` in them are the time until it should end by itself,
      `{finding}` a JSON file for what it finds, rewritten as it goes, `{runs}` and `{data}` folders, `{archives}` those
      of images, `{name}` its name.
    - `seconds`: its limit, at which it is killed; None for `share` parts of what the others leave.
    - `once`: what it found is kept, and it is not run again for the same code on the same card.
    - `images`: whether it needs Tiny ImageNet.
    - `variable`: of the environment, which what it found is told in to the stages after it.
    - `tries`: how often it is begun again where it failed: the kernels' record goes on after a broken context.
    """

    name: str
    command: tuple[str, ...]
    seconds: float | None = None
    share: float = 0.0
    once: bool = False
    images: bool = False
    variable: str = ""
    tries: int = 1


LATER = 0.25  # of the time that is left: what stages behind a sharing one may keep from it at most

SUITE = ("-m", "bn.lab.gpu.suite", "--finding", "{finding}", "--processes")
KERNELS = ("-m", "bn.lab.chapters.kernels", "--minutes", "{minutes}", "--out", "{runs}/records/kernels-{name}.json")
TRAINING = ("-m", "bn.lab.chapters", "training_speed")
UNPACK = "import sys; from bn.lab.data import archives; print(archives.unpacked(sys.argv[2:], sys.argv[1]))"

# Limits hold Python's start and torch's import, some seconds each.
REAL = (
    Stage("machine", ("-m", "bn.lab.gpu.machine", "--finding", "{finding}"), 20),
    Stage("races", (*SUITE, "8", "tests/test_races.py"), 60, once=True),
    Stage("tests", (*SUITE, MANY, *TESTS), 100, once=True),
    Stage("precompile", ("-m", "bn.lab.gpu.precompile", "--finding", "{finding}", "--processes", MANY), 45),
    Stage("tune", ("-m", "bn.lab.gpu.tune", "--finding", "{finding}", "--seconds", "{seconds}"), 75, once=True),
    Stage("kernels", (*KERNELS, "--scale", "gpu", "--quick"), share=0.8, tries=3),
    Stage("figure1", ("-m", "bn.lab.gpu.many", "--finding", "{finding}"), 45, once=True),
    Stage("images", ("-c", UNPACK, "{data}", "{archives}"), 45),
    Stage("sharing", ("-m", "bn.lab.train.sharing"), 75, once=True, images=True, variable="BN_PER_GPU"),
    Stage(
        "training", (*TRAINING, "--scale", "gpu", "--batch", "128", "--minutes", "{minutes}"), share=0.2, images=True
    ),
    Stage("all-kernels", (*KERNELS, "--scale", "gpu"), tries=3),
)
DRY = (
    Stage("machine", (*REAL[0].command, "--largest", "1"), 60),
    Stage("races", (*SUITE, "1", "tests/test_races.py", "--only", "seen or (comes_later and 2-3-1)"), 120, once=True),
    Stage("tests", (*SUITE, "1", "tests/test_kernels.py", "--only", "offsets"), 120, once=True),
    Stage("precompile", (*REAL[3].command[:-1], "1", "--tiny"), 120),
    Stage("tune", (*REAL[4].command, "--tiny"), 120, once=True),
    Stage("kernels", (*KERNELS, "--scale", "smoke"), share=0.8),
    Stage("figure1", (*REAL[6].command, "--tiny"), 120, once=True),
    Stage(
        "training", (*TRAINING, "--scale", "smoke", "--seeds", "1", "--steps", "4", "--minutes", "{minutes}"), share=0.2
    ),
    Stage("all-kernels", (*KERNELS, "--scale", "smoke")),
)


class UnknownStage(ValueError):
    """There is no stage of that name; the message has those that there are."""


def chosen(dry_run: bool, only: Iterable[str] = (), skip: Iterable[str] = ()) -> list[Stage]:
    """The stages of a visit in their order. Raises UnknownStage for a name that none has.

    >>> [stage.name for stage in chosen(False, only=("tests", "machine"))]
    ['machine', 'tests']
    """
    table = DRY if dry_run else REAL
    names = [stage.name for stage in table]
    if unknown := sorted({*only, *skip} - set(names)):
        raise UnknownStage(f"there is no stage {', '.join(unknown)}; there are {', '.join(names)}")
    return [stage for stage in table if stage.name in (only or names) and stage.name not in skip]


def environment(dry_run: bool) -> dict[str, str]:
    """What all stages are told: no progress bars, no bytecode; of a dry run that there is no GPU."""
    told = {"TQDM_DISABLE": "1", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return told | ({"CUDA_VISIBLE_DEVICES": "", "TRITON_INTERPRET": "1"} if dry_run else {})


def limits(waiting: list[Stage], left: float) -> list[float]:
    """Seconds for each of the stages that wait, of those that are left.

    Those with a limit of their own get it in their order as long as it lasts, behind the first that shares no more than
    LATER of what is left in all; the others share the rest, and the last of all has what no other needs.

    >>> limits([Stage("a", (), 60), Stage("b", (), share=1.0), Stage("c", (), 10), Stage("d", (), share=1.0)], 100)
    [60, 15.0, 10.0, 15.0]
    >>> limits([Stage("b", (), share=1.0), Stage("c", (), 60)], 50)
    [37.5, 12.5]
    """
    first = next((k for k, stage in enumerate(waiting) if stage.seconds is None), len(waiting))
    found, rest = [], left
    for stage in waiting[:first]:
        found.append(min(stage.seconds, rest))
        rest -= found[-1]
    later = waiting[first:]
    wanted, shares = sum(stage.seconds or 0 for stage in later), sum(stage.share for stage in later)
    granted = min(wanted, LATER * rest)
    for stage in later:
        of_own = granted * stage.seconds / wanted if stage.seconds else 0.0
        of_rest = (rest - granted) * (stage.share / shares if shares else stage.seconds is None)
        found.append(of_own or of_rest)
    return found
