"""The network of Figure 5 against arithmetic from its rows, against hand-made layers, and its counts by hand."""

import math
import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bn.lab import claims, data, experiments, inception_counts, inception_figures, show, text
from bn.lab.inception import FIGURE_5, GOOGLENET, Inception, InceptionModule, Row, _Style

# Typed again from the paper, by another hand than the table: (1×1, 3×3 reduce, 3×3, reduce, double 3×3, projection)
MODULES = {
    "3a": (64, 64, 64, 64, 96, 32),
    "3b": (64, 64, 96, 64, 96, 64),
    "3c": (0, 128, 160, 64, 96, 0),
    "4a": (224, 64, 96, 96, 128, 128),
    "4b": (192, 96, 128, 96, 128, 128),
    "4c": (160, 128, 160, 128, 160, 128),
    "4d": (96, 128, 192, 160, 192, 128),
    "4e": (0, 128, 192, 192, 256, 0),
    "5a": (352, 192, 320, 160, 224, 128),
    "5b": (352, 192, 320, 192, 224, 128),
}
# What the widths and strides make of it: 3c and 4e halve the image, 4c and 4d have 608 channels and 4e 448 more.
BUILT = {
    "conv1": (64, 112, 112),
    "pool1": (64, 56, 56),
    "conv2": (192, 56, 56),
    "pool2": (192, 28, 28),
    "3a": (256, 28, 28),
    "3b": (320, 28, 28),
    "3c": (576, 14, 14),
    "4a": (576, 14, 14),
    "4b": (576, 14, 14),
    "4c": (608, 14, 14),
    "4d": (608, 14, 14),
    "4e": (1056, 7, 7),
    "5a": (1024, 7, 7),
    "5b": (1024, 7, 7),
    "pool": (1024, 1, 1),
}
PIXELS = {"conv1": 112, "conv2": 56} | {name: BUILT[name][1] for name in MODULES}


def convolutions() -> list[tuple[str, int, int, int, int]]:
    """Every convolution of Figure 5: (row, inputs, outputs, patch, pixels of its output in one direction)."""
    found = [("conv1", 3, 64, 7, 112), ("conv2", 64, 64, 1, 56), ("conv2", 64, 192, 3, 56)]
    inputs, before = 192, 28
    for name, (one, reduce3, three, reduce5, double, proj) in MODULES.items():
        after = PIXELS[name]
        found += [(name, inputs, reduce3, 1, before), (name, reduce3, three, 3, after)]
        found += [(name, inputs, reduce5, 1, before), (name, reduce5, double, 3, before)]
        found += [(name, double, double, 3, after)]
        found += [(name, inputs, width, 1, after) for width in (one, proj) if width]
        inputs, before = one + three + double + (proj or inputs), after
    return found


def shapes(net: Inception, images: torch.Tensor) -> dict[str, tuple]:
    found = {}
    for name, row in net.rows.named_children():
        row.register_forward_hook(
            lambda _row, _inputs, output, name=name: found.update({name: tuple(output.shape[1:])})
        )
    net(images)
    return found


def size(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.fixture(scope="module")
def readings():
    return inception_counts.readings()


@pytest.fixture(scope="module")
def measured(readings):
    return inception_counts.measure(readings)


# ---- The network ---------------------------------------------------------------------------------


def test_every_row_has_its_size_at_full_size():
    with torch.no_grad():
        assert shapes(Inception().eval(), torch.randn(1, 3, 224, 224)) == BUILT


def test_the_table_is_the_papers():
    rows = {row.name: row for row in FIGURE_5 if row.kind == "inception"}
    assert {n: (r.one, r.three_reduce, r.three, r.double_reduce, r.double, r.proj) for n, r in rows.items()} == MODULES
    assert [row.name for row in FIGURE_5] == list(BUILT)
    assert [n for n, r in rows.items() if r.pool == "max"] == ["3c", "4e", "5b"]
    assert [n for n, r in rows.items() if r.stride == 2] == ["3c", "4e"]
    printed = {name: (c, h, h) for name, (c, h, _) in BUILT.items()}
    printed |= {"3c": (576, 28, 28), "4c": (576, 14, 14), "4d": (576, 14, 14), "4e": (1024, 14, 14)}  # its slips
    assert {row.name: (row.channels, row.grid, row.grid) for row in FIGURE_5} == printed


def test_parameters_with_and_without_bn_by_arithmetic():
    weights = sum(i * o * k * k for _, i, o, k, _ in convolutions())
    maps = sum(o for _, _, o, _, _ in convolutions())
    last = 1024 * 1000 + 1000
    plain, normalized = (size(inception_counts.build(batch_norm=flag)) for flag in (False, True))
    assert plain == weights + maps + last
    assert normalized == weights + 2 * maps + last  # gamma and beta come, the bias goes


def test_googlenet_has_its_known_number_of_parameters():
    """6,998,552 without auxiliary classifiers, as its published Caffe model has."""
    assert size(inception_counts.build(table=GOOGLENET, five_by_five=True, batch_norm=False)) == 6_998_552


def test_narrowed_projections_make_the_printed_channels(readings):
    assert [row["shape"][0] for row in readings["narrowed"][:-1]] == [row.channels for row in FIGURE_5]


@pytest.mark.parametrize(
    ("pixels", "at_3a", "at_5b"),
    [(8, 8, 2), (16, 16, 4), (28, 28, 7), (32, 32, 8), (56, 28, 7), (64, 32, 8), (100, 50, 13), (112, 28, 7)],
)
def test_a_small_image_skips_halvings_before_the_modules(pixels, at_3a, at_5b):
    net = Inception(classes=5, width=1 / 32, size=pixels, channels=1).eval()
    with torch.no_grad():
        found = shapes(net, torch.randn(2, 1, pixels, pixels))
        assert net(torch.randn(2, 1, pixels, pixels)).shape == (2, 5)
    assert (found["3a"][1:], found["5b"][1:]) == ((at_3a, at_3a), (at_5b, at_5b))


def test_the_earliest_halvings_fall_away():
    with torch.no_grad():
        found = shapes(Inception(2, 1 / 32, 64).eval(), torch.randn(1, 3, 64, 64))
    assert [found[name][1] for name in ("conv1", "pool1", "conv2", "pool2", "3a")] == [64, 64, 64, 32, 32]


@pytest.mark.parametrize("width", [0.01, 0.3, 2])
def test_the_width_multiplies_the_channels(width):
    net = inception_counts.build(width=width, size=8)
    found = shapes(net, torch.empty(1, 3, 8, 8, device="meta"))
    assert sum(isinstance(layer, nn.Conv2d) for layer in net.modules()) == len(convolutions())
    one, _, three, _, double, proj = (max(1, round(width * c)) for c in MODULES["5b"])
    assert (found["conv2"][0], found["5b"][0]) == (max(1, round(192 * width)), one + three + double + proj)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_gradient_reaches_every_parameter(batch_norm, activation):
    net = Inception(10, 1 / 16, 16, batch_norm=batch_norm, activation=activation, separable=True, lrn=True)
    torch.manual_seed(0)
    F.cross_entropy(net(torch.randn(8, 3, 16, 16)), torch.arange(8)).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_every_sigmoid_is_fed_with_mean_0_and_variance_1():
    net, fed = Inception(2, 1 / 32, 8, activation="sigmoid"), []
    for layer in net.modules():
        if isinstance(layer, nn.Sigmoid):
            layer.register_forward_pre_hook(lambda _layer, inputs: fed.append(inputs[0].transpose(0, 1).flatten(1)))
    net(1e3 * torch.randn(64, 3, 8, 8))
    assert len(fed) == len(convolutions())
    assert max(x.mean(1).abs().max() for x in fed) < 1e-3
    assert max((x.var(1, correction=0).median() - 1).abs() for x in fed) < 0.2  # eps counts where little varies


@pytest.mark.parametrize("batch_norm", [False, True], ids=["plain", "bn"])
def test_the_gradient_is_the_slope(batch_norm):
    """Along a random direction of all parameters, against a central difference in float64."""
    net = Inception(4, 1 / 32, 8, 1, batch_norm=batch_norm, activation="sigmoid").double()
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(6, 1, 8, 8, generator=generator, dtype=torch.float64)
    upstream = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    (net(x) * upstream).sum().backward()
    start = [p.detach().clone() for p in net.parameters()]
    along = [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in start]
    slope = sum((p.grad * d).sum() for p, d in zip(net.parameters(), along, strict=True)).item()

    @torch.no_grad()
    def loss(h: float) -> float:
        for p, p0, d in zip(net.parameters(), start, along, strict=True):
            p.copy_(p0 + h * d)
        return (net(x) * upstream).sum().item()

    assert (loss(1e-6) - loss(-1e-6)) / 2e-6 == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize(("stride", "pool", "proj"), [(1, "avg", 5), (1, "max", 5), (2, "max", 0)])
def test_a_module_is_its_branches_one_behind_the_other(stride, pool, proj):
    row = Row("x", "inception", 0, stride, 0, 0, 3, 4 if stride == 1 else 0, 3, 6, 2, 7, pool, proj)
    module = InceptionModule(8, row, _Style(batch_norm=False, activation="relu", five_by_five=False)).double()
    layers = iter([layer for layer in module.modules() if isinstance(layer, nn.Conv2d)])
    x = torch.randn(2, 8, 9, 9, dtype=torch.float64)

    def conv(u, step=1):
        layer = next(layers)
        patch = layer.kernel_size[0]
        return F.conv2d(u, layer.weight, layer.bias, step, patch // 2).clamp(min=0)

    expected = [conv(x)] if stride == 1 else []
    expected += [conv(conv(x), stride), conv(conv(conv(x)), stride)]
    if pool == "max":
        pooled = F.pad(x, (1, 1, 1, 1), value=-math.inf).unfold(2, 3, stride).unfold(3, 3, stride).amax((4, 5))
    else:
        ones = F.conv2d(torch.ones(1, 1, 9, 9).double(), torch.ones(1, 1, 3, 3).double(), padding=1)
        pooled = F.pad(x, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1).sum((4, 5)) / ones
    expected.append(conv(pooled) if proj else pooled)
    y = module(x)
    assert y.shape[1] == module.outputs == (4 + 6 + 7 + 5 if proj else 6 + 7 + 8)
    torch.testing.assert_close(y, torch.cat(expected, 1))


def test_the_separable_layer_is_a_convolution_with_a_composed_kernel():
    net = Inception(2, 1 / 8, 16, batch_norm=False, separable=True).double()
    deep, across = (layer for layer in net.rows.conv1 if isinstance(layer, nn.Conv2d))
    assert deep.weight.shape == (3 * 8, 1, 7, 7) and deep.bias is None
    kernel = torch.einsum("ock,ckhw->ochw", across.weight.view(8, 3, 8), deep.weight.view(3, 8, 7, 7))
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(net.rows.conv1(x), F.conv2d(x, kernel, across.bias, 1, 3).clamp(min=0))


def test_a_seed_draws_the_same_weights_with_and_without_bn():
    nets = [Inception(4, 1 / 16, 8, batch_norm=flag, seed=5) for flag in (False, True)]
    other = Inception(4, 1 / 16, 8, seed=6)
    plain, normalized, different = (
        [layer.weight for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)] for net in (*nets, other)
    )
    assert all(torch.equal(a, b) for a, b in zip(plain, normalized, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(plain, different, strict=True))


def test_the_first_weights_have_the_stated_spread():
    wide = Inception(10, 0.5, 8)
    weight = wide.rows.get_submodule("5a").branches[1][1][0].weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (96 * 9)), rel=0.02)
    assert wide.softmax.weight.std().item() == pytest.approx(math.sqrt(2 / (512 + 10)), rel=0.05)
    assert not wide.softmax.bias.any()


def test_lrn_and_dropout_stand_where_googlenet_has_them():
    options = {"width": 1 / 16, "size": 32, "batch_norm": False}
    net, without = Inception(4, lrn=True, dropout=0.4, **options), Inception(4, **options)
    places = {name for name, layer in net.named_modules() if isinstance(layer, nn.LocalResponseNorm)}
    assert {name.rsplit(".", 1)[0] for name in places} == {"rows.pool1", "rows.conv2"}
    assert size(net) == size(without)
    x = torch.randn(2, 3, 32, 32)
    assert not torch.equal(net(x), net(x)) and torch.equal(without(x), without(x))
    assert torch.equal(net.eval()(x), net(x))


BAD = [
    *[("width", value, "above 0") for value in (0, -1.0, math.nan, math.inf, "1", True, None)],
    *[("size", value, "whole number at least 8") for value in (7, 0, 32.0, "32", True)],
    *[("classes", value, "whole number at least 2") for value in (1, 0, 10.0, None)],
    *[("channels", value, "whole number at least 1") for value in (0, 1.0)],
    *[("activation", value, "'relu' or 'sigmoid'") for value in ("tanh", None, "ReLU")],
    *[("dropout", value, "from 0 to below 1") for value in (-0.1, 1, 1.5, "0.4", math.nan, True)],
]


@pytest.mark.parametrize(("name", "value", "allowed"), BAD, ids=repr)
def test_a_wrong_argument_is_refused_in_one_sentence(name, value, allowed):
    with pytest.raises(ValueError, match=re.escape(allowed)) as caught:
        Inception(**({"width": 1 / 32, "size": 8} | {name: value}))
    message = str(caught.value)
    assert message.startswith(f"{name} must be ") and repr(value) in message and "\n" not in message


@pytest.mark.parametrize("shape", [(2, 3, 32, 33), (2, 1, 32, 32), (2, 3, 224, 224), (3, 32, 32), (2, 3072)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=re.escape("the images must have the shape (m, 3, 32, 32)")) as caught:
        Inception(2, 1 / 32, 32)(torch.zeros(shape))
    assert str(shape) in str(caught.value)


# ---- The counts ----------------------------------------------------------------------------------


def test_parameters_and_multiply_adds_of_every_row_by_arithmetic(readings):
    rows = {row["name"]: row for row in readings["figure 5 bn"]}
    for name in BUILT:
        mine = [c for c in convolutions() if c[0] == name]
        assert rows[name]["parameters"] == sum(i * o * k * k + 2 * o for _, i, o, k, _ in mine), name
        assert rows[name]["multiply_adds"] == sum(i * o * k * k * p * p for _, i, o, k, p in mine), name
        assert tuple(rows[name]["shape"]) == BUILT[name]
    assert (rows["softmax"]["parameters"], rows["softmax"]["multiply_adds"]) == (1_025_000, 1_024_000)


def test_the_depth_of_every_row_by_hand(readings):
    assert [row["depth"] for row in readings["figure 5 bn"]] == [1, 0, 2, 0, *[3] * 10, 0, 1]


def test_the_longest_path_counts_the_longer_branch():
    deep = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 3, padding=1))
    x = torch.randn(1, 2, 4, 4)
    joined = torch.cat([deep(x), nn.Conv2d(2, 2, 1)(x), x], 1)
    assert inception_counts.weight_layers(x) == 0
    assert inception_counts.weight_layers(joined) == 2
    assert inception_counts.weight_layers(nn.Linear(6, 2)(joined.mean((2, 3)))) == 3


def test_every_claim_by_hand(measured):
    found = {claim: {name: value for name, (value,) in values.items()} for claim, values in measured.items()}
    weights = sum(i * o * k * k for _, i, o, k, _ in convolutions())
    most = weights + 2 * sum(o for _, _, o, _, _ in convolutions()) + 1_025_000
    assert found["inception-params"]["missing"] == 13_600_000 - most
    assert found["inception-5x5-split"] == {"larger_kernels": 0, "widest": 256}
    assert found["no-fc-layers"] == {"others": 0, "outputs": 1000}
    assert found["bn-all-nonlinearities"] == {"without_bn": 0, "layers": len(convolutions()), "changed": 0}
    assert found["app-depth9"] == {"deeper": 9}
    assert found["app-28x28-modules"] == {"before": 2, "after": 3}
    assert found["app-pooling"] == {"kinds": 2, "between": 0, "astray": 0}
    assert found["fig5-channel-sums"] == {"differ": 2, "modules": 10, "built": 3, "narrowed": 0}
    separable = 7 * 7 * 3 * 8 + 3 * 8 * 64
    saved = (7 * 7 * 3 * 64 - separable) * 112 * 112
    expected = {"saved": saved, "kept_more": 3 * 8 * 112 * 112, "weights": 9408, "weights_separable": separable}
    assert found["app-separable-first"] == expected


def test_what_replacing_the_5x5_costs_by_arithmetic(measured):
    """GoogLeNet's nine modules: two 3×3 of width c after r reduced channels, in the place of one 5×5."""
    fives = [(16, 32), (32, 96), (16, 48), (24, 64), (24, 64), (32, 64), (32, 128), (32, 128), (48, 128)]
    more = sum(9 * r * c + 9 * c * c + c - 25 * r * c for r, c in fives)
    (growth,) = measured["app-cost"]["parameters_same"]
    assert growth == pytest.approx(100 * more / 6_998_552)


REFUTED = {"inception-5x5-split", "inception-params", "app-cost", "fig5-channel-sums"}


def test_the_verdicts(measured):
    assert set(measured) == {name for name, claim in claims.ledger().items() if claim["experiment"] == "inception"}
    record = {"scale": "smoke", "papers_own_size": False, "rules": claims.rule_digests(), "measured": measured}
    verdicts = {name: claims.judge(name, record).verdict for name in measured}
    assert verdicts == {name: "not" if name in REFUTED else "verified" for name in measured}


def test_a_trial_is_the_same_again_and_its_loss_falls():
    split = data.load("digits").train
    options = {"width": 1 / 16, "size": 8}
    first, again = (inception_counts.trial(split, 4, 2, **options) for _ in range(2))
    assert {k: v for k, v in first.items() if k != "seconds"} == {k: v for k, v in again.items() if k != "seconds"}
    assert first["after"] < first["before"] and first["reached"] == 1.0
    assert inception_counts.trial(split, 5, 2, **options)["before"] != first["before"]


# ---- What the notebook shows ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def record(readings, measured):
    trial = {"parameters": 1, "multiply_adds": 2, "before": 2.3, "after": 2.1, "reached": 1.0}
    provenance = {"version": "0", "commit": "0" * 10, "dirty": False, "code": "", "data_sha256": "", "devices": []}
    provenance |= {"versions": {}, "compiled": [], "seeds": [0], "runs": 1, "training_seconds": 0}
    provenance |= {"finished": "", "command": ""}
    return {
        "scale": "smoke",
        "dataset": "digits",
        "papers_own_size": False,
        "asked": {"steps": 3, "seeds": [0]},
        "rules": claims.rule_digests(),
        "rows": readings["figure 5 bn"],
        "totals": inception_counts.totals(readings),
        "measured": measured,
        "trials": {"plain": [trial] * 2, "bn": [trial] * 2},
        "provenance": provenance,
    }


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_table_marks_what_differs_and_nothing_else(record, language):
    html = inception_figures.table(record, language).data
    marks = [re.sub("<[^>]*>", "", mark).split()[-1] for mark in re.findall("<mark>.*?</mark>", html)]
    assert marks == ["2", "14×14×576", "14×14×608", "14×14×608", "7×7×1056"]
    assert html.count("<tr>") == 1 + len(FIGURE_5)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_every_claim_and_figure_speaks_both_languages(record, language):
    shown = (
        show.cards(record, list(record["measured"]), language).data + inception_figures.trials(record, language).data
    )
    for draw in (inception_figures.rows, inception_figures.readings):
        drawing = draw(record, language)
        assert len(drawing.panels) == 2 and all(alt for _, alt in drawing.panels)
        shown += drawing.title + drawing.note
    assert not re.search(r"[{}]", re.sub("<[^>]*>", "", shown))
    assert bool(re.search("[\u0621-\u064a]", shown)) is (language == "ar")
    assert set(record["measured"]) <= set(text.FOUND)


def test_the_question_refuses_what_the_network_would():
    for name, value, allowed in (("width", 0, "above 0"), ("pixels", 7, "at least 8"), ("pixels", 14.0, "at least 8")):
        with pytest.raises(experiments.ParameterError, match=f"{name} must be .*{allowed}"):
            experiments.Inception(scale="smoke", dataset="digits", **{name: value})
