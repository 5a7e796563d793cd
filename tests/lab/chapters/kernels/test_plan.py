"""Which cases are measured, in which order, and which decide."""

import doctest

from bn.lab.chapters.kernels import plan
from bn.lab.chapters.kernels.estimates import ESTIMATES
from bn.lab.chapters.kernels.record import EXTRAS, Work
from bn.lab.store import claims


def names(cases) -> list[str]:
    return [case.name for case in cases]


def test_the_counts_of_the_docstring():
    assert doctest.testmod(plan) == (0, 2)


def test_every_case_is_there_once_and_the_decisive_ones_come_first():
    whole, quick = plan.plan("gpu"), plan.plan("gpu", quick=True)
    assert len(names(whole)) == len(set(names(whole))) == (12 * 2 + 1) * 2 * 3 + len(plan.INFERENCES) + len(plan.HALF)
    assert whole[: len(quick)] == quick == list(plan.DECISIVE)
    assert {case.layout for case in whole if len(case.shape) == 2} == {"NC"}


def test_a_quick_run_measures_all_that_a_target_needs_and_no_case_that_none_needs():
    needed = {name for target in ESTIMATES.values() for name in target.needs}
    assert needed == set(names(plan.DECISIVE)) | {"graph", "step", "inception"}
    assert needed <= set(Work("gpu", quick=True).parts())


def test_the_parts_of_a_run_are_in_the_order_of_what_they_decide():
    parts = list(Work("gpu").parts())
    decisive = names(plan.DECISIVE)
    first = ["precision", "graph", *decisive, "step", "inception", "inception_graph", "inception_compiled"]
    assert parts[: len(first)] == first and parts[len(first) :] == [
        n for n in names(plan.plan("gpu")) if n not in first
    ]
    assert list(Work("cpu").parts()) == ["precision", "step", *names(plan.plan("cpu"))]
    assert list(Work("smoke").parts()) == ["precision", *names(plan.plan("smoke"))]


def test_what_decides_fits_into_five_minutes_by_the_estimates():
    seconds = Work("gpu", quick=True).seconds()
    assert set(seconds) == set(Work("gpu", quick=True).parts()) == set(names(plan.DECISIVE)) | set(EXTRAS)
    assert sum(seconds[name] for name in ("graph", "step", "inception", *names(plan.DECISIVE))) < 300


def test_the_cases_beyond_the_cache_are_beyond_that_of_every_hopper():
    beyond = [case for case in plan.DECISIVE if case.shape in plan.BEYOND_L2]
    assert min(case.tensor_bytes for case in beyond) > 60 * 2**20 > plan.RELU[-1].tensor_bytes


def test_what_decides_is_in_the_two_layouts_and_in_float16_too():
    assert {case.layout for case in plan.HALF} == {case.layout for case in plan.RELU} == {"NCHW", "NHWC"}
    assert {case.dtype for case in plan.HALF} == {"fp16"}
    assert set(plan.COSTLY) < set(plan.RELU + plan.ADD_RELU)


def written(case) -> str:
    *first, h, _ = case.shape if len(case.shape) == 4 else (*case.shape, None, None)
    return "×".join(map(str, first)) + ("" if h is None else f"×{h}²")


def test_each_target_states_the_cases_that_it_is_judged_by():
    by_name, ledger = {case.name: case for case in plan.DECISIVE}, {c.id: c for c in claims.of_chapter("kernels")}
    for name, target in ESTIMATES.items():
        if len(target.needs) > 1:
            assert f"{len(target.needs)} cases" in ledger[name].measure
        if not ledger[name].measure.startswith("the same"):
            shapes = {written(by_name[need]) for need in target.needs if need in by_name}
            assert all(shape in ledger[name].measure for shape in shapes)
            assert all(by_name[need].dtype in ledger[name].measure for need in target.needs if need in by_name)
