"""The table of section 3.4: four networks at their own best rates and at one rate for all."""

from IPython.display import HTML

from bn.lab.chapters.regularization.estimates import finals, gaps
from bn.lab.chapters.regularization.figures import NAMES
from bn.lab.show import html, seeds, speech
from bn.lab.show.numbers import number
from bn.lab.show.words import N_, words

PARTS = {"own_rates": N_("own best rate"), "same_rate": N_("the same rate")}


def networks(record: dict, language: str) -> HTML:
    """Rate, final test accuracy and gap of each network, with intervals."""
    _, rows = words(language), []
    for part, setting in PARTS.items():
        for name, network in record[part].items():
            measured = (seeds.mean(values, language, 2) for values in (finals(network), gaps(network)))
            rows.append([f"{_(NAMES[name])} ({_(setting)})", number(network["rate"]), *measured])
    head = [_("Network"), _("Learning rate"), _("Final test accuracy, %"), _("Training − test, points")]
    note = _("The same rate is the best one of the plain network.")
    return html.table(head, rows, record, language, note=f"{speech.size(record, language)} {note}")
