"""Make the record of one chapter without a notebook, for a machine that has no papermill.

    timeout 10m python -m bn.lab.chapters training_speed --scale gpu

It goes on where an earlier call ended, and writes the record to runs/records.
"""

import argparse

from bn.lab import paths, registry
from bn.lab.data.disk import DataError
from bn.lab.spec import ParameterError
from bn.lab.store import claims
from bn.lab.store.claims import ClaimsError
from bn.lab.store.files import RunError
from bn.lab.train.loop import TrainingError


def main() -> None:
    """Train what is missing of one chapter's networks and write its record to runs/records.

    Exit status 2: it is asked wrongly; 1: what is asked cannot be done.
    """
    parser = argparse.ArgumentParser(prog="python -m bn.lab.chapters", description=main.__doc__.splitlines()[0])
    parser.add_argument("experiment", choices=registry.names())
    parser.add_argument("--scale", default="cpu")
    parser.add_argument("--dataset", default="auto")
    options = parser.parse_args()
    try:
        registry.notebook(options.experiment)  # which the record names: better missed now than after the training
        claims.ledger()
        experiment = registry.experiment(options.experiment)
        experiment.record(experiment.spec(scale=options.scale, dataset=options.dataset))
    except ParameterError as error:
        parser.exit(2, f"error: {error}\n")
    except (DataError, TrainingError, RunError, ClaimsError, LookupError, OSError) as error:
        parser.exit(1, f"error: {error}\n")
    print(f"The record of {options.experiment} is written to {paths.runs() / 'records'}")


if __name__ == "__main__":
    main()
