"""The tables of notebook 11, in the language asked for, from a record of the kernel benchmark."""

import math

from IPython.display import HTML
from markupsafe import Markup, escape

from bn.lab.chapters.kernels.cases import INFERENCE, TENSOR_PASSES, Case
from bn.lab.chapters.kernels.estimates import ESTIMATES, judged_by, times_as_long
from bn.lab.chapters.kernels.figures import OPERATIONS, tensor
from bn.lab.judge import verdicts
from bn.lab.judge.verdicts import Verdict
from bn.lab.show import html, speech
from bn.lab.show.numbers import NONE, isolated, left_to_right, number, ratio, scientific
from bn.lab.show.words import N_, words
from bn.lab.store import claims, records

INPUTS = {"mean 100": N_("mean 100, std 0.1"), "mean 5e5": N_("mean 500,000, std 8")}
STEPS = ("step", "inception", "inception_graph", "inception_compiled")  # the parts of a record that are such
STEP_WAYS = {
    "eager": N_("one operation after the other"),
    "graph": N_("in a CUDA graph"),
    "compiled": N_("by torch.compile"),
}
WAYS = {
    "naive": N_("E[x²] − E[x]² in float32"),
    "torch NCHW": N_("torch, NCHW"),
    "torch NHWC": N_("torch, NHWC"),
    "triton NCHW": N_("the kernels of bn, NCHW"),
    "triton NHWC": N_("the kernels of bn, NHWC"),
}


def status(record: dict | None, language: str) -> HTML:
    """Whether the GPU benchmark has been run, and on what; if not, the command that runs it."""
    _ = words(language)
    if record is None:
        sentence = _(
            "{not_run}, so this chapter has no GPU figure and claims no speed. On a machine with CUDA, {command} "
            "measures everything and writes the record that would stand here."
        )
        not_run = Markup("<strong>{}</strong>").format(_("The GPU benchmark has not been run"))
        command = Markup("<code>{}</code>").format("make gpu")
        return html.text(Markup(sentence).format(not_run=not_run, command=command), language)
    device, measured = isolated(record["provenance"]["devices"][0]), number(len(record["cases"]))
    sentence = _("The GPU benchmark, on {device}: {cases} of {planned} cases.")
    if any(
        entry and entry["bytes"] is None for entry in map(records.carried, record["provenance"]["code"].split(", "))
    ):
        sentence += " " + _("It measured earlier kernels; those of today, which are others, have not been measured.")
    return html.text(sentence.format(device=device, cases=measured, planned=number(record["cases_planned"])), language)


def targets(record: dict, language: str) -> HTML:
    """Each target of the kernels: its limit, what was found, by how many cases, and whether it is met."""
    _ = words(language)
    head = [_("Target"), _("At least"), _("We found"), _("Cases"), _("Verdict")]
    rows = [_target(verdicts.judge(claim.id, record), record, language) for claim in claims.of_chapter("kernels")]
    return html.table(head, rows, record, language)


def _target(judged: Verdict, record: dict, language: str) -> list[str]:
    _, estimate, (line,) = words(language), judged_by(judged), judged.claim.rule
    value = NONE if math.isnan(estimate.value) else _spread([estimate.value, estimate.low, estimate.high])
    target = ESTIMATES[judged.claim.id]
    missing, planned = target.missing(record), len(target.needs)
    verdict = speech.verdict(judged.verdict, language)
    if missing:
        lack = _("missing: {cases}").format(cases=ratio(missing, planned))
        verdict = Markup("{} <em>{}</em>").format(verdict, lack)
    elif judged.rule_changed:
        verdict = Markup("{} <em>{}</em>").format(verdict, _("the rule or its estimator changed after this run"))
    return [_(judged.claim.claim), number(line.limit), value, number(planned), verdict]


def floors(language: str) -> HTML:
    """How many sizes of the tensor each operation moves; a mask of a bit a value is left out."""
    _ = words(language)
    head = [
        _("Bytes, in sizes T of the tensor"),
        _("Two passes: forward, backward"),
        _("One pass: forward, backward"),
        _("torch, one by one: forward, backward"),
    ]
    return html.table(head, [_floor(operation, language) for operation in OPERATIONS], None, language)


def _floor(operation: str, language: str) -> list[str]:
    counts = [TENSOR_PASSES[way][operation] for way in ("two", "one", "eager")]
    pairs = [words(language).listed([left_to_right(f"{n}T") for n in pair]) for pair in counts]
    return [_operation(operation, language), *pairs]


def _operation(name: str, language: str) -> str:
    return left_to_right(OPERATIONS[name]) if name != INFERENCE else words(language)(OPERATIONS[name])


def precision(record: dict, language: str) -> HTML:
    """The relative error of the standard deviation by each formula, for a mean far from zero."""
    _, errors = words(language), record["precision"]
    if "not_run" in errors:
        return _not_run(errors, language)
    head = [_("How the standard deviation is computed"), *(_(INPUTS[name]) for name in errors)]
    ways = next(iter(errors.values()))
    rows = [[_(WAYS[way]), *(_error(errors[name][way], language) for name in errors)] for way in ways]
    return html.table(head, rows, record, language)


def steps(record: dict, language: str) -> HTML:
    """Training steps with torch's layers and with ours, and how far the two loss curves part."""
    _ = words(language)
    results = [record[name] for name in STEPS if name in record]
    results = [result for result in results if not result.get("not_run", "").startswith("not part of scale")]
    if not results:
        return html.text(_("Not run at this scale; the larger ones take the step."), language)
    head = [_("Network"), _("How it runs"), _("torch, ms a step"), _("bn, ms a step"), _("torch / bn")]
    head += [_("First and last loss, torch"), _("First and last loss, bn"), _("Largest difference")]
    return html.table(head, [_step(result, language) for result in results], record, language)


def _step(result: dict, language: str) -> list[str]:
    _ = words(language)
    if "not_run" in result:
        return [NONE, _("not run") + ": " + isolated(result["not_run"]), *[NONE] * 6]
    losses, times = result["losses"], result["step_ms"]
    apart = max(abs(a - b) for a, b in zip(losses["torch"], losses["bn"], strict=True))
    network = left_to_right("{network}, {batch}×3×{width}², {type}".format(**result))
    ends = [[left_to_right(f"{losses[side][k]:.3f}") for k in (0, -1)] for side in ("torch", "bn")]
    spreads = [_spread(values) for values in (times["torch"], times["bn"], result["ratio"])]
    return [network, _(STEP_WAYS[result.get("way", "eager")]), *spreads, *map(_.listed, ends), number(apart)]


def _not_run(part: dict, language: str) -> HTML:
    _ = words(language)
    return html.text(_("not run") + ": " + isolated(part["not_run"]), language)


def times(record: dict, language: str) -> HTML:
    """Every case in microseconds, forward and backward, beside what the bytes of two passes take at a copy's speed."""
    _ = words(language)
    columns = [_("two passes at a copy's speed"), _("bn"), _("torch eager"), _("torch.compile")]
    heads = [f"{direction}: {column}" for direction in (_("Forward, µs"), _("Backward, µs")) for column in columns]
    rows = [_microseconds(case, language) for case in record["cases"] if "copy_us" in case]
    return html.table([_("Tensor"), _("Operation"), *heads], rows, record, language)


def _microseconds(case: dict, language: str) -> list[str]:
    row, bytes_a_copy = [_tensor(case), _operation(case["operation"], language)], 2 * case["tensor_bytes"]
    moved = Case(tuple(case["shape"]), case["dtype"], case["layout"], case["operation"]).moved("two")
    for k, direction in enumerate(("forward", "backward")):
        taken = [case["candidates"].get(name, {}).get(direction, {}) for name in ("bn", "eager", "compile")]
        row.append(number(case["copy_us"][0] * moved[k] / bytes_a_copy) if k < len(moved) else NONE)
        row += [_spread(timed.get("us")) for timed in taken]
    return row


def _tensor(case: dict) -> str:
    return left_to_right(f"{tensor(case['shape'], case['layout'])}, {case['dtype']}")


def cases(record: dict, language: str) -> HTML:
    """Every case: bandwidth beside a copy, times beside the others, memory and errors."""
    _ = words(language)
    head = [_("Tensor"), _("Operation"), _("torch's kernel"), _("Forward, of a copy"), _("Backward, of a copy")]
    head += [_("eager / bn"), _("compile / bn"), _("the kernels / bn"), _("wall, eager / bn"), _("Peak memory, MB")]
    head += [_("Error of bn: y, dx"), _("Error of eager: y, dx")]
    compared = ["bn", "eager"]
    if any("reference" in case.get("candidates", {}) for case in record["cases"]):
        head.append(_("Error of the reference: y, dx"))
        compared.append("reference")
    rows = [_case(case, compared, language) for case in record["cases"]]
    late = any(map(_late, record["cases"]))
    note = _("* In some rounds the GPU may have waited for Python; the time includes it.") if late else ""
    return html.table(head, rows, record, language, note=note)


def _late(case: dict) -> bool:
    return any(candidate.get("late") for candidate in case.get("candidates", {}).values())


def _case(case: dict, compared: list[str], language: str) -> list[str]:
    first = [_tensor(case) + "*" * _late(case), _operation(case["operation"], language)]
    if "not_run" in case:
        return [*first, isolated(case["not_run"]), *[NONE] * (7 + len(compared))]
    errors = [_errors(case["candidates"].get(name, {}), language) for name in compared]
    return [*first, left_to_right(case["torch_backend"]), *_speeds(case, language), *errors]


def _speeds(case: dict, language: str) -> list[str]:
    """Shares of a copy's bandwidth, ratios, and the peak of memory in MB."""
    _, candidates = words(language), case["candidates"]
    ours, clock = candidates["bn"], "forward" if case["operation"] == INFERENCE else "both"
    shares = [ours.get(direction, {}).get("of_copy") for direction in ("forward", "backward")]
    rivals = [times_as_long(case, rival, clock) for rival in ("eager", "compile")]
    by_name = candidates.get("triton", {})
    named = _("the same") if "same_as" in by_name else _spread(by_name.get(clock, {}).get("ratio"))
    memory = number(ours["peak_bytes"] / 2**20) if "peak_bytes" in ours else NONE
    return [*map(_spread, (*shares, *rivals)), named, _spread(times_as_long(case, "eager", "wall")), memory]


def _errors(candidate: dict, language: str) -> str:
    if "error" not in candidate:
        return _error(candidate.get("not_run", ""), language)
    errors = [candidate["error"][k] for k in ("y", "dx") if k in candidate["error"]]
    return Markup(words(language).listed([escape(_error(error, language)) for error in errors]))


def _error(value: float | str, language: str) -> str:
    """A number as a power of ten, or, where nothing could be measured, that."""
    if isinstance(value, str):
        _ = words(language)
        return Markup('<span title="{}">{}</span>').format(value, _("not run"))
    return scientific(value)


def _spread(values: list[float] | None) -> str:
    """The median and, smaller, the ends of its spread; a dash where there is none."""
    if values is None:
        return NONE
    middle, low, high = map(number, values)
    return Markup("{} <small>{}</small>").format(middle, left_to_right(f"[{low}, {high}]"))
