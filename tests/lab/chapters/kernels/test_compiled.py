"""What the compiler says of the kernels for an H100 or H200: compiled again, and held against the record.

The compiler says the same of the same code. So where the record is of this code and of this Triton, which its seal and
its digest say, a sample is compiled, to prove that the record is what it says it is; elsewhere all of it.
"""

import sys
from importlib.metadata import version

import pytest

from bn.lab.chapters.kernels import compiled, predicted
from bn.lab.chapters.kernels.cases import DTYPES, INFERENCE, LAYOUTS, Case
from bn.lab.chapters.kernels.compiled import parsed
from bn.lab.store import code

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="Triton's assembler is there on Linux only"),
]
MORE = 1.1  # times the instructions of the record: another version of the compiler has its own order


@pytest.fixture(scope="module")
def record():
    return compiled.table()


def sample() -> list[Case]:
    """Nine cases: each type with each operation, each of the two with each layout, and a shape of its own for each."""
    chosen = []
    for i, dtype in enumerate(DTYPES):
        for j, operation in enumerate(compiled.OPERATIONS):
            layout = (*LAYOUTS, "NC")[(i + j) % 3]
            cases = [c for c in compiled.plan() if (c.dtype, c.operation, c.layout) == (dtype, operation, layout)]
            chosen.append(cases[(3 * i + j) % len(cases)])
    return chosen


@pytest.fixture(scope="module")
def found(record):
    """By name and direction: of a sample now, and of the others what the record of the same code says, or all now."""
    where = record["provenance"]
    same = (where["code"], where["versions"]["triton"]) == (code.digest("bn.launch", kernels=True), version("triton"))
    if not same:
        return compiled.found(compiled.plan())  # some minutes of two cores
    now = compiled.found(sample())
    assert now == {name: record["cases"][name] for name in now}
    return record["cases"] | now


def test_a_sample_has_every_two_of_type_operation_and_layout_together():
    triples = [(case.dtype, case.operation, case.layout) for case in sample()]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert len({(triple[first], triple[second]) for triple in triples}) == 9
    assert len({case.shape for case in sample()}) > 4


def each(cases):
    return [(name, direction, said) for name, case in cases.items() for direction, said in case.items()]


def test_every_case_of_the_benchmark_is_compiled(found, record):
    assert set(found) == set(record["cases"]) == {case.name for case in compiled.plan()}
    assert {case.dtype for case in compiled.plan()} == {"bf16", "fp16", "fp32"}


def test_no_register_goes_to_memory(found):
    assert [(name, direction) for name, direction, said in each(found) if said["spilled"]] == []


def test_reads_are_as_wide_as_the_tensor_allows(found):
    assert [(name, d, said["load"]) for name, d, said in each(found) if said["load"] < said["possible"]] == []
    narrow = {name for name, _, said in each(found) if said["load"] < 8}
    # Only planes of 7x7 values of which so few are there that they fit into registers.
    assert {" ".join(name.split()[::2]) for name in narrow} == {"32x512x7x7 NCHW"}


def test_a_value_takes_no_more_instructions_than_the_record_says(found, record):
    if record["provenance"]["versions"]["triton"] != version("triton"):
        pytest.skip("the record is of another version of Triton")
    for name, direction, said in each(found):
        before = record["cases"][name][direction]["instructions"]
        assert set(said["instructions"]) == set(before)
        for loop, count in said["instructions"].items():
            assert count <= MORE * before[loop], (name, direction, loop)


# Of bfloat16 and BN+ReLU: where sums are taken, and where is written.
MOST = {("NCHW", "forward"): (10, 9), ("NCHW", "backward"): (15, 16)}
MOST |= {("NHWC", "forward"): (9, 8), ("NHWC", "backward"): (15, 15)}


@pytest.mark.parametrize(("layout", "direction"), MOST)
def test_the_instructions_keep_to_what_was_aimed_at(layout, direction, found):
    kept = {}
    for case in compiled.plan():
        counts = found[case.name].get(direction, {}).get("instructions", {})
        if (case.dtype, case.layout, case.operation) == ("bf16", layout, "bn_relu") and "reduce" in counts:
            kept[case.shape] = counts
    assert len(kept) >= 9
    for shape, counts in kept.items():
        reduce, write = MOST[layout, direction]
        assert counts["reduce"] <= reduce and counts["write"] <= write, shape
    small, large = kept[256, 1024, 14, 14], kept[256, 64, 56, 56]
    assert all(small[loop] <= 1.5 * large[loop] for loop in small)


def test_loops_are_found_in_a_listing():
    """A backward branch closes a loop; what an instruction depends on is no part of it."""
    listing = """
.text.kernel:
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_0:
        /*0010*/                   LDG.E.128 R4, desc[UR4][R2.64] ;
        /*0020*/              @!P0 STG.E.EF.128 desc[UR4][R2.64], R4 ;
        /*0030*/               @P1 BRA `(.L_x_0) ;
        /*0040*/                   BRA `(.L_x_1) ;
.L_x_1:
        /*0050*/                   EXIT ;
"""
    instructions, loops = parsed(listing)
    assert loops == [(1, 3)]
    assert instructions[2] == "STG.E.EF.128 desc[UR4][R2.64], R4" and len(instructions) == 6


def test_a_prediction_is_the_slower_of_bytes_and_instructions():
    """By hand: 2**20 values of bfloat16 are 2 MiB, forward in two passes 1 + 2 of them."""
    case = Case((64, 64, 16, 16), "bf16", "NHWC", "bn_relu")
    card, T = predicted.Card(copy=1e12, l2=2e12, issue=1e12), 2**21
    few = predicted.times(case, "forward", {"instructions": {"reduce": 0.1, "write": 0.1}}, card)
    assert few.bytes == pytest.approx(3 * T / 1e12)
    assert few.predicted == pytest.approx(predicted.LAUNCH + 3 * T / 1e12 / predicted.STREAMING)
    assert few.cached == pytest.approx(predicted.LAUNCH + 2.5 * T / 1e12 / predicted.STREAMING)
    many = predicted.times(case, "forward", {"instructions": {"reduce": 50, "write": 50}}, card)
    assert many.instructions == pytest.approx(100 * 2**20 / 1e12)
    assert many.predicted == many.cached == pytest.approx(predicted.LAUNCH + 100 * 2**20 / 1e12 / predicted.ISSUING)
    resident = predicted.times(case, "backward", {"instructions": {"all": 0.1}}, card)  # all is read once
    assert resident.predicted == pytest.approx(predicted.LAUNCH + 3 * T / 1e12 / predicted.STREAMING)


@pytest.mark.parametrize("operation", ["bn_relu", "bn_add_relu", INFERENCE])
def test_the_passes_of_a_prediction_move_what_the_benchmark_counts(operation):
    case = Case((64, 64, 16, 16), "fp32", "NCHW", operation)
    card = predicted.Card(copy=1.0, l2=1.0, issue=1e30)
    for direction, moved in zip(("forward", "backward"), case.moved("two"), strict=False):
        counts = {"write": 1} if operation == INFERENCE else {"reduce": 1, "write": 1}
        found = predicted.times(case, direction, {"instructions": counts}, card)
        assert found.predicted - predicted.LAUNCH == pytest.approx(moved / predicted.STREAMING)
