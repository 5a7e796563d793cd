"""Population statistics of a whole network in place of running averages (Algorithm 2, lines 7 to 10).

A layer measures a mini-batch by its own forward pass and is then given its buffers back. What was found is written at
the end, so that nothing has to be undone where a mini-batch raises.
"""

from collections.abc import Mapping
from contextlib import contextmanager
from itertools import chain, islice

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from bn.layers import expect_module


def recompute_statistics(module, batches):
    """Give every BatchNorm layer its population statistics, from training mini-batches (Algorithm 2, lines 7 to 10).

    >>> module = nn.Sequential(nn.BatchNorm1d(1))
    >>> recompute_statistics(module, [torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [5.0]])])
    >>> module[0].running_mean, module[0].running_var
    (tensor([2.]), tensor([5.]))

    `running_mean` becomes the mean over the mini-batches of mu_B, `running_var` that of m/(m-1) sigma2_B, and
    `num_batches_tracked` their number, each mini-batch normalized by its own statistics on the way. `batches`: an
    iterable of inputs of the module, or of tuples and lists of which the first item is taken; or one tensor
    (K, m, *), K mini-batches. All of one size m, as in the paper (each counts the same).

    A mini-batch counts for the layers that it reaches with values in it, twice where forward uses a layer twice.
    A layer that none reaches stays as it was, and so does one that keeps no statistics (track_running_stats off)
    or that the module's own `train()` leaves in inference mode; layers that were frozen by `eval()` are measured.
    The module runs without gradients and not compiled. Momenta, training flags and hooks are afterwards what they
    were; where a mini-batch raises, the statistics too.

    Errors: ValueError where there is no mini-batch, none reaches a layer, no layer keeps statistics, a mini-batch is
    an empty tuple or list, or the one tensor has fewer than three dimensions; TypeError where `module` is no Module
    or `batches` cannot be iterated or is a dictionary or a string. Whatever forward raises is raised.

    Source: Ioffe and Szegedy (2015), arXiv 1502.03167, section 3.1 and Algorithm 2.
    """
    expect_module(module)
    layers = [part for part in module.modules() if isinstance(part, _BatchNorm) and _keeps_statistics(part)]
    if not layers:
        raise ValueError("module must have a BatchNorm layer with running statistics, but it has none")
    inputs = _inputs(batches)
    with torch.no_grad(), torch.compiler.set_stance("force_eager"), _modes_kept(module), _measured(layers) as found:
        module.train()
        for x in inputs:
            module(x)
    if not any(layer.n for layer in found):
        raise ValueError("a mini-batch must reach a BatchNorm layer with values in it, but none of them does")
    for layer in found:
        layer.write()


def _keeps_statistics(layer):
    return layer.track_running_stats and layer.running_mean is not None and layer.running_var is not None


def _inputs(batches):
    """Check `batches`, and return an iterator over the inputs of the module."""
    if isinstance(batches, Mapping | str):
        raise TypeError(f"batches must be an iterable of mini-batches, but it is a {type(batches).__name__}")
    if isinstance(batches, torch.Tensor) and batches.dim() < 3:  # a mini-batch, of which each row would be taken as one
        shape = tuple(batches.shape)
        raise ValueError(f"one tensor must hold mini-batches, (K, m, *), but its shape is {shape}; [x] is one of them")
    inputs = map(_first, batches)
    first = list(islice(inputs, 1))
    if not first:
        raise ValueError("batches must hold at least one mini-batch, but it is empty")
    return chain(first, inputs)


def _first(batch):
    if not isinstance(batch, tuple | list):
        return batch
    if not batch:
        raise ValueError(f"a mini-batch must be an input or hold one as its first item, but it is {batch!r}")
    return batch[0]


@contextmanager
def _modes_kept(module):
    """Give every part its own training flag back: a network may be frozen in places."""
    modes = {part: part.training for part in module.modules()}
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training


@contextmanager
def _measured(layers):
    """Put a `_Measured` in the place of each layer's forward, as an attribute of the layer, and take it away again."""
    own = {layer: vars(layer).get("forward") for layer in layers}
    found = [_Measured(layer) for layer in layers]
    try:
        for one in found:
            one.layer.forward = one
        yield found
    finally:
        for layer, forward in own.items():
            del layer.forward
            if forward is not None:
                layer.forward = forward


class _Measured:
    """The forward of a layer while its statistics are measured: their mean, and of how many mini-batches, `n`."""

    def __init__(self, layer):
        self.layer, self.forward, self.n = layer, layer.forward, 0

    def __call__(self, *args, **kwargs):
        """Return what the layer returns. Momentum 1 makes the running statistics those of the mini-batch."""
        if not (self.layer.training and _keeps_statistics(self.layer)):
            return self.forward(*args, **kwargs)
        with _kept(self.layer):
            self.layer.momentum = 1.0
            self.layer.running_mean.zero_()  # 0 times an old NaN would be NaN
            self.layer.running_var.fill_(-0.0)  # which no variance is, and v + 0 * (-0.0) is exactly v
            y = self.forward(*args, **kwargs)
            self._take()
        return y

    def _take(self):
        """Add the running statistics to the mean, unless they were not moved: the mini-batch was empty then."""
        now = torch.stack([self.layer.running_mean, self.layer.running_var])
        if (now[1].signbit() & (now[1] == 0)).all():
            return
        now = now.to(torch.promote_types(now.dtype, torch.float32))
        self.n += 1
        self.mean = now if self.n == 1 else self.mean * (1 - 1 / self.n) + now / self.n

    def write(self):
        """Give the layer what was found, if anything was."""
        if self.n:
            mean, var = self.mean
            self.layer.running_mean.copy_(mean)
            self.layer.running_var.copy_(var)
            if self.layer.num_batches_tracked is not None:
                self.layer.num_batches_tracked.fill_(self.n)


@contextmanager
def _kept(layer):
    """Give a layer its momentum, its running statistics and its counter back."""
    buffers = [layer.running_mean, layer.running_var, layer.num_batches_tracked]
    before = [(buffer, buffer.clone()) for buffer in buffers if buffer is not None]
    momentum = layer.momentum
    try:
        yield
    finally:
        layer.momentum = momentum
        for buffer, values in before:
            buffer.copy_(values)
