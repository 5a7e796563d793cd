"""Verdicts by rules that were replaced afterwards: written down before, and shown beside the new ones.

    python -m bn.lab.judge.replaced               keep the verdict of every claim of the paper, as it is now
    python -m bn.lab.judge.replaced bn-baseline   of these claims only

They are kept in book/records/replaced.json, for each claim a list, oldest first, that only grows: the verdict, the rule
and its estimates, and the record behind them. Where the last one kept has the same rule and the same record, nothing is
added. Call it before a rule is changed, with all files committed; then give the claim its new rule, and in `replaced`
say why.
"""

import argparse
import json
import math
from dataclasses import dataclass, replace
from itertools import pairwise

from bn.lab import paths, registry
from bn.lab.judge import verdicts
from bn.lab.judge.statistics import Estimate
from bn.lab.judge.verdicts import Condition, Verdict
from bn.lab.store import claims, files, provenance, records
from bn.lab.store.claims import Claim, Line

FILE = "replaced.json"
_OF_A_RECORD = ("scale", "dataset", "papers_own_size", "asked", "training_images")


@dataclass(frozen=True)
class Earlier:
    """A verdict by an earlier rule; `record` has what `speech.size` says of the run behind it, if there was one.

    `why`: what was wrong with that rule, in the words of the claim that took its place.
    """

    verdict: Verdict
    record: dict | None
    why: str


def of(claim: Claim) -> list[Earlier]:
    """The verdicts on a claim by the rules that were replaced, oldest first; none where it has the rule it always had.

    Each of the rules was replaced for the reason that the next one gives.
    """
    if claim.replaced is None:
        return []
    kept = [entry for entry in claims.replaced()[claim.id] if not same_rule(entry, claim)]
    pairs = pairwise([*kept, {"replaced": claim.replaced}])
    return [
        Earlier(_verdict(entry, claim), entry["record"], later["replaced"] or claim.replaced)
        for entry, later in pairs
        if entry["lines"]  # what was not run decided nothing
    ]


def same_rule(entry: dict, claim: Claim) -> bool:
    """Whether a kept verdict is by the rule of today, and its estimator if it has one, of a claim of the same kind."""
    estimated = claim.id in registry.experiment(claim.experiment).estimates  # and not measured in the record itself
    then = entry["digest"] if estimated else entry["digest"].partition("-")[0]
    return entry["kind"] == claim.kind and not claim.changed_since(then)


def _verdict(entry: dict, claim: Claim) -> Verdict:
    """What was kept, as a verdict on the claim as it was then."""
    conditions = tuple(_condition(**line) for line in entry["lines"])
    then = {name: entry[name] for name in ("section", "kind", "claim", "measure")}
    then |= {"rule": tuple(condition.line for condition in conditions), "found": None}
    return Verdict(replace(claim, **then), entry["verdict"], conditions, rule_changed=False)


def _condition(label: str, relation: str, limit: float, value: float, holds: bool, estimate: dict) -> Condition:
    known = {name: math.nan if number is None else number for name, number in estimate.items()}
    return Condition(Line("", label, relation, limit), Estimate(**known), math.nan if value is None else value, holds)


# ---- Keeping them --------------------------------------------------------------------------------


def keep(ids: list[str]) -> list[str]:
    """Keep today's verdicts on these claims, or on all of the paper; return those that were added."""
    kept, source, added = claims.replaced(), provenance.source(), []
    if source["dirty"] is not False:
        raise claims.ClaimsError("a verdict is kept of files that are committed, and here some are not")
    ledger = {name: claim for name, claim in claims.ledger().items() if claim.kind != "target"}
    if unknown := sorted(set(ids) - set(ledger)):
        raise claims.ClaimsError(f"no claim of the paper is called {', '.join(unknown)}")
    for name in ids or ledger:
        entry = _entry(ledger[name])
        if not any(_same(entry, last, ledger[name]) for last in kept.get(name, [])[-1:]):
            kept.setdefault(name, []).append(entry | {"judged_at": source["commit"], "date": provenance.now()})
            added.append(name)
    text = json.dumps(kept, ensure_ascii=False, indent=1)
    files.write_atomically(paths.RECORDS / FILE, f"{text}\n".encode())
    return added


def _same(entry: dict, last: dict, claim: Claim) -> bool:
    """Whether the last one that was kept says the same by the same rule, of the same record."""
    return same_rule(last, claim) and all(entry[name] == last[name] for name in ("verdict", "record"))


def _entry(claim: Claim) -> dict:
    record = records.deciding(claim.experiment)
    verdict = verdicts.judge(claim.id, record)
    about = {name: getattr(claim, name) for name in ("section", "kind", "claim", "measure", "replaced", "digest")}
    lines = [_line(condition) for condition in verdict.conditions]
    return {"verdict": verdict.verdict, **about, "lines": lines, "record": _about(record) if record and lines else None}


def _line(condition: Condition) -> dict:
    line, estimate = condition.line, condition.estimate
    value, low, high = records.numbers([estimate.value, estimate.low, estimate.high])
    return {
        "label": line.label,
        "relation": line.relation,
        "limit": line.limit,
        "value": records.numbers([condition.value])[0],
        "holds": condition.holds,
        "estimate": {"value": value, "low": low, "high": high, "n": estimate.n, "interval": estimate.interval},
    }


def _about(record: dict) -> dict:
    """Which record it was: enough to say how large the run was, and to find it in the history."""
    of = {name: record[name] for name in _OF_A_RECORD if name in record}
    return of | {name: record["provenance"][name] for name in ("commit", "finished")} | {"sha256": record["sha256"]}


def main() -> None:
    """Keep the verdicts that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m bn.lab.judge.replaced", description=main.__doc__)
    parser.add_argument("claims", nargs="*", help="their ids; by default all claims of the paper")
    try:
        added = keep(parser.parse_args().claims)
    except (claims.ClaimsError, records.RecordError, files.RunError) as error:
        parser.exit(1, f"error: {error}\n")
    print(f"Kept {len(added)} verdicts: {', '.join(added)}" if added else "Nothing has changed since the last ones.")


if __name__ == "__main__":
    main()
