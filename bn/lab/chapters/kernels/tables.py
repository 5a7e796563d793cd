"""The tables of notebook 11, in the language asked for, from a record of the kernel benchmark."""

import html

from IPython.display import HTML

from bn.lab.chapters.kernels import cases as kernel_cases
from bn.lab.show import html as show
from bn.lab.show.figures import number
from bn.lab.chapters.kernels.figures import tensor
from bn.lab.chapters.kernels.kernel_text import TARGETS, VERDICTS
from bn.lab.show.text import pick, words

OPERATIONS = {"bn": "BN", "bn_relu": "BN+ReLU", "bn_add_relu": "BN+add+ReLU"}
MISSING = "–"


def status(record: dict | None, language: str) -> HTML:
    """Whether the GPU benchmark has been run, and on what; if not, the command that runs it."""
    word = words(language)
    if record is None:
        return show.text(word("no gpu record"), language)
    device = f"<bdi>{record['provenance']['devices'][0]}</bdi>"
    numbers = {"cases": number(len(record["cases"])), "planned": number(record["cases_planned"])}
    return show.text(word("gpu record").format(device=device, **numbers), language)


def targets(record: dict, language: str) -> HTML:
    """Each target of the kernels: its limit, what was found, and whether it is met."""
    word = words(language)
    head = [word(key) for key in ("target", "limit", "found", "cases", "verdict")]
    rows = []
    for t in record["targets"]:
        found = MISSING if t["found"] is None else number(float(t["found"]))
        verdict = pick(VERDICTS[t["verdict"]], language)
        rows.append([pick(TARGETS[t["name"]], language), number(float(t["limit"])), found, number(t["cases"]), verdict])
    return show.table(head, rows, record, language)


def floors(language: str) -> HTML:
    """How many sizes of the tensor each operation moves; a mask of a bit a value is left out."""
    word = words(language)
    head = [word(key) for key in ("passes", "two passes, head", "one pass, head", "eager, head")]
    rows = []
    for operation, name in OPERATIONS.items():
        counts = [kernel_cases.TENSOR_PASSES[way][operation] for way in ("two", "one", "eager")]
        rows.append(
            [f"<bdi>{name}</bdi>", *(f"<bdi>{forward}T</bdi>, <bdi>{backward}T</bdi>" for forward, backward in counts)]
        )
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return show._html(show._table(head, body), language)


def precision(record: dict, language: str) -> HTML:
    """The relative error of the standard deviation by each formula, for a mean far from zero."""
    word, found = words(language), record["precision"]
    head = [word("way"), *(word(name) for name in found)]
    ways = next(iter(found.values()))
    rows = [[word(way), *(_error(found[name][way], language) for name in found)] for way in ways]
    return show.table(head, rows, record, language)


def cases(record: dict, language: str) -> HTML:
    """Every case: bandwidth beside a copy, times beside the others, memory and errors."""
    word = words(language)
    keys = ["tensor", "operation", "torch's kernel", "forward, of copy", "backward, of copy", "eager / bn"]
    keys += ["compile / bn", "wall", "memory", "error bn", "error eager"]
    reference = any("reference" in case.get("candidates", {}) for case in record["cases"])
    head = [word(key) for key in keys + ["error reference"] * reference]
    rows = [_row(case, reference, language) for case in record["cases"]]
    return show.table(head, rows, record, language)


def step(record: dict, language: str) -> HTML:
    """A training step with torch's layers and with ours, and how far the two loss curves part."""
    word, found = words(language), record["step"]
    if found.get("not_run", "").startswith("not part of scale"):
        return show.text(word("larger scales"), language)
    if "not_run" in found:
        return show.text(f"{word('not possible')}: <bdi>{html.escape(found['not_run'])}</bdi>", language)
    keys = ("step network", "torch, ms", "bn, ms", "torch / bn", "first loss", "last loss", "apart")
    losses, times = found["losses"], found["step_ms"]
    apart = max(abs(a - b) for a, b in zip(losses["torch"], losses["bn"], strict=True))
    network = f"<bdi>{found['network']}, {found['batch']}×3×{found['width']}², {found['type']}</bdi>"
    ends = [f"<bdi>{losses[side][0]:.3f}</bdi>, <bdi>{losses[side][-1]:.3f}</bdi>" for side in ("torch", "bn")]
    row = [network, *(_spread(times[side]) for side in ("torch", "bn")), _spread(found["ratio"]), *ends, number(apart)]
    return show.table([word(key) for key in keys], [row], record, language)


def _row(case: dict, reference: bool, language: str) -> list[str]:
    shape = f"<bdi>{tensor(case['shape'], case['layout'])}, {case['dtype']}</bdi>"
    first = [shape, f"<bdi>{OPERATIONS[case['operation']]}</bdi>"]
    if "not_run" in case:
        return [*first, f"<bdi>{html.escape(case['not_run'])}</bdi>", *[MISSING] * (8 + reference)]
    candidates = case["candidates"]
    ours = candidates["bn"]
    shares = [_spread(ours[d]["of_copy"]) if "both" in ours else MISSING for d in ("forward", "backward")]
    ratios = [
        _spread(candidates[rival]["both"]["ratio"]) if "both" in candidates.get(rival, {}) else MISSING
        for rival in ("eager", "compile")
    ]
    eager = candidates["eager"]
    wall = _spread(eager["wall_ratio"]) if "wall_ratio" in eager else MISSING
    memory = number(ours["peak_bytes"] / 2**20) if "peak_bytes" in ours else MISSING
    compared = ("bn", "eager", "reference") if reference else ("bn", "eager")
    errors = [_errors(candidates.get(name, {}), language) for name in compared]
    return [*first, f"<bdi>{case['torch_backend']}</bdi>", *shares, *ratios, wall, memory, *errors]


def _errors(candidate: dict, language: str) -> str:
    if "error" not in candidate:
        return _error(candidate.get("not_run", ""), language)
    return ", ".join(_error(candidate["error"][name], language) for name in ("y", "dx"))


def _error(value: float | str, language: str) -> str:
    """A number as a power of ten, or, where nothing could be measured, that."""
    if isinstance(value, str):
        return f'<span title="{html.escape(value)}">{words(language)("not possible")}</span>'
    return show._scientific(value)


def _spread(values: list[float]) -> str:
    """The median and, smaller, the ends of its spread."""
    middle, low, high = (f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}" for value in values)
    return f"<bdi>{middle} <small>[{low}, {high}]</small></bdi>"
