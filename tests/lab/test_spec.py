"""A wrong parameter is refused at once, in one sentence that names it and says what is allowed."""

import math
from dataclasses import fields

import pytest
import yaml

from bn.lab import registry
from bn.lab.chapters.activations.spec import Activations
from bn.lab.chapters.algorithm.spec import Algorithm
from bn.lab.data import datasets
from bn.lab.spec import DATASETS, ParameterError, batch
from bn.lab.train.specs import SIZES, DigitSpec

ENORMOUS = [10**12, 2**64, 10**400, 10**5_000]  # the last has more digits than Python writes
NOT_WHOLE = [True, "5", 5.0, [5], math.nan, math.inf, -1, 0, *ENORMOUS]
NOT_A_NUMBER = [0, -0.5, 0.0, 1e-30, 1e30, math.nan, math.inf, "0.5", True, [0.5], *ENORMOUS]
BAD_FOR_ALL = [
    *[("scale", value, "'smoke', 'cpu', 'gpu', 'paper'") for value in ("huge", "CPU", "", None, 1, ["cpu"])],
    *[("language", value, "'en', 'ar'") for value in ("fr", "EN", None)],
    *[("dataset", value, "'auto', 'digits', 'mnist'") for value in ("cifar", "MNIST", None, 3)],
    *[("steps", value, "from 1 to 1,000,000,000, but") for value in NOT_WHOLE],
    *[("seeds", value, "from 1 to 1,000, a list of different seeds") for value in (*NOT_WHOLE[:3], *NOT_WHOLE[4:])],
    ("seeds", 1_001, "from 1 to 1,000"),
    *[("seed", value, "from 0 to 9,223,372,036,854,775,807") for value in ((0, -1), (0, "1"), (0, True), (1.0,))],
    *[("seed", (value,), "from 0 to 9,223,372,036,854,775,807") for value in (2**63, *ENORMOUS[1:])],
    *[("seeds", value, "different") for value in ((), (1, 1), (0, 1, 0), tuple(range(1_001)))],
]
BAD = [
    *[(kind, *case) for kind in (Algorithm, Activations) for case in BAD_FOR_ALL],
    *[(Algorithm, "m", value, "from 2 to 1,000") for value in (*NOT_WHOLE, 1, 1_001)],
    *[(Algorithm, "features", value, "from 1 to 100") for value in (*NOT_WHOLE, 101)],
    *[(Algorithm, "eps", value, "from 1e-12 to 1") for value in (*NOT_A_NUMBER, 1e-13, 1.1)],
    *[(Activations, "learning_rate", value, "from 1e-09 to 1,000,000") for value in (*NOT_A_NUMBER, 1_000_001)],
    *[(Activations, "weight_std", value, "from 1e-06 to 1,000") for value in (*NOT_A_NUMBER, 1_001)],
    *[(Activations, "rates", value, "1 to 100 numbers from 1e-09") for value in (0.5, (), "0.5", (0.5,) * 101)],
    *[(Activations, "rates", (0.5, value), "from 1e-09 to 1,000,000") for value in NOT_A_NUMBER],
    *[(Activations, "weight_stds", value, "from 1e-06 to 1,000") for value in (0.01, (), (-0.1,), (True,), (1e30,))],
    *[(Activations, "unit", value, "from 0 to 99") for value in (-1, 100, True, 1.0, "3", *ENORMOUS)],
    *[(Activations, "batch", v, "from 2 to 1,257, the number of training") for v in (*NOT_WHOLE, 1, 1_258, None)],
]


def shortened(value: object) -> str | None:
    """The name of a case; pytest would write out the enormous numbers."""
    try:
        return repr(value)[:40]
    except ValueError:
        return "enormous"


def notebook(kind, *cells: str):
    """What a notebook with these cells asks."""
    namespace = {}
    for cell in cells:
        exec(cell, namespace)
    return kind.from_notebook(["", *cells], namespace)


@pytest.mark.parametrize(("kind", "name", "value", "allowed"), BAD, ids=shortened)
def test_a_wrong_value_is_refused(kind, name, value, allowed):
    asked = {"dataset": "digits", ("seeds" if name == "seed" else name): value}
    with pytest.raises(ParameterError) as caught:
        kind(**asked)
    message = str(caught.value)
    assert name in message and allowed in message
    assert "\n" not in message and len(message) < 250
    assert isinstance(value, tuple | list) or message.endswith((f" {value!r}", "…") if value != 10**5_000 else "number")


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


ASK = "spec = kind.from_notebook(In, globals())"
OWN = "# Parameters\nscale = 'smoke'\ndataset = 'digits'\nm = 7"
SLIP = OWN.replace("m =", "mm =")
ADDED, ADDED_SLIP = "# Parameters\nscale = 'smoke'", "# Parameters\nscale = 'smoke'\nmm = 7"  # by papermill


def last_answer(cells: list[str]) -> object:
    """What the last of the cells that ask gets, a specification or an error, in a kernel that runs all of them."""
    answer, namespace = None, {"In": [""], "kind": Algorithm}
    for cell in cells:
        namespace["In"].append(cell)
        try:
            exec(cell, namespace)
            answer = namespace["spec"] if ASK in cell else answer
        except Exception as error:
            answer = error if ASK in cell else answer
    return answer


@pytest.mark.parametrize(
    "cells",
    [
        [SLIP, ASK, OWN, ASK],
        [SLIP, OWN, ASK],
        [SLIP, ASK, ASK, OWN, ASK, "x = 1", ASK],
        [SLIP, ASK, OWN.replace("scale = 'smoke'\n", ""), ASK],
        [SLIP, ADDED, ASK, OWN, ADDED, ASK],
        [OWN, ADDED_SLIP, ASK, OWN, ADDED, ASK],
        [OWN, ADDED_SLIP, ADDED, ASK],
        [OWN, ADDED_SLIP, ADDED.replace("scale = 'smoke'", "m = 7"), ASK, OWN, ASK],
        ["# Parameters\nmm = (", OWN, ASK],
        ["# Parameters\nmm = nowhere", ASK, OWN, ASK],
        [OWN, "mm = 3", ASK],
        [f"{OWN}\nseeds = [seed for seed in range(2)]", ASK],
        [SLIP, ASK, "del mm\nm = 7", ASK],
        [f"{SLIP}\n{ASK}", f"{OWN}\n{ASK}", f"{OWN}\n{ASK}"],
    ],
)
def test_a_slip_that_was_mended_is_forgotten(cells):
    """Run again from the top, from the cell of parameters, or with the variable deleted; what it left is no matter."""
    assert last_answer(cells).m == 7


@pytest.mark.parametrize(
    "cells",
    [
        [SLIP, ASK],
        [SLIP, ASK, ASK],
        [SLIP, "x = 1", ASK],
        [OWN, ASK, SLIP, ASK],
        [SLIP, ASK, "del mm", SLIP, ASK],
        [OWN, ASK, f"{SLIP}\n{ASK}"],
        [OWN, ADDED_SLIP, ASK],
        [SLIP, ADDED, ASK],
        [SLIP, "x = 1", ADDED, ASK],
        [SLIP, "# Parameters\nm = (", ASK],
        [f"\n# of my own\n\n{SLIP}", ASK],
        [f'"""Of my own."""\n{SLIP}', ASK],
        [f"import math\n\n{SLIP}", ASK],
    ],
)
def test_a_slip_is_told_until_it_is_mended(cells):
    """Whatever stands above `# Parameters`, and whatever runs in between."""
    answer = last_answer(cells)
    assert isinstance(answer, ParameterError) and str(answer).startswith("unknown parameter 'mm'; this notebook's")


def test_a_number_that_yaml_takes_for_text_is_explained():
    given = yaml.safe_load("rates: [1e-1, 1]\nlearning_rate: 1e-1\nwritten: 1.0e-1")
    assert given["written"] == 0.1
    for name in ("rates", "learning_rate"):
        value = given[name] if name == "learning_rate" else tuple(given[name])
        with pytest.raises(ParameterError, match=rf"{name} must be .* '1e-1', a text: in YAML .* as in 1\.0e-1$"):
            Activations(scale="smoke", dataset="digits", **{name: value})


EVERY_PARAMETER = [(name, field.name) for name in registry.names() for field in fields(registry.experiment(name).spec)]


@pytest.mark.parametrize(("chapter", "parameter"), EVERY_PARAMETER)
def test_no_value_of_any_parameter_gets_past_the_checks(chapter, parameter):
    """What no one can want is refused by the parameter's name; nothing else is raised, and no memory is taken."""
    kind = registry.experiment(chapter).spec
    for value in (
        *ENORMOUS,
        -1,
        0.5j,
        1e30,
        math.nan,
        math.inf,
        True,
        "",
        "x" * 10**6,
        (),
        (1e30,),
        {},
        b"1",
        object(),
    ):
        with pytest.raises(ParameterError) as caught:
            kind(**({"scale": "smoke", "dataset": "digits"} | {parameter: value}))
        message = str(caught.value)
        assert parameter.rstrip("s") in message.split(" must be ")[0]
        assert "\n" not in message and len(message) < 250


def test_a_wrong_value_in_a_notebook_is_refused_too():
    with pytest.raises(ParameterError, match="steps must be a whole number from 1 to 1,000,000,000, but it is -5"):
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
    seeds = english.size.seeds
    assert english.seeds == (seeds if isinstance(seeds, tuple) else tuple(range(seeds)))
    if kind is Activations:
        assert english.steps == english.size.steps
        assert not {*english.size.grid_seeds} & {*english.seeds}, "settings are chosen by seeds that are not reported"


def test_seeds_by_which_settings_are_chosen_cannot_be_asked():
    with pytest.raises(ParameterError, match=r"seeds must leave out 2100 to 2104, by which .* but 2103 is among them$"):
        Activations(scale="smoke", dataset="digits", seeds=(1, 2103))


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


# ---- The batch -----------------------------------------------------------------------------------


def test_the_batch_knows_every_data_set():
    """By a list of its own, as it imports no chapter."""
    sizes = [registry.experiment(name).spec.sizes for name in registry.names()]
    assert set(DATASETS) == {"auto", *(dataset for of_chapter in sizes for _, dataset in of_chapter)}


@pytest.mark.parametrize(
    ("config", "parameters", "out"),
    [
        ({}, {"scale": "cpu"}, "build"),
        ({"scale": "cpu", "dataset": "auto", "seeds": None, "steps": "None"}, {"scale": "cpu"}, "build"),
        ({"scale": "gpu", "dataset": "mnist", "steps": 7}, {"scale": "gpu", "dataset": "mnist", "steps": 7}, "build"),
        ({"seeds": 3}, {"scale": "cpu", "seeds": 3}, "build"),
        *[({"seeds": value}, {"scale": "cpu", "seeds": (0, 7)}, "build") for value in (["0", "7"], "[0, 7]", "(0, 7)")],
        ({"steps": "12", "out": "my [book] #2"}, {"scale": "cpu", "steps": 12}, "my [book] #2"),
        ({"out": 2026}, {"scale": "cpu"}, "2026"),
    ],
)
def test_settings_of_the_batch_have_their_types(config, parameters, out):
    assert batch(config) == (parameters, out)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("sclae", "smoke", "unknown setting 'sclae'; the settings of the batch are scale, dataset, seeds, steps, out"),
        ("language", "ar", "unknown setting 'language'; the settings of the batch are"),
        *[("scale", value, "scale must be one of 'smoke', 'cpu', 'gpu', 'paper', but") for value in ("x", 1, [], {})],
        *[("dataset", value, "dataset must be one of 'auto', 'digits', 'mnist', ") for value in ("x", True, ["mnist"])],
        *[("steps", value, "steps must be a whole number from 1 to ") for value in (0, 1e3, "1e3", "x", [1], 10**12)],
        *[("seeds", value, "seeds must be a whole number from 1 to 1,000, a list") for value in (0, "x", 1e3, 10**9)],
        *[("seeds", value, "seeds must be ") for value in ([], ["1", "1"], "[" * 10**5, "9" * 5_000)],
        *[("seeds", value, "every seed must be ") for value in (["x"], ["-1"], [str(2**64)], ["1.5"], [["1"]])],
        *[("out", value, "out must be a folder's path") for value in ("", "-x", "{name}", "a\nb", "\0", ["x"], 1.5)],
    ],
)
def test_a_wrong_setting_of_the_batch_is_refused(name, value, sentence):
    with pytest.raises(ParameterError) as caught:
        batch({name: value})
    message = str(caught.value)
    assert message.startswith(sentence) and "\n" not in message and len(message) < 250
