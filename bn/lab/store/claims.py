"""The claims of the paper and the rules that judge them, as book/claims/<chapter>.yml states them, in English.

    estimates:            what the names in the rules stand for
      speed_up: "times fewer steps"
    group: "Six networks"  optional: what README calls the measured claims of the chapter, where it does not list them
    claims:
    - id: bn-baseline     unique in the book
      section: "4.2.2"    of the paper; A is the appendix
      kind: measured      one of KINDS
      scale: paper        optional: only a record of this scale decides
      by: "Bjorck et al., 2018"   of the kind later, and of no other: whose claim it is
      part: grid          optional: of the record, where that part has a size of its own, smaller than the paper's
      claim, paper, measure: what is claimed, the paper's value, how it is measured here
      rule:               every line must hold; [] for a claim as stated or open
        - {estimate: speed_up, at_least: 2.0}
      found: "{speed_up} times fewer{speed_up:interval}."   optional: what was found as a sentence
      replaced: "It had …"  optional: why another rule stood here before; its verdict stays visible

A rule stands here before the run that it judges. Every run keeps the digests of the rules that it ran under, so that a
verdict whose rule changed afterwards can be told. What a replaced rule had decided is in book/records/replaced.json
(bn.lab.judge.replaced).
"""

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import yaml

from bn.lab import paths, registry
from bn.lab.spec import SCALES
from bn.lab.store import code

# mathematics and arithmetic must hold for every seed; what is measured is judged by both ends of its interval. Two are
# no claims of the paper and kept out of the ledger: later ones are of other papers about this one, and measured like
# its own; a target is a goal of ours.
KINDS = ("mathematics", "arithmetic", "measured", "as stated", "open", "later", "target")
WITHOUT_RULE = ("as stated", "open")  # there is nothing to measure
RELATIONS = ("at_most", "at_least", "more_than", "within")  # the last of the distance from 0
# libyaml reads the same in a twentieth of the time; PyYAML may have been built without it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_REQUIRED = {"id", "section", "kind", "claim", "paper", "measure", "rule"}
_OPTIONAL = {"scale", "part", "by", "found", "replaced"}


class ClaimsError(ValueError):
    """A claims file is not in order; the message names the file and what is wrong."""


@dataclass(frozen=True)
class Line:
    """One line of a rule: `estimate`, what it is called, and its limit."""

    estimate: str
    label: str
    relation: str
    limit: float


@dataclass(frozen=True)
class Claim:
    """One claim: the words of its entry, the experiment whose record decides, and its group in a short list."""

    experiment: str
    id: str
    section: str
    kind: str
    claim: str
    paper: str
    measure: str
    rule: tuple[Line, ...]
    scale: str | None = None
    found: str | None = None
    group: str | None = None
    replaced: str | None = None
    part: str | None = None
    by: str | None = None

    @property
    def of_the_paper(self) -> bool:
        """Whether it stands in the ledger."""
        return self.kind not in ("later", "target")

    @property
    def measured(self) -> bool:
        """Whether seeds are its sample: an estimate with an interval is held against its limits."""
        return self.kind in ("measured", "later")

    @property
    def exact(self) -> bool:
        """Whether it must hold for every seed, without an interval."""
        return self.kind in ("mathematics", "arithmetic")

    @property
    def digest(self) -> str:
        """Digests of what decides the verdict: of how it is measured and the rule, and of the estimator's code."""
        return self._digest(code.digest_of_entry(*self._estimator))

    def _digest(self, estimator: str) -> str:
        rule = [{"estimate": line.estimate, line.relation: line.limit} for line in self.rule]
        words = hashlib.sha256(json.dumps([self.measure, rule], sort_keys=True).encode()).hexdigest()[:12]
        return f"{words}-{estimator[:12]}"

    @property
    def _estimator(self) -> tuple[str, str, str]:
        """Where its estimator stands."""
        return f"bn.lab.chapters.{self.experiment}.estimates", "ESTIMATES", self.id

    def changed_since(self, digest: str | None) -> bool:
        """Whether the rule or the estimator is another than the one of a `digest`; early ones are of the rule alone."""
        now = self.digest
        return digest not in (now, now.partition("-")[0])


@cache
def ledger() -> dict[str, Claim]:
    """All claims by id, chapter by chapter in the order of the book. Raises ClaimsError."""
    found = [claim for name in registry.names() for claim in of_chapter(name)]
    if double := {claim.id for claim in found if sum(claim.id == other.id for other in found) > 1}:
        raise ClaimsError(f"{paths.CLAIMS} has more than one claim called {', '.join(sorted(double))}")
    return {claim.id: claim for claim in found}


def rule_digests() -> dict[str, str]:
    """The digest of each claim."""
    found = ledger()
    estimators = code.digests_of_entries([claim._estimator for claim in found.values()])
    return {name: claim._digest(own) for (name, claim), own in zip(found.items(), estimators, strict=True)}


def replaced() -> dict[str, list[dict]]:
    """What rules had decided before they were replaced, oldest first, by the id of the claim. Raises ClaimsError."""
    path = paths.RECORDS / "replaced.json"
    try:
        return json.loads(path.read_text("utf-8")) if path.exists() else {}
    except ValueError as error:
        raise ClaimsError(f"{path} cannot be read: {error}") from None


def of_chapter(name: str) -> list[Claim]:
    """The claims of one chapter; none where it has no file."""
    path = paths.CLAIMS / f"{name}.yml"
    if not path.exists():
        return []
    try:
        content = _content(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ClaimsError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict) or not set(content) - {"group"} == {"estimates", "claims"}:
        raise ClaimsError(f"{path} must hold `estimates` and `claims`, and may hold `group`")
    labels = content["estimates"] or {}
    if not isinstance(labels, dict) or not isinstance(content["claims"], list):
        raise ClaimsError(f"{path}: `estimates` must map names to what they stand for, and `claims` must be a list")
    return [_claim(name, content.get("group"), entry, labels, path) for entry in content["claims"]]


@lru_cache(maxsize=32)  # as many as there are chapters, read again where one asks for its own claims
def _content(text: str) -> object:
    return yaml.load(text, _LOADER)


def _claim(experiment: str, group: str | None, entry: dict, labels: dict, path: Path) -> Claim:
    if not isinstance(entry, dict):
        raise ClaimsError(f"{path}: a claim must have keys such as `id`, but it is {entry!r}")
    where = f"{path}, claim {entry.get('id', '?')}"
    if missing := sorted(map(str, _REQUIRED - set(entry))):
        raise ClaimsError(f"{where}: {', '.join(missing)} is missing")
    if unknown := sorted(map(str, set(entry) - _REQUIRED - _OPTIONAL)):
        raise ClaimsError(f"{where}: {', '.join(unknown)} is not known")
    for key, allowed in (("kind", KINDS), ("scale", (*SCALES, None))):
        if entry.get(key) not in allowed:
            raise ClaimsError(f"{where}: {key} must be one of {', '.join(map(str, allowed))}, but it is {entry[key]!r}")
    rule = entry["rule"]
    if not isinstance(rule, list) or bool(rule) == (entry["kind"] in WITHOUT_RULE):
        kinds = " or ".join(map(repr, WITHOUT_RULE))
        raise ClaimsError(f"{where}: a claim has a list of lines as its rule, [] where its kind is {kinds}")
    if (entry["kind"] == "later") != isinstance(entry.get("by"), str):
        raise ClaimsError(f"{where}: `by` says whose claim it is where the kind is later, and only there")
    _check_replaced(entry, where)
    return Claim(experiment, group=group, **entry | {"rule": tuple(_line(line, labels, where) for line in rule)})


def _check_replaced(entry: dict, where: str) -> None:
    why = entry.get("replaced")
    if why is not None and not (isinstance(why, str) and why.strip()):
        raise ClaimsError(f"{where}: `replaced` must say in a sentence why the rule was replaced, but it is {why!r}")
    if why and not replaced().get(entry["id"]):
        raise ClaimsError(
            f"{where}: its rule is `replaced`, but {paths.RECORDS / 'replaced.json'} has no earlier verdict of it; "
            "keep that first, by the rule as it was: python -m bn.lab.judge.replaced"
        )


def _line(line: dict, labels: dict, where: str) -> Line:
    relations = [key for key in line if key in RELATIONS] if isinstance(line, dict) else []
    if len(relations) != 1 or len(line) != 2 or str(line.get("estimate")) not in labels:
        raise ClaimsError(
            f"{where}: a line of a rule must have an estimate that `estimates` names and one of "
            f"{', '.join(RELATIONS)}, but it is {line}"
        )
    limit = line[relations[0]]
    if type(limit) not in (int, float) or not math.isfinite(limit):
        raise ClaimsError(f"{where}: a limit must be a number such as 1.0e-6, but it is {limit!r}")
    return Line(line["estimate"], labels[line["estimate"]], relations[0], float(limit))
