"""The tables of notebook 11, in the language asked for, from a record of the kernel benchmark."""

import math

from IPython.display import HTML
from markupsafe import Markup, escape

from bn.lab.chapters.kernels.cases import TENSOR_PASSES
from bn.lab.chapters.kernels.estimates import judged_by
from bn.lab.chapters.kernels.figures import OPERATIONS, tensor
from bn.lab.judge import verdicts
from bn.lab.judge.verdicts import Verdict
from bn.lab.show import html, speech
from bn.lab.show.numbers import NONE, isolated, left_to_right, number, scientific
from bn.lab.show.words import N_, words
from bn.lab.store import claims

INPUTS = {"mean 100": N_("mean 100, std 0.1"), "mean 5e5": N_("mean 500,000, std 8")}
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
    return html.text(sentence.format(device=device, cases=measured, planned=number(record["cases_planned"])), language)


def targets(record: dict, language: str) -> HTML:
    """Each target of the kernels: its limit, what was found, and whether it is met."""
    _ = words(language)
    head = [_("Target"), _("At least"), _("We found"), _("Cases"), _("Verdict")]
    rows = [_target(verdicts.judge(claim.id, record), language) for claim in claims.of_chapter("kernels")]
    return html.table(head, rows, record, language)


def _target(judged: Verdict, language: str) -> list[str]:
    _, estimate, (line,) = words(language), judged_by(judged), judged.claim.rule
    value = NONE if math.isnan(estimate.value) else number(estimate.value)
    verdict = speech.verdict(judged.verdict, language)
    if judged.rule_changed:
        verdict = Markup("{} <em>{}</em>").format(verdict, _("the rule or its estimator changed after this run"))
    return [_(judged.claim.claim), number(line.limit), value, number(estimate.n), verdict]


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
    return [left_to_right(OPERATIONS[operation]), *pairs]


def precision(record: dict, language: str) -> HTML:
    """The relative error of the standard deviation by each formula, for a mean far from zero."""
    _, errors = words(language), record["precision"]
    head = [_("How the standard deviation is computed"), *(_(INPUTS[name]) for name in errors)]
    ways = next(iter(errors.values()))
    rows = [[_(WAYS[way]), *(_error(errors[name][way], language) for name in errors)] for way in ways]
    return html.table(head, rows, record, language)


def step(record: dict, language: str) -> HTML:
    """A training step with torch's layers and with ours, and how far the two loss curves part."""
    _, result = words(language), record["step"]
    if result.get("not_run", "").startswith("not part of scale"):
        return html.text(_("Not run at this scale; the larger ones take the step."), language)
    if "not_run" in result:
        return html.text(_("not run") + ": " + isolated(result["not_run"]), language)
    head = [_("Network"), _("torch, ms a step"), _("bn.fuse, ms a step"), _("torch / bn")]
    head += [_("First and last loss, torch"), _("First and last loss, bn"), _("Largest difference")]
    return html.table(head, [_step(result, language)], record, language)


def _step(result: dict, language: str) -> list[str]:
    losses, times = result["losses"], result["step_ms"]
    apart = max(abs(a - b) for a, b in zip(losses["torch"], losses["bn"], strict=True))
    network = left_to_right("{network}, {batch}×3×{width}², {type}".format(**result))
    ends = [[left_to_right(f"{losses[side][k]:.3f}") for k in (0, -1)] for side in ("torch", "bn")]
    spreads = [_spread(values) for values in (times["torch"], times["bn"], result["ratio"])]
    return [network, *spreads, *map(words(language).listed, ends), number(apart)]


def cases(record: dict, language: str) -> HTML:
    """Every case: bandwidth beside a copy, times beside the others, memory and errors."""
    _ = words(language)
    head = [_("Tensor"), _("Operation"), _("torch's kernel"), _("Forward, of a copy"), _("Backward, of a copy")]
    head += [_("eager / bn"), _("compile / bn"), _("wall, eager / bn"), _("Peak memory, MB")]
    head += [_("Error of bn: y, dx"), _("Error of eager: y, dx")]
    compared = ["bn", "eager"]
    if any("reference" in case.get("candidates", {}) for case in record["cases"]):
        head.append(_("Error of the reference: y, dx"))
        compared.append("reference")
    return html.table(head, [_case(case, compared, language) for case in record["cases"]], record, language)


def _case(case: dict, compared: list[str], language: str) -> list[str]:
    shape = left_to_right(f"{tensor(case['shape'], case['layout'])}, {case['dtype']}")
    first = [shape, left_to_right(OPERATIONS[case["operation"]])]
    if "not_run" in case:
        return [*first, isolated(case["not_run"]), *[NONE] * (6 + len(compared))]
    candidates = case["candidates"]
    errors = [_errors(candidates.get(name, {}), language) for name in compared]
    return [*first, left_to_right(case["torch_backend"]), *_speeds(candidates), *errors]


def _speeds(candidates: dict[str, dict]) -> list[str]:
    """Shares of a copy's bandwidth, ratios, and the peak of memory in MB."""
    ours, eager = candidates["bn"], candidates["eager"]
    shares = [_spread(ours[d]["of_copy"]) if "both" in ours else NONE for d in ("forward", "backward")]
    rivals = [candidates.get(rival, {}) for rival in ("eager", "compile")]
    ratios = [_spread(rival["both"]["ratio"]) if "both" in rival else NONE for rival in rivals]
    wall = _spread(eager["wall_ratio"]) if "wall_ratio" in eager else NONE
    memory = number(ours["peak_bytes"] / 2**20) if "peak_bytes" in ours else NONE
    return [*shares, *ratios, wall, memory]


def _errors(candidate: dict, language: str) -> str:
    if "error" not in candidate:
        return _error(candidate.get("not_run", ""), language)
    return Markup(words(language).listed([escape(_error(candidate["error"][k], language)) for k in ("y", "dx")]))


def _error(value: float | str, language: str) -> str:
    """A number as a power of ten, or, where nothing could be measured, that."""
    if isinstance(value, str):
        _ = words(language)
        return Markup('<span title="{}">{}</span>').format(value, _("not run"))
    return scientific(value)


def _spread(values: list[float]) -> str:
    """The median and, smaller, the ends of its spread."""
    middle, low, high = map(number, values)
    return Markup("{} <small>{}</small>").format(middle, left_to_right(f"[{low}, {high}]"))
