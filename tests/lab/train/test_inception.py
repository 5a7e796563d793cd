"""The network of Figure 5 against arithmetic from its rows and against hand-made layers."""

import math
import re
from dataclasses import replace

import pytest
import torch
from figure5 import BUILT, MODULES, convolutions
from networks import randomize
from torch import nn
from torch.nn import functional as F

import bn
from bn.fold import Fixed
from bn.lab.architectures import FIGURE_5, GOOGLENET, Row
from bn.lab.train.inception import Inception, InceptionModule, Style

SHORT = tuple(row for row in FIGURE_5 if row.kind != "inception" or row.name in ("3c", "5b"))
# With these projections the branches of 4c and 4d add up to the 576 channels that the figure prints.
NARROWED = tuple(replace(row, proj=96) if row.name in ("4c", "4d") else row for row in FIGURE_5)


def build(**options) -> Inception:
    """A network that has shapes and no numbers."""
    with torch.device("meta"):
        return Inception(**options).eval()


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
    plain, normalized = (size(build(batch_norm=flag)) for flag in (False, True))
    assert plain == weights + maps + last
    assert normalized == weights + 2 * maps + last  # gamma and beta come, the bias goes


def test_googlenet_has_its_known_number_of_parameters():
    """6,998,552 without auxiliary classifiers, as its published Caffe model has."""
    assert size(build(table=GOOGLENET, five_by_five=True, batch_norm=False)) == 6_998_552


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
    net = build(width=width, size=8)
    found = shapes(net, torch.empty(1, 3, 8, 8, device="meta"))
    assert sum(isinstance(layer, nn.Conv2d) for layer in net.modules()) == len(convolutions())
    one, _, three, _, double, proj = (max(1, round(width * c)) for c in MODULES["5b"])
    assert (found["conv2"][0], found["5b"][0]) == (max(1, round(192 * width)), one + three + double + proj)


@pytest.mark.parametrize("table", [FIGURE_5, NARROWED, SHORT], ids=["figure 5", "narrowed", "3c and 5b"])
@pytest.mark.parametrize(
    ("width", "branches"),
    [(1 / 24, (15, 13, 9, 5)), (1 / 3, (117, 107, 75, 43)), (0.7, (246, 224, 157, 90))],
    ids=["1/24", "1/3", "0.7"],
)
def test_the_last_layer_takes_what_the_rounded_branches_of_the_last_module_give(width, branches, table):
    """352, 320, 224 and 128 of 5b, each rounded: 42 in the place of round(1024 / 24) = 43."""
    net = build(width=width, size=8, table=table)
    x = torch.empty(2, 3, 8, 8, device="meta")
    assert shapes(net, x)["5b"][0] == sum(branches)
    assert net.softmax.in_features == sum(branches) and net(x).shape == (2, 1000)


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


@pytest.mark.parametrize("options", [{"batch_norm": False}, {}, {"per_activation": True}], ids=str)
def test_the_gradient_is_the_slope(options):
    """Along a random direction of all parameters, against a central difference in float64."""
    net = Inception(4, 1 / 32, 8, 1, activation="sigmoid", **options).double()
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


@pytest.mark.parametrize("grid", [0, 9], ids=["plain", "each activation by itself"])
@pytest.mark.parametrize(("stride", "pool", "proj"), [(1, "avg", 5), (1, "max", 5), (2, "max", 0), (2, "max", 5)])
def test_a_module_is_its_branches_one_behind_the_other(stride, pool, proj, grid):
    one = 4 if stride == 1 else 0
    row = Row("x", "inception", 0, stride, 0, 0, 3, one, 3, 6, 2, 7, pool, proj)
    style = Style(batch_norm=grid > 0, activation="relu", five_by_five=False, grid=grid)
    module = InceptionModule(8, row, style).double()
    layers = iter([layer for layer in module.modules() if isinstance(layer, nn.Conv2d)])
    x = torch.randn(5, 8, 9, 9, dtype=torch.float64)

    def conv(u, step=1):
        layer = next(layers)
        patch = layer.kernel_size[0]
        y = F.conv2d(u, layer.weight, layer.bias, step, patch // 2)
        if grid:
            y = (y - y.mean(0)) / (y.var(0, correction=0) + 1e-5).sqrt()
        return y.clamp(min=0)

    expected = [conv(x)] if stride == 1 else []
    expected += [conv(conv(x), stride), conv(conv(conv(x)), stride)]
    if pool == "max":
        pooled = F.pad(x, (1, 1, 1, 1), value=-math.inf).unfold(2, 3, stride).unfold(3, 3, stride).amax((4, 5))
    else:
        ones = F.conv2d(torch.ones(1, 1, 9, 9).double(), torch.ones(1, 1, 3, 3).double(), padding=1)
        pooled = F.pad(x, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1).sum((4, 5)) / ones
    expected.append(conv(pooled) if proj else pooled)
    y = module(x)
    assert y.shape[1] == module.outputs == one + 6 + 7 + (proj or 8)
    torch.testing.assert_close(y, torch.cat(expected, 1))


def test_the_separable_layer_is_a_convolution_with_a_composed_kernel():
    net = Inception(2, 1 / 8, 16, batch_norm=False, separable=True).double()
    deep, across = (layer for layer in net.rows.conv1 if isinstance(layer, nn.Conv2d))
    assert deep.weight.shape == (3 * 8, 1, 7, 7) and deep.bias is None
    kernel = torch.einsum("ock,ckhw->ochw", across.weight.view(8, 3, 8), deep.weight.view(3, 8, 7, 7))
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(net.rows.conv1(x), F.conv2d(x, kernel, across.bias, 1, 3).clamp(min=0))


def test_a_seed_draws_the_same_weights_with_and_without_bn():
    options = ({"batch_norm": False}, {}, {"per_activation": True}, {"seed": 6})
    nets = [Inception(4, 1 / 16, 8, **({"seed": 5} | option)) for option in options]
    plain, *normalized, different = (
        [layer.weight for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)] for net in nets
    )
    assert all(torch.equal(a, b) for weights in normalized for a, b in zip(plain, weights, strict=True))
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
    normalized = {name for name, layer in net.named_modules() if isinstance(layer, nn.LocalResponseNorm)}
    assert {name.rsplit(".", 1)[0] for name in normalized} == {"rows.pool1", "rows.conv2"}
    assert size(net) == size(without)
    x = torch.randn(2, 3, 32, 32)
    assert not torch.equal(net(x), net(x)) and torch.equal(without(x), without(x))
    assert torch.equal(net.eval()(x), net(x))


@pytest.mark.parametrize("options", [{"batch_norm": False}, {"activation": "sigmoid"}, {"separable": True}], ids=str)
def test_weight_scale_multiplies_the_weights_of_every_convolution_and_nothing_else(options):
    net, scaled = (Inception(4, 1 / 16, 8, weight_scale=scale, **options) for scale in (1.0, 3))
    kernels = {f"{name}.weight" for name, layer in net.named_modules() if isinstance(layer, nn.Conv2d)}
    found = scaled.state_dict()
    assert len(kernels) == len(convolutions()) + ("separable" in options)
    for name, tensor in net.state_dict().items():
        assert torch.equal(found[name], 3 * tensor if name in kernels else tensor), name


@pytest.mark.parametrize("options", [{}, {"activation": "sigmoid"}, {"per_activation": True}], ids=str)
def test_bn_sees_the_scale_of_the_weights_through_eps_alone(options):
    """Convolutions scaled by a are BN's inputs scaled by a: with a²·eps in the place of eps nothing changes."""
    net, scaled = (Inception(4, 1 / 32, 9, weight_scale=scale, **options).double() for scale in (1, 4))  # exact
    x = torch.randn(6, 3, 9, 9, dtype=torch.float64)
    assert not torch.allclose(net(x), scaled(x), rtol=1e-9)
    for layer in scaled.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.eps *= 16
    torch.testing.assert_close(net(x), scaled(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("pixels", [9, 11, 16])  # of 8, the 3×3 pools of 5a and 5b see the whole 2×2: a constant map
def test_only_the_last_module_normalizes_each_activation_by_itself(pixels):
    net, fed = Inception(2, 1 / 32, pixels, activation="sigmoid", per_activation=True).double(), {}
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Sigmoid):
            layer.register_forward_pre_hook(lambda _layer, inputs, name=name: fed.update({name: inputs[0]}))
    net(1e3 * torch.randn(32, 3, pixels, pixels, dtype=torch.float64))
    alone = {name: x for name, x in fed.items() if x.mean(0).abs().max() < 1e-9}
    assert set(alone) == {name for name in fed if name.startswith("rows.5b.")} and len(alone) == 7
    assert all(0.8 < x.var(0, correction=0).median() < 1 for x in alone.values())  # eps counts where little varies


@pytest.mark.parametrize(("pixels", "grid"), [(8, 2), (9, 3), (11, 3), (16, 4), (56, 7), (100, 13), (224, 7)])
def test_each_activation_of_the_last_module_has_its_own_numbers(pixels, grid):
    """At width 1/32 the seven layers of 5b have 11 + 6 + 10 + 6 + 7 + 7 + 4 = 51 feature maps."""
    maps, alone = (build(width=1 / 32, size=pixels, per_activation=flag) for flag in (False, True))
    more = 51 * (grid**2 - 1)
    assert size(alone) - size(maps) == 2 * more  # gamma and beta
    kept, kept_alone = ([buffer.numel() for buffer in net.buffers()] for net in (maps, alone))
    assert len(kept_alone) == len(kept) == 3 * len(convolutions())  # mean, variance and how many mini-batches
    assert sum(kept_alone) - sum(kept) == 2 * more
    x = torch.empty(2, 3, pixels, pixels, device="meta")
    assert shapes(alone, x) == shapes(maps, x)


def test_per_activation_in_training_and_inference_and_with_channels_last():
    net, x = Inception(4, 1 / 32, 9, per_activation=True), torch.randn(6, 3, 9, 9)
    y = net(x)
    with pytest.raises(ValueError, match="more than 1 value"):
        net(x[:1])  # enough for feature maps
    torch.testing.assert_close(net.eval()(x)[:1], net(x[:1]), rtol=1e-4, atol=1e-5)
    net = net.train().to(memory_format=torch.channels_last)
    torch.testing.assert_close(net(x.contiguous(memory_format=torch.channels_last)), y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_fold_gives_what_inference_gives_where_each_activation_is_normalized_by_itself(activation):
    torch.manual_seed(0)
    net = randomize(Inception(4, 1 / 32, 9, activation=activation, per_activation=True)).eval()
    x = torch.randn(3, 3, 9, 9, dtype=torch.float64)
    with pytest.warns(UserWarning, match="code of its own"):
        folded = bn.fold(net)
    layers = [layer for layer in folded.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert layers and all(isinstance(layer, Fixed) for layer in layers)
    torch.testing.assert_close(folded(x), net(x), rtol=1e-12, atol=1e-12)


def test_per_activation_needs_bn():
    with pytest.raises(ValueError, match=r"^per_activation must be False where batch_norm is, but it is True$"):
        Inception(2, 1 / 32, 8, batch_norm=False, per_activation=True)


BAD = [
    *[(name, x, "a number above 0") for name in ("width", "weight_scale") for x in (0, -1.0, "1", True, None)],
    *[(name, x, "a number above 0") for name in ("width", "weight_scale") for x in (math.nan, math.inf)],
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
