"""The benchmark that a person types: here the part about large means, at sizes that take no time."""

import re

import pytest
import torch
from torch.nn.functional import batch_norm

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
