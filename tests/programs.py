"""Small networks whose forward does what real programs do, and what a conversion could get wrong.

Each is a class with BatchNorm and ReLU in it; `observe` calls it in every way that a user might and returns all that
can be seen, so that a converted, fused or folded network can be laid beside the one that it was made from.
"""

import itertools
import random
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class Program(nn.Module):
    """A convolution, a BatchNorm, a ReLU, and what a program may keep beside them."""

    asks_for_more = False  # whether skip and mask change what forward does

    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.relu = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
        self.seq = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.epoch, self.pre, self.log, self.helper = 0, None, [], SimpleNamespace(seen=[[]], calls=0)
        self.scale = torch.full((), 2.0)
        self.register_buffer("calls", torch.zeros(()))

    def body(self, x):
        return self.bn(self.conv(x))

    def forward(self, x, skip=None, mask=None):
        return self.seq(self.relu(self.body(x)))


class Kept(Program):
    def forward(self, x, skip=None, mask=None):
        self.pre = self.body(x)
        return self.seq(self.relu(self.pre))


class KeptConvolution(Program):
    def forward(self, x, skip=None, mask=None):
        self.pre = self.conv(x)
        return self.seq(self.relu(self.bn(self.pre)))


class KeptDeep(Program):
    def forward(self, x, skip=None, mask=None):
        y = self.body(x)
        self.helper.seen[0].append(y)
        self.helper.calls += 1
        return self.seq(self.relu(y))


class KeptInPlace(Program):
    """The ReLU writes over what is kept, and so it must stay."""

    def forward(self, x, skip=None, mask=None):
        self.pre = self.body(x)
        return self.seq(F.relu(self.pre, inplace=True))


class Features(Program):
    """The Sequential is not called as one."""

    def forward(self, x, skip=None, mask=None):
        if x.dim() != 4:
            raise ValueError("images, please")
        x = self.relu(self.body(x))
        return [x := layer(x) for layer in self.seq]


class Optional(Program):
    asks_for_more = True

    def forward(self, x, skip=None, mask=None):
        y = self.body(x)
        if skip is not None and mask is None:
            return y + skip
        if mask is not None:
            return self.relu(y) * mask
        return self.seq(self.relu(y))


class Flag(Program):
    """Two arguments that are given or not decide what is returned, not what is computed."""

    asks_for_more = True

    def forward(self, x, skip=None, mask=None):
        y = self.conv(x)
        z = self.bn(y)
        return (y if skip is not None else z) if mask is not None else self.relu(z)


class OnEpoch(Program):
    def forward(self, x, skip=None, mask=None):
        y = self.body(x)
        return self.seq(self.relu(y)) if self.epoch < 3 else (y, self.relu(y))


class OnTraining(Program):
    def forward(self, x, skip=None, mask=None):
        y = self.body(x)
        return self.seq(self.relu(y)) if self.training else y


class OnGrad(Program):
    def forward(self, x, skip=None, mask=None):
        y = self.body(x)
        return self.relu(y) if torch.is_grad_enabled() else y


class OnValues(Program):
    def forward(self, x, skip=None, mask=None):
        y = self.body(x)
        return self.seq(self.relu(y)) if x.mean() > 0 else y


class OnShape(Program):
    def forward(self, x, skip=None, mask=None):
        y = self.body(x)
        return self.seq(self.relu(y)) if x.shape[0] > 3 else y


class OnType(Program):
    def forward(self, x, skip=None, mask=None):
        y = self.conv(x)
        return self.relu(self.bn(y)) if isinstance(x, torch.Tensor) else y


class Counting(Program):
    def forward(self, x, skip=None, mask=None):
        self.calls += 1
        self.epoch += 1
        self.log.append(self.epoch)
        return self.seq(self.relu(self.body(x))) * self.calls


class Scaling(Program):
    """A plain tensor that forward multiplies in place."""

    def forward(self, x, skip=None, mask=None):
        self.scale *= 1.5
        return self.seq(self.relu(self.body(x))) * self.scale


class Drawing(Program):
    def forward(self, x, skip=None, mask=None):
        y = self.relu(self.body(x))
        return y * (1 + random.random() + np.random.rand() + torch.rand(()))


class Twice(Program):
    def forward(self, x, skip=None, mask=None):
        y = self.body(x)
        return self.relu(y) + self.bn(-y)


class Both(Program):
    def forward(self, x, skip=None, mask=None):
        y = self.body(x)
        return self.seq(self.relu(y)) + y.sigmoid()


class Summed(Program):
    def forward(self, x, skip=None, mask=None):
        y = self.body(x)
        y += 0.5
        return self.seq(F.relu(y))


class Viewed(Program):
    """A view of what the ReLU reads, read after the ReLU has written over it."""

    def forward(self, x, skip=None, mask=None):
        y = self.body(x)
        first = y[:1]
        z = F.relu(y, inplace=True)
        return self.seq(z) + first


class Weights(Program):
    def forward(self, x, skip=None, mask=None):
        return self.seq(self.relu(self.body(x))) + self.conv.weight.sum() + self.bn.running_mean.sum()


class Methods(Program):
    def forward(self, x, skip=None, mask=None):
        y = F.batch_norm(self.conv(x), None, None, self.bn.weight, self.bn.bias, True)
        return self.seq(y.relu()) + torch.relu(self.body(x))


class Inner(Program):
    """The parts are called one by one, and the kept value is on another module."""

    def forward(self, x, skip=None, mask=None):
        y = self.relu(self.body(x))
        self.seq[0].last = self.seq[0](y)
        return self.seq[2](self.seq[1](self.seq[0].last)) + self.seq(y)


class Listed(Program):
    """Layers in a plain list, and in an object."""

    def __init__(self):
        super().__init__()
        self.list, self.box = [self.conv, self.bn, self.relu], SimpleNamespace(bn=self.seq[1])

    def forward(self, x, skip=None, mask=None):
        for layer in self.list:
            x = layer(x)
        return self.box.bn(self.seq[0](x)) + self.seq(x)


class Caught(Program):
    def forward(self, x, skip=None, mask=None):
        y = self.body(x)
        try:
            if y.sum() > -1e9:
                return self.seq(self.relu(y))
        except Exception:
            return y
        return y


class Checkpointed(Program):
    def forward(self, x, skip=None, mask=None):
        return torch.utils.checkpoint.checkpoint(lambda x: self.seq(self.relu(self.body(x))), x, use_reentrant=False)


class NoGrad(Program):
    """The gradient of the ReLU is switched off, not that of the layer."""

    def forward(self, x, skip=None, mask=None):
        y = self.body(x)
        with torch.set_grad_enabled(self.epoch < 3 and torch.is_grad_enabled()):
            z = self.relu(y)
        return self.seq(z) + self.conv(x).mean()


class Slots:
    __slots__ = ("n",)

    def __init__(self):
        self.n = 0


class Sources(Program):
    """Numbers of its own, which change from call to call, held where no dictionary shows them."""

    def __init__(self):
        super().__init__()
        self.source, self.count, self.slots = np.random.default_rng(1), itertools.count(1), Slots()

    def forward(self, x, skip=None, mask=None):
        self.slots.n += 1
        return self.seq(self.relu(self.body(x))) * (self.source.random() + next(self.count) + self.slots.n)


class Asks(Program):
    """What is done depends on what kind of layer comes next."""

    def forward(self, x, skip=None, mask=None):
        for layer in [self.conv, self.bn, *self.seq]:
            x = layer(input=x) if isinstance(layer, nn.BatchNorm2d) else layer(x)
            x = x.abs() if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer is self.bn else x
        return x


OUTSIDE = []


class Outside(Program):
    """Features for a loss, in a list that is nobody's."""

    def forward(self, x, skip=None, mask=None):
        y = self.body(x)
        OUTSIDE.append(y)
        return self.seq(self.relu(y))


PROGRAMS = [Program, *Program.__subclasses__()]


def build(cls, dtype=torch.float64):
    """A program with random parameters and statistics, as if it had been trained."""
    torch.manual_seed(0)
    program = cls().to(dtype)
    with torch.no_grad():
        for layer in program.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_(), layer.running_var.uniform_(0.5, 2)
                layer.weight.normal_(), layer.bias.normal_()
    return program


def calls(dtype=torch.float64):
    """Arguments of the calls of a program, in a row."""
    torch.manual_seed(1)
    x, other = torch.randn(4, 3, 6, 6, dtype=dtype) + 0.2, torch.randn(2, 3, 7, 5, dtype=dtype) - 0.2
    y = torch.randn(4, 4, 4, 4, dtype=dtype)
    return [(x,), (other,), (x, y), (x, None, y.abs()), (x, y, y.abs()), (-x,)]


def calls_of(cls, dtype=torch.float64):
    """The calls that can differ for a program; that an argument is not looked at is shown by the first of all."""
    return [call for call in calls(dtype) if len(call) == 1 or cls.asks_for_more or cls is Program]


def observe(program, ways=("train", "eval", "flag", "epoch", "no_grad"), allowed=()):
    """All that can be seen of a program that is called again and again: outputs, gradients, kept tensors, state.

    Where a call raises one of `allowed`, that alone is seen of it.
    """
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    seen = []
    for way in ways:
        if way in ("train", "eval"):
            program.train(way == "train")
        if way == "flag":
            program.training = not program.training
        if way == "epoch":
            program.epoch = 5
        dtype = program.scale.dtype if program.scale.dtype != torch.float32 else torch.float64
        for arguments in calls_of(type(program), dtype):
            try:
                seen.append(_call(program, arguments, way))
            except allowed as error:
                seen.append(type(error))
    return seen


def _call(program, arguments, way):
    x = arguments[0].clone().requires_grad_()
    with torch.set_grad_enabled(way != "no_grad"):
        output = program(x, *arguments[1:])
    kept = [program.pre, getattr(program.seq[0] if hasattr(program, "seq") else None, "last", None)]
    kept += [value for values in getattr(program.helper, "seen", [[]]) for value in values]
    given = [t for t in [*(output if isinstance(output, list | tuple) else [output]), *kept] if t is not None]
    gradients = []
    if given[0].requires_grad:
        wanted = [x, *program.parameters()]
        upstream = [torch.cos(torch.arange(t.numel(), dtype=t.dtype)).view(t.shape) for t in given]
        live = [(t, u) for t, u in zip(given, upstream, strict=True) if t.requires_grad]
        outputs, ups = zip(*live, strict=True)
        gradients = torch.autograd.grad(outputs, wanted, ups, allow_unused=True)
    program.pre, program.helper.seen = None, [[]]
    state = [program.epoch, list(program.log), program.helper.calls, program.scale.clone(), random.random()]
    state += [torch.rand(()), float(np.random.rand()), {k: v.clone() for k, v in program.state_dict().items()}]
    return [t.detach().clone() for t in given], [*gradients], state
