"""A wrong parameter is refused at once, in one sentence that names it and says what is allowed."""

import math

import pytest

from bn.lab.chapters.activations.spec import Activations
from bn.lab.chapters.algorithm.spec import Algorithm
from bn.lab.data import datasets
from bn.lab.spec import ParameterError
from bn.lab.train.specs import SIZES, DigitSpec

NOT_WHOLE = [True, "5", 5.0, [5], -1, 0]
NOT_POSITIVE = [0, -0.5, 0.0, math.nan, math.inf, "0.5", True, [0.5]]
BAD_FOR_ALL = [
    *[("scale", value, "'smoke', 'cpu', 'gpu', 'paper'") for value in ("huge", "CPU", "", None, 1, ["cpu"])],
    *[("language", value, "'en', 'ar'") for value in ("fr", "EN", None)],
    *[("dataset", value, "'auto', 'digits', 'mnist'") for value in ("cifar", "MNIST", None, 3)],
    *[("steps", value, "at least 1") for value in NOT_WHOLE],
    *[("seeds", value, "at least 1") for value in (*NOT_WHOLE[:3], -1, 0)],
    *[("seed", value, "at least 0") for value in ((0, -1), (0, "1"), (0, True), (1.0,))],
    *[("seeds", value, "different") for value in ((), (1, 1), (0, 1, 0))],
]
BAD = [
    *[(kind, *case) for kind in (Algorithm, Activations) for case in BAD_FOR_ALL],
    *[(Algorithm, "m", value, "at least 2") for value in (*NOT_WHOLE, 1)],
    *[(Algorithm, "features", value, "at least 1") for value in NOT_WHOLE],
    *[(Algorithm, "eps", value, "above 0") for value in NOT_POSITIVE],
    *[(Activations, name, v, "above 0") for name in ("learning_rate", "weight_std") for v in NOT_POSITIVE],
    *[(Activations, "rates", value, "above 0") for value in (0.5, (), (0.5, 0), (0.5, math.nan), ("0.5",), "0.5")],
    *[(Activations, "weight_stds", value, "above 0") for value in (0.01, (), (-0.1,), (True,))],
    *[(Activations, "unit", value, "from 0 to 99") for value in (-1, 100, True, 1.0, "3")],
    *[(Activations, "batch", v, "from 2 to 1257, the number of training") for v in (*NOT_WHOLE, 1, 1_258, None)],
]


def notebook(kind, *cells: str):
    """What a notebook with these cells asks."""
    namespace = {}
    for cell in cells:
        exec(cell, namespace)
    return kind.from_notebook(["", *cells], namespace)


@pytest.mark.parametrize(("kind", "name", "value", "allowed"), BAD, ids=repr)
def test_a_wrong_value_is_refused(kind, name, value, allowed):
    asked = {"dataset": "digits", ("seeds" if name == "seed" else name): value}
    with pytest.raises(ParameterError) as caught:
        kind(**asked)
    message = str(caught.value)
    assert name in message and allowed in message
    assert "\n" not in message
    assert repr(value) in message or isinstance(value, tuple | list)


def test_a_misspelt_name_is_refused_with_all_that_are_known():
    with pytest.raises(ParameterError) as caught:
        notebook(Activations, "# Parameters\nscale = 'smoke'", "# Parameters\nlearning_rat = 0.1\nstep = 3")
    message = str(caught.value)
    assert "unknown parameter 'learning_rat', 'step'" in message
    assert all(name in message for name in ("learning_rate", "weight_std", "seeds", "steps", "batch", "unit"))
    assert "\n" not in message


def test_the_last_cell_of_parameters_counts_and_other_cells_do_not():
    cells = ["# Parameters\nscale = 'smoke'\nsteps = 7", "helper = 1", "# Parameters\nsteps = 9\nseeds = [4, 2]"]
    spec = notebook(Activations, *cells)
    assert (spec.scale, spec.steps, spec.seeds) == ("smoke", 9, (4, 2))


def test_without_a_history_of_cells_the_parameters_still_count():
    """nbval runs cells without a history; a notebook must not fall back to its defaults there."""
    spec = Algorithm.from_notebook([""], {"scale": "smoke", "dataset": "digits", "m": 7, "np": None})
    assert (spec.scale, spec.m) == ("smoke", 7)


def test_a_wrong_value_in_a_notebook_is_refused_too():
    with pytest.raises(ParameterError, match="steps must be a whole number at least 1, but it is -5"):
        notebook(Algorithm, "# Parameters\nsteps = None", "# Parameters\nsteps = -5")


def test_absent_data_is_no_question_of_parameters(tmp_path, monkeypatch):
    """MNIST by name, where it is not: the question is good, loading says what to do."""
    monkeypatch.setenv("BN_DATA", str(tmp_path))
    assert Activations(dataset="mnist").dataset == "mnist"
    with pytest.raises(datasets.DataError, match="make data"):
        datasets.load("mnist")
    assert Activations().dataset == "digits"
    with pytest.raises(ParameterError, match=r"scale 'paper' needs MNIST.*`make data`.*BN_DATA"):
        Activations(scale="paper")


@pytest.mark.parametrize("kind", [Algorithm, Activations])
@pytest.mark.parametrize(("scale", "dataset"), SIZES)
def test_every_scale_resolves_and_the_language_makes_no_difference(kind, scale, dataset):
    english, arabic = (kind(scale=scale, dataset=dataset, language=language) for language in ("en", "ar"))
    assert english.as_dict() == arabic.as_dict()
    assert "language" not in english.as_dict()
    assert english.seeds == tuple(range(SIZES[scale, dataset].seeds))
    assert english.size.grid_seeds <= english.size.seeds
    if kind is Activations:
        assert english.steps == SIZES[scale, dataset].steps


def test_seeds_are_a_number_or_a_list():
    assert DigitSpec(dataset="digits", seeds=3).seeds == (0, 1, 2)
    assert DigitSpec(dataset="digits", seeds=(7, 3)).seeds == (7, 3)
    assert DigitSpec(dataset="digits").seeds == (0, 1, 2)


def test_the_scale_of_the_paper_is_the_papers():
    spec = Activations(scale="paper", dataset="mnist")
    setting = spec.setting("bn", spec.steps, spec.learning_rate, spec.weight_std)
    assert (setting.steps, setting.batch, setting.dataset) == (50_000, 60, "mnist")


def test_what_is_asked_reaches_the_training():
    spec = Activations(scale="smoke", dataset="digits", batch=32, learning_rate=2, rates=(1.0, 2.0), weight_stds=(0.1,))
    setting = spec.setting("plain", 500, spec.learning_rate, 0.3)
    assert (setting.network, setting.batch, setting.learning_rate, setting.weight_std) == ("plain", 32, 2, 0.3)
    assert (setting.steps, setting.every) == (500, 5)
    assert spec.setting("plain", 7, 1.0, 0.1).every == 1
    assert (spec.rates, spec.weight_stds) == ((1.0, 2.0), (0.1,))
    both = Activations(scale="smoke", dataset="digits", rates=(1.0, 2.0), weight_stds=(0.1, 0.3))
    assert both.cells() == [(1.0, 0.1), (1.0, 0.3), (2.0, 0.1), (2.0, 0.3)], "rates outermost, as the figure reads them"
    assert Activations(dataset="digits", unit=99, batch=1_257).unit == 99


def test_the_questions_are_frozen_and_take_names_only():
    with pytest.raises(AttributeError):
        Algorithm(dataset="digits").m = 3
    with pytest.raises(TypeError):
        Algorithm("cpu")
