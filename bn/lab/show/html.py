"""HTML for notebooks and pages, in the language asked for: figures, cards, tables, ledger and provenance.

The class names are dressed by the book's style sheet; without it, in a notebook, the HTML stands on its own.
"""

import html
import io
import math
import re
from collections import Counter

import numpy as np
from IPython.display import HTML
from matplotlib import rc_context
from matplotlib.figure import Figure

from bn.lab.judge import claims
from bn.lab.show import figures
from bn.lab import paths
from bn.lab.store import records
from bn.lab.judge.claims import Condition, Estimate, Verdict
from bn.lab.show.figures import Drawing, number, percent
from bn.lab.show.text import ESTIMATES, FOUND, SIZES, VERDICTS, pick, words

_INK = "#010203"  # what book.mplstyle draws text and axes with
_SCALES = ("paper", "gpu", "cpu")  # of committed records, the largest first


def figure(drawing: Drawing, record: dict, language: str) -> HTML:
    """A drawing with its title, the size of the run, a note, and the provenance strip."""
    panels = "".join(svg(panel, alt) for panel, alt in drawing.panels)
    body = f'<div class="bn-panels">{panels}</div><figcaption>{caption(drawing, record, language)}</figcaption>'
    return _html(f'<figure class="bn-figure">{body}</figure>{_provenance(record, language)}', language)


def caption(drawing: Drawing, record: dict, language: str) -> str:
    """The title of a drawing, the size of the run that it shows, and its note."""
    size = _size(record, language) if drawing.trained else ""
    return f"<strong>{drawing.title}</strong> {size} {drawing.note}"


def svg(panel: Figure, alt: str) -> str:
    """One panel as inline SVG that takes its ink from the page."""
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "bn"}):  # the same picture has the same bytes every time
        panel.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text))
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}"', 1).strip()


def cards(record: dict, claim_ids: list[str], language: str) -> HTML:
    """For each claim two cards: what the paper says, what this record found."""
    word, pairs = words(language), []
    for claim_id in claim_ids:
        verdict = claims.judge(claim_id, record)
        title = f"{word('says')} ({_section(verdict.claim, language)})"
        says = _card("bn-says", title, f"<p>{verdict.claim['claim'][language]}</p>")
        body = f"<p>{_found(claim_id, verdict, record, language)}</p>{_badge(verdict, language)}"
        pairs.append(says + _card("bn-found", word("found"), body))
    return _html("".join(f'<div class="bn-cards">{pair}</div>' for pair in pairs), language)


def errors(record: dict, claim_ids: list[str], language: str) -> HTML:
    """A table of claims: the statement, what was measured, its rule, and the verdict."""
    word = words(language)
    head = [word(key) for key in ("statement", "measured", "value", "rule", "verdict")]
    rows = "".join(_rows(claims.judge(claim_id, record), language) for claim_id in claim_ids)
    return _html(_table(head, rows) + _provenance(record, language), language)


def settings(record: dict, language: str) -> HTML:
    """Each network at the same setting and at its own best: steps to 95% and final accuracy, with intervals."""
    word = words(language)
    head = [word(key) for key in ("network", "setting", "steps to 95%", "final accuracy")]
    rows = ""
    for key, part in (("same setting", "figure1"), ("own best", "tuned")):
        for name in records.NETWORKS:
            network = record[part][name]
            final = claims.mean_with_interval([100 * claims.final(seed) for seed in network["test"]])
            setting = f"{number(network['learning_rate'])}, {number(network['weight_std'])}"
            cells = [f"{word(name)} ({word(key)})", setting, _steps(network, language), _with_interval(final, 2)]
            rows += f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    return _html(_table(head, rows) + _provenance(record, language), language)


def table(head: list[str], rows: list[list[str]], record: dict, language: str) -> HTML:
    """A table of cells that are HTML already, with the provenance strip of the record under it."""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return _html(_table(head, body) + _provenance(record, language), language)


def text(body: str, language: str) -> HTML:
    """A paragraph of HTML, in the direction of its language."""
    return _html(f"<p>{body}</p>", language)


def part(name: str, language: str) -> str:
    """The HTML of a part of a page: `figure1`, `tally` or `ledger`, from the committed records."""
    parts = {"figure1": _part_figure1, "tally": _part_tally, "ledger": _part_ledger}
    return parts[name](language)


def _part_figure1(language: str) -> str:
    record = _best_record("activations")
    return figure(figures.figure1(record, language), record, language).data if record else ""


def _part_tally(language: str) -> str:
    counts = Counter(judged(claim_id).verdict for claim_id in claims.ledger())
    items = (
        f'<li class="bn-{name}"><b>{counts[name]}</b> <span>{pick(VERDICTS[name], language)}</span></li>'
        for name in claims.VERDICTS
    )
    return _html(f'<ul class="bn-tally">{"".join(items)}</ul>', language).data


def _part_ledger(language: str) -> str:
    word = words(language)
    head = [word(key) for key in ("section", "statement", "paper's value", "found", "verdict")]
    rows = ""
    for claim_id, claim in claims.ledger().items():
        verdict = judged(claim_id)
        how = f"<details><summary>{word('how')}</summary>{claim['measure'][language]}</details>"
        place = word("appendix") if claim["section"] == "A" else number(claim["section"])
        cells = [place, claim["claim"][language] + how, claim["paper"][language]]
        cells.append(found(claim_id, language))
        cells.append(_badge(verdict, language))
        rows += f'<tr id="claim-{claim_id}">{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
    return _html(f'<div class="bn-ledger">{_table(head, rows)}</div>', language).data


def judged(claim_id: str) -> Verdict:
    """The verdict on a claim from the committed record of the largest scale."""
    return claims.judge(claim_id, _best_record(claims.ledger()[claim_id]["experiment"]))


def _best_record(experiment: str) -> dict | None:
    """The committed record of the largest scale, if there is one."""
    files = [paths.RECORDS / experiment / f"{scale}.json" for scale in _SCALES]
    return next((records.read(path) for path in files if path.exists()), None)


def found(claim_id: str, language: str) -> str:
    """What the committed record of the largest scale says of a claim, as HTML."""
    return _found(claim_id, judged(claim_id), _best_record(claims.ledger()[claim_id]["experiment"]), language)


def _found(claim_id: str, verdict: Verdict, record: dict | None, language: str) -> str:
    """What was measured, in a sentence or line by line; of a claim about training also the size of the run."""
    if record is None or not verdict.conditions:  # not run, or not at the scale that decides
        return ""
    exact = verdict.claim["kind"] == "exact"
    if claim_id in FOUND:
        estimates = claims.estimate(claim_id, record)
        numbers = _FOUND.get(claim_id, _found_numbers)(estimates, language)
        text = pick(FOUND[claim_id], language).format(**numbers)
    else:
        text = "<br>".join(_condition(c, language, interval=not exact) for c in verdict.conditions)
    return text if exact else f"{text} <small>{_size(record, language)}</small>"


def _found_numbers(estimates: dict[str, Estimate], language: str) -> dict[str, str]:
    return {name: number(e.value) for name, e in estimates.items()}


def _found_fig1a(e: dict[str, Estimate], language: str) -> dict[str, str]:
    ratio, gain, ahead = e["steps_ratio"], e["final_gain"], e["seeds_ahead"]
    return {
        "ahead": number(f"{round(ahead.value * ahead.n)}/{ahead.n}"),
        "ratio": percent(ratio.value) if math.isfinite(ratio.value) else number("∞"),
        "ratio_interval": _interval(ratio, 1, scale=100, unit="%"),
        "gain": number(f"{gain.value:+.2f}"),
        "gain_interval": _interval(gain, 2),
        "target": number("95%"),
    }


def _found_fig1bc(e: dict[str, Estimate], language: str) -> dict[str, str]:
    return {
        "plain": number(e["drift_plain"].value),
        "bn": number(e["drift_bn"].value),
        "ratio": number(e["drift_ratio"].value),
        "ratio_interval": _interval(e["drift_ratio"], 2),
    }


def _found_drift(e: dict[str, Estimate], language: str) -> dict[str, str]:
    return {
        "shift": number(e["mean_shift"].value),
        "shift_interval": _interval(e["mean_shift"], 2),
        "growth": number(e["std_growth"].value),
        "growth_interval": _interval(e["std_growth"], 2),
        "shift_bn": number(e["mean_shift_bn"].value),
        "growth_bn": number(e["std_growth_bn"].value),
    }


_FOUND = {
    "fig1a-accuracy": _found_fig1a,
    "fig1bc-stability": _found_fig1bc,
    "baseline-mean-var-drift": _found_drift,
}


def _section(claim: dict, language: str) -> str:
    word = words(language)
    return word("appendix") if claim["section"] == "A" else f"{word('section')} {number(claim['section'])}"


def _card(kind: str, title: str, body: str) -> str:
    return f'<section class="bn-card {kind}"><h4>{title}</h4>{body}</section>'


def _badge(verdict: Verdict, language: str) -> str:
    label = f'<span class="bn-verdict bn-{verdict.verdict}">{pick(VERDICTS[verdict.verdict], language)}</span>'
    return f"{label} <em>{words(language)('rule changed')}</em>" if verdict.rule_changed else label


def _rows(verdict: Verdict, language: str) -> str:
    """A claim's rows: one for each condition, the statement and the verdict spanning them."""
    span = f'rowspan="{len(verdict.conditions)}"'
    rows = []
    for k, condition in enumerate(verdict.conditions):
        name = pick(ESTIMATES[condition.name], language)
        middle = f"<td>{name}</td><td>{_scientific(condition.value)}</td><td>{_limit(condition)}</td>"
        first = f"<td {span}>{verdict.claim['claim'][language]}</td>" if k == 0 else ""
        last = f"<td {span}>{_badge(verdict, language)}</td>" if k == 0 else ""
        rows.append(f"<tr>{first}{middle}{last}</tr>")
    return "".join(rows)


def _condition(condition: Condition, language: str, interval: bool) -> str:
    """A line of a rule: what was estimated, its 95% interval over the seeds if there is one, and the limit."""
    name, ends = pick(ESTIMATES[condition.name], language), (condition.estimate.low, condition.estimate.high)
    between = f" <bdi>[{_bare(ends[0])}, {_bare(ends[1])}]</bdi>" if interval and np.isfinite(ends).all() else ""
    return f"{name}: {_scientific(condition.value)}{between} ({_limit(condition)})"


def _limit(condition: Condition) -> str:
    sign = "≤" if condition.relation == "at_most" else "≥"
    return f"<bdi>{sign} {_bare(condition.limit)}</bdi>"


def _scientific(value: float) -> str:
    return f"<bdi>{_bare(value)}</bdi>"


def _bare(value: float) -> str:
    """0.984, 3.0×10⁻¹⁶: plain digits where they are few, a power of ten where they are many; a dash for none."""
    if math.isnan(value):
        return "–"
    if value == 0 or not math.isfinite(value) or 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}".replace("inf", "∞").replace("-", "−")
    mantissa, exponent = f"{value:.1e}".split("e")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa.replace('-', '−')}×10{power}"


def _steps(network: dict, language: str) -> str:
    steps = claims.steps_to_target(network)
    if not np.isfinite(steps).all():
        return f"{words(language)('never')} ({number(f'{np.isinf(steps).sum()}/{len(steps)}')})"
    return _with_interval(claims.mean_with_interval(steps), 0)


def _with_interval(estimate: Estimate, digits: int) -> str:
    return f"<bdi>{estimate.value:,.{digits}f}</bdi>{_interval(estimate, digits)}"


def _interval(estimate: Estimate, digits: int, scale: float = 1, unit: str = "") -> str:
    """A space and [low, high], or nothing where a single seed gives no interval."""
    if not math.isfinite(estimate.low) or not math.isfinite(estimate.high):
        return ""
    low, high = (f"{scale * end:,.{digits}f}{unit}".replace("-", "−") for end in (estimate.low, estimate.high))
    return f" <bdi>[{low}, {high}]</bdi>"


def _size(record: dict, language: str) -> str:
    asked = record["asked"]
    pixels = number(f"{asked['pixels']}×{asked['pixels']}") if "pixels" in asked else ""
    images = pick(SIZES[record["dataset"]], language).format(pixels=pixels)
    numbers = {"steps": number(asked["steps"]), "seeds": number(len(asked["seeds"])), "images": f"<bdi>{images}</bdi>"}
    return pick(SIZES["own" if record["papers_own_size"] else "smaller"], language).format(**numbers)


def _provenance(record: dict, language: str) -> str:
    """The strip under a figure: in one line who, where and when; unfolded, everything."""
    word, p = words(language), record["provenance"]
    commit = f"{word('commit')} <bdi>{p['commit']}</bdi>" + (f" ({word('uncommitted')})" if p["dirty"] else "")
    versions = ", ".join(f"{name} {version}" for name, version in ({"bn": p["version"]} | p["versions"]).items())
    full = {"device": ", ".join(p["devices"]), "finished": p["finished"]}
    if "seeds" in p:
        seeds = f"{word('seeds')}: <bdi>{', '.join(map(str, p['seeds']))}</bdi>"
        seconds = word("core seconds").format(number(p["training_seconds"]))
        brief = [f"<bdi>{record['dataset']}</bdi>", seeds, commit, seconds]
        full["runs"] = p["runs"]
        full["compiled"] = " / ".join(word("yes" if compiled else "no") for compiled in p["compiled"])
    else:  # a measurement of speed: no training and no data
        brief = [f"<bdi>{full['device']}</bdi>", commit, f"<bdi>{p['finished']}</bdi>"]
        full |= {"threads": p["threads"], "measuring": p["measuring_seconds"]}
    full |= {"versions": versions, "code": p["code"]}
    if "data_sha256" in p:
        full["data checksum"] = p["data_sha256"]
    full["command"] = f"<code>{html.escape(p['command'])}</code>"
    items = "".join(f"<dt>{word(key)}</dt><dd><bdi>{value}</bdi></dd>" for key, value in full.items())
    summary = f"<summary>{word('where from')}: {' · '.join(brief)}</summary>"
    return f'<details class="bn-provenance">{summary}<dl>{items}</dl></details>'


def _table(head: list[str], rows: str) -> str:
    cells = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    table = f'<table class="bn-table"><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="bn-scroll">{table}</div>'


def _html(body: str, language: str) -> HTML:
    direction = "rtl" if language == "ar" else "ltr"
    return HTML(f'<div class="bn" lang="{language}" dir="{direction}">{body}</div>')
