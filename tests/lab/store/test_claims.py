"""The claims files: complete, in order, and refused in one sentence where they are not."""

import hashlib
import json
import math
import re

import pytest
import yaml
from test_architecture import sources

from bn.lab import paths, registry
from bn.lab.chapters.algorithm import identities
from bn.lab.store import claims, code
from bn.lab.store.claims import KINDS, ClaimsError
from bn.lab.store.files import digest

FILES = sorted(paths.CLAIMS.glob("*.yml"))
each_claim = pytest.mark.parametrize("claim", claims.ledger().values(), ids=lambda claim: claim.id)


SMALL = """\
estimates:  # what the names in the rules stand for
  seeds_ahead: "share of seeds ahead"
  drift_ratio: "drift, BN / plain"

claims:
- id: fig1a-accuracy
  section: "4.1"
  kind: measured
  claim: "The batch-normalized network learns faster."
  paper: "a curve, no numbers (Figure 1a)"
  measure: "Share of seeds in which BN leads."
  rule:
    - {estimate: seeds_ahead, at_least: 1.0}

- id: fig1bc-stability
  section: "4.1"
  kind: measured
  claim: "The distribution stays steady with BN."
  paper: "stated in words"
  measure: "Drift of a unit on 2,000 held-out images."
  rule:
    - {estimate: drift_ratio, at_most: 0.5}
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A copy of the claims files, that of Figure 1 a small one; a function that changes one and reads all again."""
    for path in FILES:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "activations.yml").write_text(SMALL, "utf-8")
    claims.ledger.cache_clear()
    monkeypatch.setattr(paths, "CLAIMS", tmp_path)

    def changed(name="activations", old="", new="") -> dict:
        path = tmp_path / f"{name}.yml"
        text = path.read_text("utf-8")
        assert text.count(old) == 1 or not old
        path.write_text(text.replace(old, new) if old else text + new, "utf-8")
        claims.ledger.cache_clear()
        return claims.ledger()

    yield changed
    claims.ledger.cache_clear()


# ---- The files of the book -----------------------------------------------------------------------


def test_every_entry_is_in_the_ledger_in_the_order_of_the_book():
    entries = {path.stem: [c["id"] for c in yaml.safe_load(path.read_text("utf-8"))["claims"]] for path in FILES}
    assert set(entries) <= set(registry.names()), "a claims file that no chapter has"
    assert list(claims.ledger()) == [name for chapter in registry.names() for name in entries.get(chapter, [])]


@each_claim
def test_a_claim_is_complete(claim):
    assert claim.kind in KINDS and claim.scale in (None, "gpu", "paper")
    assert re.fullmatch(r"\d(\.\d)*|A", claim.section) or claim.kind == "target"
    assert claim.claim.strip() and claim.measure.strip() and claim.paper.strip() + "-" * (claim.kind == "target")
    assert all(math.isfinite(line.limit) and line.label.strip() for line in claim.rule)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_label_is_used(path):
    content = yaml.safe_load(path.read_text("utf-8"))
    used = {line["estimate"] for claim in content["claims"] for line in claim["rule"]}
    assert set(content["estimates"]) == used


def test_the_exact_claims_of_section_3_are_the_measured_identities():
    exact = {claim.id for claim in claims.of_chapter("algorithm") if claim.exact}
    assert exact == set(identities.CLAIMS)


# ---- The digest ----------------------------------------------------------------------------------


def test_the_digest_of_a_rule_sees_what_decides_and_nothing_else(files):
    usual = claims.rule_digests()
    harmless = {
        "": "\n# a comment\n",
        "a curve, no numbers": "a curve",
        'drift_ratio: "drift': 'drift_ratio: "the drift',
    }
    for old, new in harmless.items():
        assert {name: claim.digest for name, claim in files(old=old, new=new).items()} == usual
    for old, new in (
        ("estimate: drift_ratio, at_most: 0.5", "estimate: drift_ratio, at_most: 0.6"),
        ("on 2,000 held-out images", "on 1,000 held-out images"),
    ):
        before = claims.rule_digests()
        files(old=old, new=new)
        after = claims.rule_digests()
        assert {name for name in before if before[name] != after[name]} == {"fig1bc-stability"}


def test_the_digest_is_of_the_words_and_of_the_estimator_apart():
    """Twelve digits each; the first are those that stood alone before estimators counted."""
    claim = claims.ledger()["fig1bc-stability"]
    rule = [{"estimate": line.estimate, line.relation: line.limit} for line in claim.rule]
    words = hashlib.sha256(json.dumps([claim.measure, rule], sort_keys=True).encode()).hexdigest()
    needed = code.definitions("bn.lab.chapters.activations.estimates", "ESTIMATES", claim.id, sources())
    assert claim.digest == f"{words[:12]}-{digest(needed)[:12]}"
    measured = [claim.digest for claim in claims.ledger().values() if not claim.exact]
    assert len(set(measured)) == len(measured)


@pytest.mark.parametrize(
    ("then", "changed"),
    [
        ("{rule}-{estimator}", False),
        ("{rule}", False),  # a run of the time when a digest was of the rule alone
        ("{rule}-000000000000", True),
        ("000000000000-{estimator}", True),
        ("000000000000", True),
        ("{estimator}", True),
        ("{rule}-", True),
        ("", True),
        (None, True),
    ],
)
@pytest.mark.parametrize("claim", ["fig1bc-stability", "alg1-transform"])  # with an estimator of its own, and without
def test_a_rule_has_changed_since_where_its_words_or_its_estimator_are_others(claim, then, changed):
    found = claims.ledger()[claim]
    rule, estimator = found.digest.split("-")
    assert found.changed_since(then and then.format(rule=rule, estimator=estimator)) is changed


# ---- What is not in order ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("- id: fig1bc-stability", "- id: fig1a-accuracy", "more than one claim called fig1a-accuracy"),
        ("estimate: drift_ratio, at_most", "estimate: drift, at_most", "an estimate that `estimates` names"),
        ("drift_ratio, at_most: 0.5", "drift_ratio, at_worst: 0.5", "at_most, at_least, more_than"),
        ("drift_ratio, at_most: 0.5", "drift_ratio, at_most: 0.5, at_least: 0.1", "one of at_most"),
        ('paper: "stated in words"', 'papers: "stated in words"', "claim fig1bc-stability: paper is missing"),
        ('paper: "stated in words"', 'paper: "x"\n  note: "y"', "claim fig1bc-stability: note is not known"),
        ("claims:\n", "claim:\n", "must hold `estimates` and `claims`"),
        ("claims:\n", "claims: [\n", "cannot be read"),
        ("claims:\n", "claims:\n- some text\n", "a claim must have keys such as `id`, but it is 'some text'"),
        ("estimates:  # what", "estimates: 3  # what", "cannot be read"),
        ("    - {estimate: drift_ratio, at_most: 0.5}\n", "    - some text\n", "but it is some text"),
        ("    - {estimate: drift_ratio, at_most: 0.5}\n", "    []\n", "a list of lines as its rule"),
        (
            "    - {estimate: drift_ratio, at_most: 0.5}\n",
            "",
            "[] where its kind is 'as stated' or 'open'",
        ),
        ("estimate: drift_ratio, at", "estimate: [drift_ratio], at", "an estimate that `estimates` names"),
        ("drift_ratio, at_most: 0.5", "drift_ratio, at_most: 1e-6", "a number such as 1.0e-6, but it is '1e-6'"),
        ("drift_ratio, at_most: 0.5", "drift_ratio, at_most: .nan", "a number such as 1.0e-6, but it is nan"),
        (
            'paper: "stated in words"',
            'paper: "stated in words"\n  scale: papr',
            "scale must be one of smoke, cpu, gpu, paper",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_file(files, old, new, sentence):
    with pytest.raises(ClaimsError) as caught:
        files(old=old, new=new)
    assert sentence in str(caught.value) and str(paths.CLAIMS) in str(caught.value)


def test_a_replaced_rule_has_an_earlier_verdict_and_a_reason(files, tmp_path, monkeypatch):
    old, new = "- id: alg1-transform\n", "- id: alg1-transform\n  replaced: {why}\n"
    path = tmp_path / "algorithm.yml"
    for why in ("3", '" "', "[a]"):
        path.write_text((text := path.read_text("utf-8")).replace(old, new.format(why=why)), "utf-8")
        with pytest.raises(ClaimsError, match="claim alg1-transform: `replaced` must say in a sentence why"):
            files()
        path.write_text(text, "utf-8")
    path.write_text(text.replace(old, new.format(why="It was too easy.")), "utf-8")
    assert files()["alg1-transform"].replaced == "It was too easy."
    monkeypatch.setattr(claims, "replaced", lambda: {"another": [{}], "alg1-transform": []})
    with pytest.raises(
        ClaimsError, match=r"claim .*: its rule is `replaced`, but .*replaced\.json has no earlier verdict"
    ):
        files()


def test_kept_verdicts_that_cannot_be_read_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "RECORDS", tmp_path)
    assert claims.replaced() == {}
    (tmp_path / "replaced.json").write_text("{")
    with pytest.raises(ClaimsError, match=r"replaced\.json cannot be read: "):
        claims.replaced()


def test_whose_claim_it_is_stands_with_one_of_a_later_paper_and_with_no_other(files):
    later = 'kind: later\n  by: "Bjorck et al., 2018"'
    first = 'id: fig1a-accuracy\n  section: "4.1"\n  '
    found = files(old=f"{first}kind: measured", new=f"{first}{later}")["fig1a-accuracy"]
    assert (found.kind, found.by, found.measured, found.of_the_paper) == ("later", "Bjorck et al., 2018", True, False)
    sentence = "fig1a-accuracy: `by` says whose claim it is where the kind is later, and only there"
    with pytest.raises(ClaimsError, match=sentence):
        files(old=later, new="kind: later")
    with pytest.raises(ClaimsError, match=sentence):
        files(old=f"{first}kind: later", new=f'{first}kind: measured\n  by: "Bjorck et al., 2018"')


def test_a_kind_must_be_one_that_there_is(files):
    with pytest.raises(ClaimsError, match=r"claim fig1a-accuracy: kind must be one of .*, but it is 'empirical'"):
        files(old='"4.1"\n  kind: measured\n  claim: "The batch', new='"4.1"\n  kind: empirical\n  claim: "The batch')
