"""Train one network of section 4.2: ImageNet at the paper's size on one GPU, or shared among the GPUs of torchrun.

    python -m bn.lab.train.cli --network bn_x5 --scale paper --seed 0
    torchrun --nproc-per-node 8 -m bn.lab.train.cli --network inception --scale paper --batch 256

The finished run is the one that notebooks 08, 09 and 10 look for when they are given the same options. A run that was
interrupted goes on from its checkpoint when the same command is given again.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from tqdm import tqdm

from bn.lab import paper
from bn.lab.data.disk import DataError
from bn.lab.spec import ParameterError, one_of, whole
from bn.lab.store import cache, claims, files
from bn.lab.store.files import RunError
from bn.lab.train import recipes, runs
from bn.lab.train.loop import TrainingError
from bn.lab.train.settings import Recipe
from bn.lab.train.specs import ImageSpec

COMMAND = "python -m bn.lab.train.cli"
OPTIONS = ("dataset", "steps", "batch", "learning_rate", "width", "pixels")  # that both notebooks and command have
NAMED = 3  # commands in a sentence about missing runs, which may be dozens: it stays within one screen


def networks(base: Recipe) -> dict[str, Recipe]:
    """All networks of notebooks 08, 09 and 10 by the name that the command knows; each recipe once."""
    parts = {
        "": recipes.networks(base) | recipes.members(base),
        "alone_": recipes.alone(base),
        "left_out_": recipes.left_out(base),
        "equal_": recipes.equal(base),
        "plain_": recipes.shuffled_without_bn(base),
        "halved_": recipes.compared(base),
    }
    named = [(prefix + name, recipe) for prefix, part in parts.items() for name, recipe in part.items()]
    first = {recipe: name for name, recipe in reversed(named)}  # equal_bn_x5 is bn_x5
    return {name: recipe for name, recipe in named if first[recipe] == name}


def expect_finished(spec: ImageSpec, pairs: Iterable[tuple[Recipe, int]]) -> None:
    """Raise RunError with the commands for those runs that are missing."""
    missing = [pair for pair in dict.fromkeys(pairs) if cache.present(runs.run_file(*pair)) is None]
    if not missing:
        return
    names = {recipe: name for name, recipe in networks(spec.base(spec.learning_rate)).items()}
    if any(recipe not in names for recipe, _ in missing):
        raise RunError(
            f"Runs of scale '{spec.scale}' are missing ({len(missing)}), and bn.lab.train.cli has no name for one of "
            "their networks, by which it could be trained: add the recipe to `networks` there."
        )
    options = shlex.join(_options(spec))
    lines = [f"  {COMMAND} --network {names[recipe]} {options} --seed {seed}" for recipe, seed in missing[:NAMED]]
    if others := len(missing) - len(lines):
        lines.append(f"  and {others} more: {COMMAND} {options} --list names all networks")
    raise RunError(
        f"Runs of scale '{spec.scale}' are missing ({len(missing)}), and a notebook is no place to train them. "
        "Train each by itself, on one GPU as below, or on eight: torchrun --nproc-per-node 8 in the place of python.\n"
        + "\n".join(lines)
    )


def _options(spec: ImageSpec) -> Iterator[str]:
    """What the command must be told to train the same networks."""
    usual = ImageSpec(scale=spec.scale)
    yield from ("--scale", spec.scale)
    for name in OPTIONS:
        if getattr(spec, name) != getattr(usual, name):
            yield from (f"--{name.replace('_', '-')}", str(getattr(spec, name)))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Train one network of section 4.2 and keep the run.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--network", help="which network to train")
    what.add_argument("--list", action="store_true", help="name all networks, and how much work each of them is")
    parser.add_argument("--scale", default="paper", help="how large the networks are, by default paper")
    parser.add_argument("--dataset", default="auto", help="by default the data set of the scale")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="of Inception in mini-batches of 32; the others follow")
    parser.add_argument("--batch", type=int, default=paper.BATCH, help="examples in a step, of all processes together")
    parser.add_argument("--learning-rate", type=float, help="of Inception; the others follow")
    parser.add_argument("--width", type=float, help="1 for as many channels as in Figure 5")
    parser.add_argument("--pixels", type=int, help="of a side of an image")
    parser.add_argument("--classes", type=int, help="so many, the first by name; by default those of the scale")
    parser.add_argument("--synchronized", action="store_true", help="BN's statistics are those of all processes")
    return parser


def asked(options: argparse.Namespace) -> dict[str, Recipe]:
    """The networks, by name, at the size that the options ask for. Raises ParameterError."""
    given = {name: getattr(options, name) for name in OPTIONS}
    spec = ImageSpec(scale=options.scale, seeds=(options.seed,), **given)
    if spec.learning_rate is None:
        raise ParameterError(
            f"at scale '{spec.scale}' the notebooks choose the learning rate by a sweep: "
            "give --learning-rate, that of Inception"
        )
    base, classes = spec.base(spec.learning_rate), options.classes
    if classes is not None:  # a part of the classes has as large a part of the shards
        whole("classes", classes, 2)
        base = replace(base, classes=classes, shards=max(1, base.shards * classes // base.classes))
    return networks(base)


def _print_list(named: dict[str, Recipe]) -> None:
    print(f"{'network':<22}{'learning rate':>14}{'steps':>14}{'images':>18}")
    for name, recipe in named.items():
        print(f"{name:<22}{recipe.learning_rate:>14.4g}{recipe.steps:>14,}{recipe.steps * recipe.batch:>18,}")


@contextmanager
def _group() -> Iterator[int]:
    """Join the processes of torchrun, a GPU each if there are any; yields this one's number among them."""
    if not dist.is_torchelastic_launched():
        yield 0
        return
    cuda, local = torch.cuda.is_available(), int(os.environ["LOCAL_RANK"])
    if cuda and local >= torch.cuda.device_count():
        raise TrainingError(
            f"each process needs a GPU of its own, and this machine has {torch.cuda.device_count()}: "
            "lower --nproc-per-node to that"
        )
    if cuda:
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield dist.get_rank()
    finally:
        dist.destroy_process_group()


def _train(name: str, pair: tuple[Recipe, int], synchronized: bool, first: bool) -> None:
    """Train a network; where this is the first process, with a progress bar and a sentence about the finished run."""
    path, recipe = runs.run_file(*pair), pair[0]
    before = "" if cache.present(path) is None else "It was finished before, and nothing is trained. "
    with tqdm(total=recipe.steps, desc=name, unit="step", unit_scale=True, mininterval=1, disable=not first) as bar:
        runs.train(runs.job(pair), _progress(bar), synchronized)
    if first:
        print(before + _sentence(path, recipe, files.read_arrays(path)))


def _progress(bar: tqdm) -> Callable[[int], None]:
    """Steps done before this start are no measure of the time that remains."""

    def report(step: int) -> None:
        if bar.n == 0 < step:
            bar.initial = bar.last_print_n = bar.n = step
        bar.update(step - bar.n)

    return report


def _sentence(path: Path, recipe: Recipe, run: dict) -> str:
    validation, test = 100 * run["validation"][-1], 100 * run["final_test"]
    end = (
        f"validation accuracy {validation:.2f}%, test accuracy {test:.2f}% after {recipe.steps:,} steps"
        if run["diverged"] < 0
        else f"the network diverged: the loss of step {run['diverged']:,} was not finite"
    )
    return f"{path} holds the run: {end}, {run['meta']['training_seconds']:,.1f} seconds of training."


def main(arguments: list[str] | None = None) -> None:
    """Train what the command line asks for. Exit status 2: it asks wrongly; 1: what it asks cannot be done."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(1)  # as the notebooks' workers: the same bytes every time
    try:
        claims.ledger()  # its rules are kept with the run: a file not in order is better said now
        named = asked(options)
        if options.list:
            return _print_list(named)
        one_of("network", options.network, tuple(named))
        with _group() as rank:
            _train(options.network, (named[options.network], options.seed), options.synchronized, rank == 0)
    except (ParameterError, TrainingError, DataError, RunError, claims.ClaimsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(2 if isinstance(error, ParameterError) else 1) from error


if __name__ == "__main__":
    main()
