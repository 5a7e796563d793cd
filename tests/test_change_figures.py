"""The figures and tables of notebooks 09 and 10, from records made by hand whose numbers are known."""

import re
from dataclasses import asdict

import numpy as np
import pytest
from matplotlib.text import Text

from bn.lab.chapters.ablations import figures as ablation_figures
from bn.lab.chapters.ablations import change_text
from bn.lab.judge import claims
from bn.lab.chapters.ensemble import figures as ensemble_figures
from bn.lab.judge import image_claims
from bn.lab.train import recipes
from bn.lab.show import html as show

LANGUAGES = pytest.mark.parametrize("language", ["en", "ar"])
BASE = recipes.inception(recipes.SIZES["cpu", "digits"], "digits", 0.03, 400)  # 400 steps, evaluated every 10
LEVELS = (0.90, 0.91, 0.92)  # accuracy of three seeds, the same at each evaluation
NAMES = {"BN", "Baseline", "Inception", "ImageNet", "GoogLeNet", "Deep", "Image", "He", "top", "scikit", "learn"}


def network(recipe: recipes.Recipe, points: tuple[float, ...] = (0, 0, 0)) -> dict:
    """Constant curves, so many points above LEVELS."""
    steps = list(range(0, recipe.steps + 1, recipe.every))
    curves = [[level + point / 100] * len(steps) for level, point in zip(LEVELS, points, strict=True)]
    return {"recipe": asdict(recipe), "steps": steps, "validation": curves, "test": curves, "diverged": [None] * 3}


def finished(results: dict) -> dict:
    provenance = {"version": "0", "commit": "0" * 10, "dirty": False, "code": "", "data_sha256": "", "devices": []}
    provenance |= {"versions": {}, "compiled": [], "seeds": [0], "runs": 1, "training_seconds": 0}
    provenance |= {"finished": "", "command": ""}
    asked = {"steps": 400, "seeds": [0, 1, 2], "pixels": 8}
    about = {"scale": "cpu", "dataset": "digits", "papers_own_size": False, "asked": asked}
    return about | {"rules": claims.rule_digests(), "provenance": provenance} | results


@pytest.fixture
def changed() -> dict:
    """Alone: the rate gains 1 point in each seed, no Dropout loses 2, less L2 gains 3, −3 and 0.3, the rest nothing.

    Left out of BN-x5, which is 5 points above: the rate costs 4, shuffling 1, 2 and 3, the rest nothing.
    """
    parts = {name: recipes.networks(BASE)[name] for name in ("inception", "bn_baseline", "bn_x5")}
    points = {"inception": (0, 0, 0), "bn_baseline": (0, 0, 0), "bn_x5": (5, 5, 5)}
    alone = {"rate": (1, 1, 1), "dropout": (-2, -2, -2), "l2": (3, -3, 0.3)}
    left_out = {"rate": (1, 1, 1), "shuffling": (4, 3, 2)}
    results = {
        "networks": {name: network(recipe, points[name]) for name, recipe in parts.items()},
        "alone": {n: network(r, alone.get(n, (0, 0, 0))) for n, r in recipes.alone(BASE).items()},
        "left_out": {n: network(r, left_out.get(n, (5, 5, 5))) for n, r in recipes.left_out(BASE).items()},
        "plain": {"shuffling": network(recipes.changed(BASE, ("shuffling",)), (0.5, 0.5, 0.5))},
    }
    return finished(results)


@pytest.fixture
def six() -> dict:
    """Two seeds of six members whose top-1 errors are 10 to 15 on one crop and 3 less on ten; together 6 and 8."""

    def errors(better: float, ensemble: tuple[float, float]) -> list[dict]:
        members = [(10.0 + k - better, 1.0 + k / 10) for k in range(6)]
        return [{"members": [list(pair) for pair in members], "ensemble": [top1, 0.5]} for top1 in ensemble]

    members = recipes.members(BASE)
    curves = {name: network(recipe) for name, recipe in members.items()}
    for curve in curves.values():
        curve["diverged"] = [None, None]
        curve["test"] = curve["test"][:2]
    results = {
        "members": {name: asdict(recipe) for name, recipe in members.items()},
        "curves": curves,
        "crops": [1, 10],
        "errors": {"1": errors(0, (8.0, 9.0)), "10": errors(3, (6.0, 8.0))},
        "images": 360,
        "measured": image_claims.ensemble_arithmetic([np.full((2, 10), 0.1)]),
    }
    record = finished(results)
    record["asked"]["seeds"] = [0, 1]
    return record


def diverge(curve: dict, seed: int) -> None:
    """The seed diverges at the fourth evaluation."""
    curve["diverged"][seed] = curve["steps"][4]
    for split in ("validation", "test"):
        kept = curve[split][seed]
        curve[split] = [*curve[split]]
        curve[split][seed] = kept[:4] + [None] * (len(kept) - 4)


def words(html: str) -> str:
    """What a reader sees: without tags, and without where the numbers come from."""
    return re.sub("<[^>]*>", " ", re.sub("<details.*?</details>", "", html, flags=re.S))


def plain(html: str) -> str:
    """The same in one line, for comparison."""
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", "", re.sub("<(td|th|br)", r" <\1", html))).strip()


def numbers(title: str) -> list[str]:
    return re.findall("<bdi>(.*?)</bdi>", title)


def labels(drawing) -> str:
    """All text of the panels, their alternatives, the title and the note."""
    texts = [t.get_text() for panel, _ in drawing.panels for t in panel.findobj(Text)]
    return " ".join([*texts, *(alt for _, alt in drawing.panels), words(drawing.title), words(drawing.note)])


def everything(changed: dict, six: dict, language: str) -> str:
    drawings = [ablation_figures.changes(changed, language), ensemble_figures.gain(six, language)]
    assert all(len(drawing.panels) == 2 and all(alt for _, alt in drawing.panels) for drawing in drawings)
    assert all(show.svg(*panel).startswith("<svg") for drawing in drawings for panel in drawing.panels)
    tables = [ablation_figures.table(changed, language), ablation_figures.shuffling(changed, language)]
    tables += [ensemble_figures.figure4(six, language), ensemble_figures.members(six, language)]
    return " ".join([*map(labels, drawings), *(words(table.data) for table in tables)])


# ---- In both languages ---------------------------------------------------------------------------


@LANGUAGES
@pytest.mark.parametrize("lost", [False, True], ids=["finished", "diverged"])
def test_everything_speaks_one_language_and_never_says_nan(changed, six, language, lost):
    if lost:
        diverge(changed["networks"]["bn_x5"], 0)  # every row of panel (b) then has no number
        diverge(changed["plain"]["shuffling"], 1)
        diverge(six["curves"]["member_4"], 1)
    shown = everything(changed, six, language)
    assert not re.search(r"\bnan\b|None|inf\b|[{}]", shown)
    assert bool(re.search("[\u0621-\u064a]", shown)) is (language == "ar")
    if language == "ar":
        assert set(re.findall("[A-Za-z]{2,}", shown)) <= NAMES


def test_every_word_has_an_arabic_one_with_the_same_blanks():
    for part in (change_text.WORDS, change_text.TITLES, change_text.ESTIMATES):
        for key, (english, arabic) in part.items():
            assert re.search("[\u0621-\u064a←]", arabic), key
            blanks = [set(re.findall(r"\{\w*\}", text)) - {"{interval}"} for text in (english, arabic)]
            assert blanks[0] == blanks[1], key


# ---- Notebook 09 ---------------------------------------------------------------------------------


@LANGUAGES
def test_the_title_of_the_changes_counts_what_helps_and_what_does_clearly(changed, language):
    title = ablation_figures.changes(changed, language).title
    # Alone: rate and L2 up, the rate clearly; Dropout down, clearly. Left out: rate and shuffling, the rate clearly.
    assert numbers(title) == ["2", "7", "1", "1", "1", "2", "1", "0", "0"]


def test_to_the_right_a_change_helps_in_both_panels(changed):
    drawing = ablation_figures.changes(changed, "en")
    means = [
        [line.get_xdata()[0] for line in panel.axes[0].lines if line.get_marker() == "o"] for panel, _ in drawing.panels
    ]
    assert means[0] == pytest.approx([1, -2, 0.1, 0, 0, 0, 0])
    assert means[1] == pytest.approx([4, 0, 0, 0, 0, 2, 0])
    assert means[0][0] == pytest.approx(np.mean(image_claims.gains(changed, "alone", "rate")))
    assert means[1][0] == pytest.approx(np.mean(image_claims.gains(changed, "left_out", "rate")))
    limits = [panel.axes[0].get_xlim() for panel, _ in drawing.panels]
    assert limits[0] == limits[1]


def test_what_a_change_does_is_read_from_the_recipes(changed):
    found = [ablation_figures.how(changed, change, "en") for change in recipes.CHANGES]
    assert found[:3] == ["0.03 → 0.15", "40% → 0%", "2.0×10⁻⁴ → 4.0×10⁻⁵"]
    assert found[3:] == ["6 times as fast", "yes → no", "no → yes", "±50% → ±25%"]
    changed["networks"]["bn_x5"]["recipe"]["dropout"] = 0.1
    assert ablation_figures.how(changed, "dropout", "en") == "40% → 10%"
    assert ablation_figures.how(changed, "dropout", "ar") == "\u200f\u206640%\u2069 ← \u206610%\u2069"


def test_the_table_has_accuracy_and_steps_of_every_change(changed):
    html = ablation_figures.table(changed, "en").data
    rows = [plain(row) for row in re.findall("<tr>(.*?)</tr>", html)]
    assert len(rows) == 2 + len(recipes.CHANGES)
    # Of a constant curve, the third evaluation is the first at which three of the last five are there: step 20.
    assert rows[1].startswith("For comparison BN-Baseline: 91.0 [88.5, 93.5]")
    assert rows[2].startswith("Learning rate 0.03 → 0.15 92.0 [89.5, 94.5]")
    # The target is 91%; without Dropout the seeds have 88, 89 and 90%.
    assert "89.0 [86.5, 91.5] never (3/3)" in rows[3]
    assert "96.0 [93.5, 98.5] 20 [20, 20]" in rows[3]


def test_shuffling_with_bn_stands_beside_shuffling_without(changed):
    """1, 2 and 3 points with BN, 0.5 without; t = 4.303 for three seeds, so the half-width is 4.303 / √3 = 2.48."""
    found = plain(ablation_figures.shuffling(changed, "en").data)
    assert "+2.00 [−0.48, 4.48] to BN-x5, +0.50 [0.50, 0.50] to the network without BN" in found
    assert "the first less the second, +1.50 [−0.98, 3.98]" in found


def test_a_change_whose_network_diverged_says_so_and_is_not_counted(changed):
    diverge(changed["alone"]["rate"], 1)
    drawing = ablation_figures.changes(changed, "en")
    assert numbers(drawing.title)[:5] == ["1", "7", "0", "1", "1"]
    ticks = [label.get_text() for label in drawing.panels[0][0].axes[0].get_yticklabels()]
    assert ticks[0] == "Learning rate\n0.03 → 0.15\ndiverged (1/3)" and "diverged" not in ticks[1]
    assert plain(drawing.note).endswith("Of the 48 runs behind the panels, 1 diverged.")
    assert "diverged (1/3)" in plain(ablation_figures.table(changed, "en").data)


def test_one_seed_makes_nothing_clear(changed):
    for part in ("networks", "alone", "left_out"):
        for curve in changed[part].values():
            curve.update({name: curve[name][:1] for name in ("validation", "test", "diverged")})
    title = ablation_figures.changes(changed, "en").title
    assert numbers(title) == ["2", "7", "0", "1", "0", "2", "0", "0", "0"]


# ---- Notebook 10 ---------------------------------------------------------------------------------


def test_errors_of_probabilities_by_hand():
    """Right; right only in a tie that the other class wins; last of six alike; and no number at all."""
    probabilities = np.array([[0.9, 0.1, 0, 0, 0, 0], [0.5, 0.5, 0, 0, 0, 0], [1 / 6] * 6, [np.nan] * 6])
    assert image_claims.errors(probabilities, np.array([0, 1, 5, 0])) == [75.0, 50.0]
    assert image_claims.errors(probabilities[:2], np.array([0, 1])) == [50.0, 0.0]
    assert image_claims.errors(probabilities[3:], np.array([0])) == [100.0, 100.0]


@LANGUAGES
def test_the_title_of_the_gain_has_the_errors_of_the_record(six, language):
    # Ten crops: 6 and 8 together, the best 7, the mean of 7 to 12; one crop: the mean of 10 to 15.
    assert numbers(ensemble_figures.gain(six, language).title) == ["10", "7.0%", "7.0%", "9.5%", "12.5%"]


def test_figure_4_keeps_what_was_measured_apart_from_what_is_quoted(six):
    ours, theirs = ensemble_figures.figure4(six, "en").data.split("ImageNet, quoted from the paper: not measured here")
    assert "Measured here, not on ImageNet" in ours and "Small scale, not the paper's experiment" in words(ours)
    rows = [plain(row) for row in re.findall("<tr>(.*?)</tr>", ours)][1:]
    assert rows[0] == "one network, one crop 8×8 1 1 12.50% [12.50%, 12.50%] 1.25% [1.25%, 1.25%]"
    assert rows[1].startswith("one network, many crops 8×8 10 1 9.50%")
    # Two seeds, 6 and 8: t = 12.706, and the standard error is 1.
    assert rows[2] == "six networks, many crops 8×8 10 6 7.00% [−5.71%, 19.71%] 0.50% [0.50%, 0.50%]"
    assert "among 10 classes miss 50.0%" in plain(ours)
    quoted = [plain(row) for row in re.findall("<tr>(.*?)</tr>", theirs)][1:]
    assert quoted == [
        "GoogLeNet, ensemble 224 144 7 – 6.67%",
        "Deep Image, low resolution 256 – 1 – 7.96%",
        "Deep Image, high resolution 512 – 1 24.88% 7.42%",
        "Deep Image, ensemble variable – – – 5.98%",
        "BN-Inception, one crop 224 1 1 25.2% 7.82%",
        "BN-Inception, many crops 224 144 1 21.99% 5.82%",
        "BN-Inception, ensemble 224 144 6 20.1% 4.9%",
    ]
    assert "the ensemble has a top-5 error of 4.82%" in plain(theirs) and "He et al., 4.94%" in plain(theirs)


def test_a_diverged_member_has_no_error_and_nor_has_its_ensemble(six):
    diverge(six["curves"]["member_4"], 1)
    for part in six["errors"].values():
        part[1]["members"][3] = part[1]["ensemble"] = [100.0, 100.0]
    drawing = ensemble_figures.gain(six, "en")
    assert "In 1/2 of the seeds a network diverged" in plain(drawing.title)
    ticks = [label.get_text() for label in drawing.panels[0][0].axes[0].get_yticklabels()]
    assert ticks[3] == "BN per activation\ndiverged (1/2)" and ticks[6] == "all six\ndiverged (1/2)"
    assert all(panel.axes[0].get_xlim()[1] < 20 for panel, _ in drawing.panels)
    rows = [plain(row) for row in re.findall("<tr>(.*?)</tr>", ensemble_figures.figure4(six, "en").data)]
    assert rows[1].endswith("diverged (1/12) diverged (1/12)") and rows[3].endswith("diverged (1/2) diverged (1/2)")
    assert "1 of the 12 networks diverged" in plain(drawing.note)
    members = [plain(row) for row in re.findall("<tr>(.*?)</tr>", ensemble_figures.members(six, "en").data)]
    assert members[4].endswith("diverged (1/2)")


def test_the_members_differ_in_what_section_423_names(six):
    rows = [plain(row) for row in re.findall("<tr>(.*?)</tr>", ensemble_figures.members(six, "en").data)][1:]
    assert [row.split(" 9.50 ")[0] for row in rows] == [
        "1 5.0% ×1 per feature map",
        "2 10.0% ×1 per feature map",
        "3 0.0% ×1.5 per feature map",
        "4 0.0% ×1 per activation",
        "5 5.0% ×1.5 per feature map",
        "6 10.0% ×1 per activation",
    ]
    assert all(row.endswith(" 9.50 [3.15, 15.85]") for row in rows)  # 10 and 9% wrong, the standard error 0.5
