"""Make the record of one chapter without a notebook, for a machine that has no papermill.

    python -m bn.lab.chapters training_speed --scale gpu --batch 128 --minutes 6

It goes on where an earlier call ended, and writes the record to runs/records. With `--minutes` it ends by itself, with
a record of what is finished: several visits to a lent GPU add up if runs/ is carried from one to the next.
"""

import argparse
import inspect
from dataclasses import fields
from pathlib import Path

from bn.lab import registry
from bn.lab.data.disk import DataError
from bn.lab.registry import Experiment
from bn.lab.spec import ParameterError, Spec, literal, positive
from bn.lab.store import claims, records
from bn.lab.store.claims import ClaimsError
from bn.lab.store.files import RunError
from bn.lab.train.loop import TrainingError

PARAMETERS = {  # of the notebooks, that can be given here: they are checked where those of a notebook are
    "scale": "smoke, cpu, gpu or paper; by default cpu",
    "dataset": "by default the scale's own",
    "seeds": "how many, or a list of them: 3, or 0,1,2",
    "steps": "training steps; where networks are trained on images, of Inception in mini-batches of 32",
    "batch": "images in a mini-batch; the number of images seen stays the same",
    "learning_rate": "of Inception, in the place of a sweep",
}


def main() -> None:
    """Train what is missing of one chapter's networks and write its record to runs/records.

    Exit status 2: it is asked wrongly; 1: what is asked cannot be done.
    """
    parser = _parser()
    options = parser.parse_args()
    try:
        registry.notebook(options.experiment)  # which the record names: better missed now than after the training
        claims.ledger()
        experiment = registry.experiment(options.experiment)
        record = experiment.record(_spec(experiment, options), **_minutes(experiment, options.minutes))
        path = records.run_record(*(record[name] for name in ("experiment", "scale", "dataset", "asked")))
        if options.out:
            path = records.write(record, options.out)
    except ParameterError as error:
        parser.exit(2, f"error: {error}\n")
    except (DataError, TrainingError, RunError, ClaimsError, LookupError, OSError) as error:
        parser.exit(1, f"error: {error}\n")
    print(f"The record of {options.experiment} is written to {path}")
    if not record.get("complete", True):
        done, planned = record["provenance"]["runs"], record["runs_planned"]
        print(f"It is not complete, with {done} of {planned} trainings: the same command goes on from here.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bn.lab.chapters", description=main.__doc__.splitlines()[0])
    parser.add_argument("experiment", choices=registry.names())
    for name, words in PARAMETERS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", help=words)
    parser.add_argument("--minutes", help="train no longer than so: the same command goes on from there")
    parser.add_argument("--out", type=Path, help="a file for the record, in the place of runs/records")
    return parser


def _spec(experiment: Experiment, options: argparse.Namespace) -> Spec:
    """The chapter's parameters, as far as they are given. Raises ParameterError."""
    given = {name: value for name in PARAMETERS if (value := getattr(options, name)) is not None}
    known = [field.name for field in fields(experiment.spec)]
    for name in given:
        if name not in known:
            raise ParameterError(
                f"{experiment.name} has no parameter {name!r}; its parameters are {', '.join(sorted(known))}"
            )
    return experiment.spec(**{name: literal(value) for name, value in given.items()})


def _minutes(experiment: Experiment, minutes: str | None) -> dict[str, float]:
    """What the chapter's function is told of the time that it has. Raises ParameterError."""
    if minutes is None:
        return {}
    if "minutes" not in inspect.signature(experiment.record).parameters:
        raise ParameterError(f"{experiment.name} does not end after so many minutes: leave --minutes out")
    positive("minutes", literal(minutes))
    return {"minutes": literal(minutes)}


if __name__ == "__main__":
    main()
