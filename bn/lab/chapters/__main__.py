"""Make the record of one chapter without a notebook, for a machine that has no papermill.

    timeout 10m python -m bn.lab.chapters training_speed --scale gpu

It goes on where an earlier call ended, and writes the record to runs/records.
"""

import argparse

from bn.lab import paths, registry
from bn.lab.data.datasets import DataError
from bn.lab.spec import ParameterError
from bn.lab.store.workers import RunError
from bn.lab.train.loop import TrainingError


def main() -> None:
    """Train what is missing of one chapter's networks and write its record to runs/records."""
    parser = argparse.ArgumentParser(prog="python -m bn.lab.chapters", description=main.__doc__)
    parser.add_argument("experiment", choices=registry.names())
    parser.add_argument("--scale", default="cpu")
    parser.add_argument("--dataset", default="auto")
    options = parser.parse_args()
    experiment = registry.experiment(options.experiment)
    try:
        experiment.record(experiment.spec(scale=options.scale, dataset=options.dataset))
    except (ParameterError, DataError, TrainingError, RunError) as error:
        raise SystemExit(f"error: {error}") from None
    print(f"The record of {options.experiment} is written to {paths.runs() / 'records'}")


if __name__ == "__main__":
    main()
