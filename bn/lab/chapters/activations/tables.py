"""The tables of section 4.1: the same setting and each network's own best, and the optimizers."""

from IPython.display import HTML

from bn.lab.chapters.activations.estimates import final, points, steps_to_target
from bn.lab.chapters.activations.figures import NAMES, SETTINGS
from bn.lab.chapters.activations.record import NETWORKS
from bn.lab.judge import statistics
from bn.lab.judge.parts import sized
from bn.lab.show import html, numbers, seeds, speech
from bn.lab.show.numbers import number
from bn.lab.show.words import N_, words

OPTIMIZERS = {
    "sgd": N_("SGD"),
    "momentum": N_("SGD with momentum"),
    "adagrad": N_("Adagrad"),
    "adam": N_("Adam"),
}


def settings(record: dict, language: str) -> HTML:
    """Each network at the same setting and at its own best: steps to 95% and final accuracy, with intervals."""
    _, rows = words(language), []
    for part, setting in SETTINGS.items():
        for name in NETWORKS:
            network = record[part][name]
            at = _.listed([number(network["learning_rate"]), number(network["weight_std"])])
            accuracy = statistics.mean([100 * final(seed) for seed in network["test"]])
            cells = [at, seeds.mean_steps(steps_to_target(network), language), numbers.with_interval(accuracy, 2)]
            rows.append([f"{_(NAMES[name])} ({_(setting)})", *cells])
    head = [_("Network"), _("Learning rate, std of the weights")]
    return html.table([*head, _("Steps to 95% (validation)"), _("Final test accuracy, %")], rows, record, language)


def optimizers(record: dict, language: str) -> HTML:
    """Each optimizer at each network's best rate: the rate, final accuracy, area under the curve, what BN gains."""
    _, part, rows = words(language), record["optimizers"], []
    for optimizer, networks in part["by_name"].items():
        gain = points(networks["bn"]["test"], networks["plain"]["test"])
        for name in NETWORKS:
            accuracy, area = (
                numbers.with_interval(statistics.mean([100 * share for share in networks[name][key]]), 2)
                for key in ("test", "area")
            )
            gained = numbers.signed(gain.value) + numbers.interval(gain, 2) if name == "bn" else ""
            label = _.listed([_(OPTIMIZERS[optimizer]), _(NAMES[name])])
            rows.append([label, number(networks[name]["rate"]), accuracy, area, gained])
    head = [_("Optimizer"), _("Learning rate"), _("Final test accuracy, %"), _("Area under the validation curve, %")]
    note = _(
        "After {steps}, first weights of standard deviation {std}, each at the rate that did best on validation images "
        "for seeds {listed}. Means over the seeds of Figure 1 with their 95% intervals."
    )
    listed = _.listed([numbers.left_to_right(seed) for seed in part["chosen_by"]])
    size = {"steps": speech.steps(part["steps"], language), "std": number(part["weight_std"])}
    note = note.format(listed=listed, **size)
    return html.table(
        [*head, _("BN gains, points")],
        rows,
        record,
        language,
        note=f"{speech.size(sized(record, 'optimizers'), language)} {note}",
    )
