"""The table of chapter 04: each place of BN, its rate, its final accuracy, and how it compares."""

from IPython.display import HTML

from bn.lab.chapters.convolution import estimates
from bn.lab.chapters.convolution.figures import ACTIVATIONS, NAMES
from bn.lab.chapters.convolution.study import NETWORKS
from bn.lab.judge import statistics
from bn.lab.show import html, numbers, speech
from bn.lab.show.numbers import number
from bn.lab.show.words import words


def placement(record: dict, language: str) -> HTML:
    """Each activation and place: the rate, the final test accuracy, and how far BN before the nonlinearity is ahead."""
    _, rows = words(language), []
    for kind, activation in ACTIVATIONS.items():
        for name in NETWORKS:
            network = record["accuracy"][kind][name]
            accuracy = statistics.mean([100 * share for share in network["final_test"]], (0, 100))
            gain = "" if name == "before" else estimates.gain(record, kind, name)
            ahead = gain and numbers.signed(gain.value) + numbers.interval(gain, 2)
            label = _.listed([_(activation), _(NAMES[name])])
            rows.append([label, number(network["rate"]), numbers.with_interval(accuracy, 2), ahead])
    head = [_("Network"), _("Learning rate"), _("Final test accuracy, %"), _("BN before is ahead, points")]
    return html.table(head, rows, record, language, note=speech.size(record, language))
