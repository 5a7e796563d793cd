"""Networks of section 4.2 that were never trained: curves drawn by hand, and whole records of them."""

import importlib
import json
from dataclasses import asdict
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from bn.lab import registry
from bn.lab.judge import verdicts
from bn.lab.store import claims, provenance, records
from bn.lab.train import predictions, recipes, runs
from bn.lab.train.settings import Recipe

EXPERIMENTS = ("training_speed", "ablations", "ensemble")
OF_SECTION_4_2 = [claim for claim in claims.ledger().values() if claim.experiment in EXPERIMENTS]


def network(*validation, test=None, diverged=None, classes=10, every=10, train=None) -> dict:
    """A network of a record: an evaluation every 10 steps, a list of accuracies for each seed.

    `test` and `train` are the accuracies at the end, a number for each seed; by default the last on validation images.
    """
    last = [seed[-1] for seed in validation]
    return {
        "recipe": {"classes": classes},
        "steps": [every * k for k in range(len(validation[0]))],
        "validation": [list(seed) for seed in validation],
        "final_test": list(test or last),
        "final_train": list(train or last),
        "diverged": diverged or [None] * len(validation),
        "infinite": [step is not None for step in diverged or [None] * len(validation)],
    }


def rising(at: int, high=0.8, low=0.2, n=21) -> list[float]:
    """`high` from evaluation `at` on; the running median is there two evaluations later."""
    return [high if k >= at else low for k in range(n)]


LANGUAGES = pytest.mark.parametrize("language", ["en", "ar"])
BASE = recipes.inception(recipes.SIZES["cpu", "digits"], "digits", 0.03, 400)  # 400 steps, evaluated every 10
LEVELS = (0.90, 0.91, 0.92)  # accuracy of three seeds, the same at each evaluation


def flat(recipe: Recipe, points: tuple[float, ...] = (0, 0, 0)) -> dict:
    """Constant curves, so many points above LEVELS."""
    steps = list(range(0, recipe.steps + 1, recipe.every))
    curves = [[level + point / 100] * len(steps) for level, point in zip(LEVELS, points, strict=True)]
    ends = {name: [curve[-1] for curve in curves] for name in ("final_test", "final_train")}
    ends |= {"diverged": [None] * 3, "infinite": [False] * 3}
    return {"recipe": asdict(recipe), "steps": steps, "validation": curves} | ends


def diverge(curve: dict, seed: int) -> None:
    """The seed diverges at the fourth evaluation."""
    curve["diverged"][seed] = curve["steps"][4]
    kept = curve["validation"][seed]
    curve["validation"] = [*curve["validation"]]
    curve["validation"][seed] = kept[:4] + [None] * (len(kept) - 4)
    curve["final_test"][seed] = curve["final_train"][seed] = None
    curve["infinite"][seed] = True


def finished(results: dict) -> dict:
    """A record of three seeds with these results."""
    provenance = {"version": "0", "commit": "0" * 10, "dirty": False, "code": "", "data_sha256": "", "devices": []}
    provenance |= {"versions": {}, "compiled": [], "seeds": [0], "runs": 1, "training_seconds": 0}
    provenance |= {"finished": "", "command": ""}
    asked = {"steps": 400, "seeds": [0, 1, 2], "pixels": 8}
    about = {"scale": "cpu", "dataset": "digits", "papers_own_size": False, "asked": asked}
    return about | {"rules": claims.rule_digests(), "provenance": provenance} | results


def at(commit: str, monkeypatch) -> None:
    """From here on what is measured begins from this commit."""
    source = {"version": "0", "commit": commit, "dirty": False}
    monkeypatch.setattr(provenance, "source", lambda: source)


def judged(record: dict, scale="cpu", own_size=False) -> dict:
    """The record with what a verdict needs to know of it."""
    return {"scale": scale, "papers_own_size": own_size, "rules": claims.rule_digests()} | record


def estimates(claim: str, record: dict) -> dict[str, verdicts.Estimate]:
    return verdicts.estimates(claims.ledger()[claim], record)


def values(claim: str, record: dict) -> dict[str, float]:
    return {name: estimate.value for name, estimate in estimates(claim, record).items()}


def run(recipe: Recipe, seed: int) -> dict:
    """A run whose accuracy rises from chance: with BN sooner and higher."""
    steps = np.array(sorted({*range(0, recipe.steps, recipe.every), recipe.steps}))
    best, half = (0.9, recipe.steps / 20) if recipe.batch_norm else (0.8, recipe.steps / 4)
    chance = 1 / recipe.classes
    accuracy = chance + (best - chance + 0.001 * seed) * steps / (steps + half)
    curves = {"steps": steps, "validation": accuracy, "diverged": np.array(-1), "infinite": np.array(False)}
    curves |= {"final_test": accuracy[-1], "final_train": accuracy[-1]}
    return curves | {"meta": {"training_seconds": 1.0, "parameters": 3}}


@cache
def record(name: str) -> dict:
    """The record of one of the EXPERIMENTS at scale cpu, of runs that were never trained."""
    y, rng = np.arange(50) % 10, np.random.default_rng(0)

    def predict(pairs, crops, title):
        noise = {pair: rng.random((50, 10)) + (0.2 if crops == 1 else 0.4) * np.eye(10)[y] for pair in pairs}
        shares = {pair: (p / p.sum(1, keepdims=True)).astype(np.float32) for pair, p in noise.items()}
        return {pair: {"probabilities": p, "meta": {}} for pair, p in shares.items()}

    def finish(experiment, spec, metas, results, computed=()):
        assert experiment == name and all(meta["parameters"] == 3 for meta in metas)
        return json.loads(json.dumps(judged(results, spec.scale, spec.papers_own_size)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "run", lambda pairs, title, until: {pair: run(*pair) for pair in pairs})
        patch.setattr(predictions, "predictions", predict)
        patch.setattr(predictions, "test_images", lambda recipe: SimpleNamespace(y=SimpleNamespace(numpy=lambda: y)))
        of_speed = importlib.import_module("bn.lab.chapters.training_speed.record")
        patch.setattr(of_speed, "throughput", lambda base, until: {"measured": {"bn_x5": {}}, "meta": {}})
        patch.setattr(records, "finish", finish)
        experiment = registry.experiment(name)
        return experiment.record(experiment.spec(scale="cpu", dataset="digits"))


def check(claim: claims.Claim) -> None:
    """It can be judged on the made-up record of its chapter: every line of its rule has a finite estimate."""
    found = estimates(claim.id, record(claim.experiment)) if claim.rule or claim.found else {}
    for line in claim.rule:
        assert np.isfinite(found[line.estimate].value)
    verdict = verdicts.judge(claim.id, record(claim.experiment))
    kinds = {"mathematics": ("verified",), "arithmetic": ("consistent",), "open": ("open",)}
    kinds |= {"as stated": ("stated",)}
    assert verdict.verdict in kinds.get(claim.kind, ("smaller", "inconclusive", "not", "notrun"))
    assert (verdict.verdict == "notrun") == (claim.scale == "paper")
    assert not verdict.rule_changed


def check_waits_for_imagenet(claim: str, experiment: str) -> None:
    """No record of a smaller scale than the paper's decides it."""
    for scale in ("smoke", "cpu", "gpu"):
        verdict = verdicts.judge(claim, record(experiment) | {"scale": scale})
        assert (verdict.verdict, verdict.conditions) == ("notrun", ())
