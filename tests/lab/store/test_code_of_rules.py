"""Digests of estimators: a rule is marked where what measures it has changed, and nowhere else."""

import sys

import made_up
import pytest
from test_architecture import ROOT, sources

from bn.lab import registry
from bn.lab.store import claims, code

HERE = "bn.lab.chapters.made_up.estimates"
SMALL = {
    HERE: '''"""Estimates."""
from functools import partial
import bn.lab.judge.apart
from bn.lab import judge
from bn.lab.judge import named, statistics, statistics as figures
from bn.lab.judge.statistics import spread as width

LIMIT = 3
LATER = {"a": 1}
def first(record):
    """The first."""
    return {"x": statistics.mean(record["x"])}
def second(record, k=LIMIT):
    return {"x": helper(record, k) + len(LATER)}
def helper(record, k):
    def inner(values):
        return width(values) * k
    return inner(record["x"])
third = lambda record: {"x": figures.largest(record["x"])}
same = first
class Tool:
    def use(self, record):
        return judge.named.nothing(record)
if LIMIT:
    def seventh(record):
        return handed(record, statistics)
def handed(record, module):
    return getattr(module, "mean")(record)
ESTIMATES = {
    "first": first,
    "second": partial(second, k=2),
    "third": third,
    "fourth": lambda record: {"x": named.of_package(record)},
    "fifth": same,
    "sixth": lambda record: Tool().use(record),
    "seventh": seventh,
    "eighth": lambda record: bn.lab.judge.apart.alone(record),
    **{},
}
''',
    "bn.lab.judge": "from bn.lab.judge.statistics import largest",
    "bn.lab.judge.named": "from bn.lab.judge.more import of_package\ndef nothing(record): return {}",
    "bn.lab.judge.more": "def of_package(record): return record",
    "bn.lab.judge.statistics": """
from bn.lab.store import files
DEGREE = 1
def mean(values): return sum(values) / (len(values) - DEGREE)
def spread(values): return _largest(values) - min(values)
def largest(values): return _largest(values)
def _largest(values): return max(values)
def unused(values): return files.digest(values)
""",
    "bn.lab.judge.apart": "def alone(record): return 5",
    **dict.fromkeys(("bn", "bn.lab", "bn.lab.store"), ""),
    "bn.lab.store.files": "def digest(value): return 1",
}
KEYS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


def digests(texts: dict[str, str]) -> dict[str, dict[str, str]]:
    return {key: code.definitions(HERE, "ESTIMATES", key, texts) for key in KEYS}


@pytest.mark.parametrize(
    ("module", "old", "new", "changed"),
    [
        (HERE, '"x": statistics.mean', '"y": statistics.mean', {"first", "fifth"}),  # its own code, and its alias
        (HERE, "k=2", "k=3", {"second"}),  # in the table
        (HERE, "third = lambda record: {", "third = lambda record: {**{}, ", {"third"}),
        (HERE, "LIMIT = 3", "LIMIT = 4", {"second", "seventh"}),  # a constant, which is also a condition
        (HERE, '{"a": 1}', '{"b": 1}', {"second"}),
        (HERE, "width(values) * k", "width(values) / k", {"second"}),  # a function in a function that it calls
        (HERE, "named.nothing(record)", "named.nothing([])", {"sixth"}),  # a method
        (HERE, "return handed(record", "return handed([]", {"seventh"}),  # defined under a condition
        (HERE, '"first": first,', '"zeroth": 1, "first": first,', set()),
        (HERE, '"""The first."""', '"""Another."""  # comment', set()),
        (HERE, "from functools import partial", "from functools import partial, reduce", set()),
        ("bn.lab.judge.statistics", "sum(values)", "sum(values[1:])", {"first", "fifth", "seventh"}),
        ("bn.lab.judge.statistics", "DEGREE = 1", "DEGREE = 0", {"first", "fifth", "seventh"}),
        ("bn.lab.judge.statistics", "- min(", "+ min(", {"second", "seventh"}),  # imported under another name
        ("bn.lab.judge.statistics", "max(values)", "min(values)", {"second", "third", "seventh"}),
        ("bn.lab.judge.statistics", "files.digest(values)", "3", {"seventh"}),  # which hands on the module whole
        ("bn.lab.judge.more", "return record", "return 3", {"fourth"}),  # by way of another module
        ("bn.lab.judge.named", "return {}", "return []", {"sixth"}),  # a module that is asked of a package
        ("bn.lab.judge.apart", "return 5", "return 6", {"eighth"}),  # asked for by its whole name
        ("bn.lab.store.files", "return 1", "return 2", set()),  # what keeps decides nothing
    ],
)
def test_a_digest_changes_with_what_its_estimator_needs_and_with_nothing_else(module, old, new, changed):
    assert SMALL[module].count(old) == 1
    usual, now = digests(SMALL), digests(SMALL | {module: SMALL[module].replace(old, new)})
    assert {key for key in KEYS if usual[key] != now[key]} == changed


def test_what_has_no_estimator_of_its_own_has_the_digest_of_none():
    none = code.definitions(HERE, "ESTIMATES", "ninth", SMALL)
    assert code.definitions("bn.lab.chapters.other.estimates", "ESTIMATES", "first", SMALL) == {}
    assert list(none) == [f"{HERE}.ESTIMATES[ninth]"] and none not in digests(SMALL).values()


# ---- Those of the book ---------------------------------------------------------------------------


def module_of(claim: claims.Claim) -> str:
    return f"bn.lab.chapters.{claim.experiment}.estimates"


@pytest.fixture(scope="module")
def house():
    return sources()


@pytest.mark.parametrize("chapter", registry.names())
def test_every_estimator_of_the_book_is_found_where_it_stands(chapter, house):
    """A table that is written in another way would be the code of none, whatever it estimates."""
    for claim in claims.of_chapter(chapter):
        entry = code.definitions(module_of(claim), "ESTIMATES", claim.id, house)
        none = code.definitions(module_of(claim), "ESTIMATES", "no such claim", house)
        assert (claim.id in registry.experiment(chapter).estimates) == (list(entry.values()) != list(none.values()))


def called(function, *arguments) -> set[str]:
    """The functions and classes of bn whose code runs, by module and the name at its top."""
    found, folder = set(), str(ROOT / "bn")

    def note(frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(folder):
            top = frame.f_code.co_qualname.partition(".")[0]
            found.update({f"{frame.f_globals['__name__']}.{top}"} if top.isidentifier() else ())

    sys.setprofile(note)
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
    return found


ESTIMATED = [c for c in made_up.OF_SECTION_4_2 if c.id in registry.experiment(c.experiment).estimates]


@pytest.mark.parametrize("claim", ESTIMATED, ids=lambda claim: claim.id)
def test_whatever_an_estimator_calls_is_in_its_digest(claim, house):
    """By what happens, not by what is named."""
    seen = called(registry.experiment(claim.experiment).estimates[claim.id], made_up.record(claim.experiment))
    assert any(name.startswith("bn.lab.judge.") for name in seen)
    assert seen <= set(code.definitions(module_of(claim), "ESTIMATES", claim.id, house))


@pytest.mark.parametrize(
    ("module", "old", "new", "some", "others"),
    [
        (
            "bn.lab.judge.statistics",
            "_OF_COMMON = ",
            "_OF_COMMON = 1 + ",
            {"bnx5-14x"},
            {"fig1a-accuracy"},
        ),
        ("bn.lab.chapters.activations.estimates", "TARGET = 0.95", "TARGET = 0.9", {"fig1a-accuracy"}, {"bn-baseline"}),
        ("bn.lab.chapters.kernels.estimates", "RIVALS = ", "RIVALS = () or ", {"kernel-never-slower"}, {"kernel-step"}),
    ],
)
def test_an_edit_in_the_house_marks_the_claims_that_it_touches(house, module, old, new, some, others):
    assert house[module].count(old) == 1
    edited = house | {module: house[module].replace(old, new)}
    for ids, same in ((some, False), (others, True)):
        for claim in map(claims.ledger().get, ids):
            before, after = (code.definitions(module_of(claim), "ESTIMATES", claim.id, t) for t in (house, edited))
            assert (before == after) is same
