"""The benchmark that a person types: here the parts about the layers, at sizes that take no time."""

import re

import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm

import bn
from bn import functional
from bn.lab import bench


def test_an_input_lies_channels_last_and_far_away():
    seen = []

    def spy(x, *arguments, training):
        assert x.requires_grad
        seen.append([t.detach().clone() for t in (x, *arguments)])
        return batch_norm(x, *arguments, training)

    for shape in ((60, 100), (2, 3, 4, 5)):
        bench.normalization(spy, shape, 5e5, 8.0)()
        x, mean, var, weight, bias = seen.pop()
        assert x.shape == shape and x.movedim(1, -1).is_contiguous()
        assert x.mean() == pytest.approx(5e5, rel=1e-4) and x.std() == pytest.approx(8, rel=0.5)
        assert [t.shape for t in (mean, var, weight, bias)] == [shape[1:2]] * 4
        assert not mean.any() and not bias.any() and (var == 1).all() and (weight == 1).all()


def test_the_ratio_is_the_time_of_ours_over_torchs(monkeypatch):
    made = []

    def normalization(function, shape, mean, deviation):
        made.append(function)
        return function

    monkeypatch.setattr(bench, "normalization", normalization)
    monkeypatch.setattr(bench, "speed", lambda advance, steps: {functional.batch_norm: 2.0, batch_norm: 5.0}[advance])
    assert bench._times((2, 3), 0.0, 1.0) == [2.5] * bench.ROUNDS
    assert made == [functional.batch_norm, batch_norm]


def test_the_means_are_printed_a_shape_a_line(monkeypatch, capsys):
    for name, value in (("ROUNDS", 2), ("STEP_VALUES", 1), ("LAST", ((8, 4), (2, 3, 4, 4)))):
        monkeypatch.setattr(bench, name, value)
    threads = torch.get_num_threads()
    bench.means()
    assert torch.get_num_threads() == threads
    head, *lines = capsys.readouterr().out.strip("\n").split("\n")
    assert head == "Channels last, times torch  mean 0                    mean 5e5, deviation 8"
    found = r"\d+\.\d\d \(\d+\.\d\d to \d+\.\d\d\)"
    for shape, line in zip(("8 x 4", "2 x 3 x 4 x 4"), lines, strict=True):
        assert re.fullmatch(rf"{shape} +{found} +{found}", line)


FOUND = r" +\d+\.\d +\d+\.\d   \d+\.\d\d \(\d+\.\d\d to \d+\.\d\d\)"


def test_without_kernels_every_call_goes_to_them_and_none_is_launched(monkeypatch):
    from bn import launch

    launched = []
    for name in ("training", "backward", "inference"):
        monkeypatch.setattr(launch, name, lambda *arguments, name=name: launched.append(name))
    layers = bn.BatchNorm1d(3), bn.BatchNorm1d(3).eval()
    calls = [bench.passes(layer, (4, 3)) for layer in layers]
    with bench.without_kernels():
        for call in calls:
            call()
    assert not launched and not layers[0].running_mean.any() and layers[0].num_batches_tracked == 1
    monkeypatch.setattr(functional, "_suits", lambda x: True)
    for call in calls:
        call()
    assert launched == ["training", "backward", "inference"]


@pytest.mark.parametrize("last", [False, True])
def test_a_pass_is_a_call_and_all_gradients(last, monkeypatch):
    seen = []
    for training in (True, False):
        layer = nn.BatchNorm2d(3).train(training)
        layer.register_forward_hook(lambda layer, inputs, y: seen.append((*inputs, y)))
        bench.passes(layer, (2, 3, 4, 5), last, relu=True)()
        x, y = seen.pop()
        assert x.movedim(1, -1).is_contiguous() is last and x.shape == (2, 3, 4, 5)
        assert x.requires_grad is y.requires_grad is training


def test_the_overhead_is_printed_a_case_a_line(monkeypatch, capsys):
    for name, value in (("ROUNDS", 2), ("STEP_VALUES", 1), ("LAYERS", {"8 x 4": ((8, 4), False)}), ("SMALL", (8, 4))):
        monkeypatch.setattr(bench, name, value)
    bench.overhead()
    head, *lines = capsys.readouterr().out.strip("\n").split("\n")
    assert head == "Microseconds of one core                                  bn    torch   times torch"
    cases = "BN + ReLU, forward + backward, no kernel launched", "8 x 4, forward + backward", "8 x 4, inference"
    for case, line in zip(cases, lines, strict=True):
        assert re.fullmatch(re.escape(case) + FOUND, line)


def test_where_the_kernels_begin_to_win_is_printed(monkeypatch, capsys):
    for name, value in (("ROUNDS", 2), ("LAUNCHES", 1), ("SIZES", [2**12, 2**13])):
        monkeypatch.setattr(bench, name, value)
    with bench.without_kernels():  # which would take long in Triton's interpreter
        bench.launches("cpu")
    head, *lines, last = capsys.readouterr().out.strip("\n").split("\n")
    assert head == "Values, bfloat16      bn, us   torch, us   times torch"
    for size, line in zip(("4,096", "8,192"), lines, strict=True):
        assert re.fullmatch(size + FOUND, line)
    found = rf"(at no size|from [48],\d\d\d values on); LAUNCH_BOUND in bn\.functional is {functional.LAUNCH_BOUND:,}"
    assert re.fullmatch(f"The kernels are faster {found}", last)


def test_the_crossover_is_where_no_larger_size_is_slower():
    assert bench.crossover({1: [1, 2], 2: [3, 2], 4: [1, 2], 8: [1, 2]}) == 4
    assert bench.crossover({1: [1, 2], 2: [1, 2]}) == 1
    assert bench.crossover({1: [1, 2], 2: [2, 2]}) is None
