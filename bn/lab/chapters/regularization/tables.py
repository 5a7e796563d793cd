"""The table of section 3.4: four networks at their own best rates and at one rate for all."""

from IPython.display import HTML

from bn.lab.chapters.regularization.estimates import finals, gaps
from bn.lab.chapters.regularization.figures import NAMES
from bn.lab.judge import statistics
from bn.lab.show import html, numbers, speech
from bn.lab.show.numbers import number
from bn.lab.show.words import N_, words

PARTS = {"own_rates": N_("own best rate"), "same_rate": N_("the same rate")}


def networks(record: dict, language: str) -> HTML:
    """Rate, final test accuracy and gap of each network, with intervals."""
    _, rows = words(language), []
    for part, setting in PARTS.items():
        for name, network in record[part].items():
            test, gap = statistics.mean(finals(network), (0, 100)), statistics.mean(gaps(network))
            measured = (numbers.with_interval(estimate, 2) for estimate in (test, gap))
            rows.append([f"{_(NAMES[name])} ({_(setting)})", number(network["rate"]), *measured])
    head = [_("Network"), _("Learning rate"), _("Final test accuracy, %"), _("Training − test, points")]
    note = _("The same rate is the best one of the plain network.")
    return html.table(head, rows, record, language, note=f"{speech.size(record, language)} {note}")
