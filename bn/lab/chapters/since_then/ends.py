"""How the rates of chapter 12 were chosen, and which lie at an end of those that were tried, in words."""

from collections.abc import Iterable

from bn.lab.show.numbers import number
from bn.lab.show.words import N_, words

_AT_AN_END = {"lowest": N_("{network}: the lowest"), "highest": N_("{network}: the highest")}
Chosen = tuple[str, float, list[float]]  # whose rate it is, the rate, and those that were tried


def of_deep(record: dict, named: dict[str, tuple], language: str) -> str:
    """Of the deep networks."""
    _, ladder = words(language), record["ladder"]
    chosen = [(_(named[name][0]), record["deep"][name]["rate"], ladder["rates"]) for name in ("plain", "bn", "noisy")]
    return said(chosen, len(ladder["seeds"]), language)


def of_mini_batches(record: dict, named: dict[str, tuple], language: str) -> str:
    """Of the networks of panels (a) and (b) with mini-batches of each size."""
    _, chosen = words(language), []
    for part, whose in (("small", _("(a) {network} with {batch}")), ("maps", _("(b) {network} with {batch}"))):
        for name, by_batch in record[part].items():
            for batch, found in by_batch.items():
                network = whose.format(network=_(named[name][0]), batch=number(int(batch)))
                chosen.append((network, found["rate"], found["tried"]))
    return said(chosen, len(record["ladder"]["seeds"]), language)


def of_separate(record: dict, language: str) -> str:
    """Of the networks with separate statistics."""
    _, parts = words(language), record["separate"]
    kinds = {"small": _("fully connected, 2 at a time"), "maps": _("convolutional, 2 at a time")}
    chosen = [(kind, parts[part]["32"]["rate"], parts[part]["32"]["tried"]) for part, kind in kinds.items()]
    return said(chosen, len(record["ladder"]["seeds"]), language)


def said(chosen: Iterable[Chosen], seeds: int, language: str) -> str:
    """By how many seeds they were chosen, and whose rates lie at an end of those that were tried."""
    _, chosen = words(language), list(chosen)
    tried = len(chosen[0][2])
    if tried == 1:
        return _("No other rate was tried.")
    by = _.ngettext(
        "Each rate is the best of {tried} by {n} other seed.",
        "Each rate is the best of {tried} by {n} other seeds.",
        seeds,
    )
    return f"{by.format(tried=number(tried), n=number(seeds))} {_at_ends(chosen, language)}"


def _at_ends(chosen: list[Chosen], language: str) -> str:
    _ = words(language)
    if len(chosen[0][2]) == 2:
        return _("Of two rates each is at an end.")
    found = [
        (whose, "lowest" if rate == min(tried) else "highest")
        for whose, rate, tried in chosen
        if rate in (min(tried), max(tried))
    ]
    if not found:
        return _("None is at an end of those that were tried.")
    listed = _.listed([_(_AT_AN_END[end]).format(network=whose) for whose, end in found], ";")
    return _("At an end of those that were tried, so that a better one may lie beyond: {list}.").format(list=listed)
