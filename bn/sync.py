"""Batch Normalization over the mini-batches of several processes, and the table of all layers."""

from itertools import chain

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bn.eager import algorithm_1, follow
from bn.functional import batch_norm_act
from bn.layers import BatchNorm1d, BatchNorm2d, BatchNorm3d, Layer, become


class SyncBatchNorm(Layer, _BatchNorm):
    """Batch Normalization over the mini-batches of all processes of a group, joined. See `BatchNorm1d`.

    >>> SyncBatchNorm(8, activation="relu")(torch.randn(4, 8)).shape  # one process: as the other layers
    torch.Size([4, 8])

    Shapes: (N, C) or (N, C, *); N may differ from process to process and be 0. In training, with a group of two
    processes or more, the statistics are those of the joined mini-batch, its m in m/(m-1) too. A joined mini-batch
    without values changes no running statistic and is not counted. In inference, or in a single process, nothing
    is exchanged.

    On CPU, which torch refuses, mean and variance are summed over the group. Gradients, gradients of gradients and
    tangents (forward mode) go through the sums, so that all processes must ask for the same ones. On CUDA the
    normalization is torch's where every process has values; before it, the numbers of values are summed.

    Arguments: those of `torch.nn.SyncBatchNorm`, and `activation`. It is no subclass of that class, because
    DistributedDataParallel refuses every instance of it on CPU.
    Errors: as `BatchNorm1d`, with m the joined one; ValueError where the input has fewer than two dimensions or no
    channels. Where one process refuses its input, all others of the group raise RuntimeError.
    """

    _check_input_dim = nn.SyncBatchNorm._check_input_dim
    _check_non_zero_input_channels = nn.SyncBatchNorm._check_non_zero_input_channels

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        process_group=None,
        device=None,
        dtype=None,
        **kwargs,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, **kwargs)
        self.process_group = process_group

    def forward(self, input, residual=None):
        """Normalize over the group where there is one to join, else as the other layers."""
        group = self._group_to_join()
        if group is None:
            return super().forward(input, residual)
        try:
            self._refuse_what_does_not_fit(input, residual)
        except Exception:  # the others wait for this process: without its word they would join its next mini-batch
            self._sum_of_counts([0, 0, 1], input, group)
            raise
        if input.is_cuda and torch.cuda.is_current_stream_capturing():  # nothing can be read; warm-up has looked
            return self._by_torch(input, residual)
        m = input.numel() // input.shape[1]
        m, empty, refused = self._sum_of_counts([m, m == 0, 0], input, group)
        if refused:
            raise RuntimeError("another process of the group refused its input, so the mini-batches cannot be joined")
        if m == 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
        if m == 0:
            return self._of_nothing(input, residual)
        if self._torch_can(input, empty):
            return self._by_torch(input, residual)
        return self._joined(input, residual, m, group)

    def _group_to_join(self):
        if not (self.training and dist.is_available() and dist.is_initialized()):
            return None
        group = self.process_group or dist.group.WORLD
        return group if dist.get_world_size(group) > 1 else None

    def _refuse_what_does_not_fit(self, x, residual):
        """Raise what the other layers raise: none of the examples is enough for that, and moves no buffer."""
        self._check_input_dim(x)
        self._check_non_zero_input_channels(x)
        if residual is not None and residual.shape != x.shape:
            raise RuntimeError(f"residual must match the input, {tuple(x.shape)}, but it is {tuple(residual.shape)}")
        self._of_nothing(x[:0], None if residual is None else residual[:0], *self._statistics())

    def _of_nothing(self, x, residual, mean=None, var=None):
        """The output of an empty `x`, as the other layers give it, and what they raise."""
        return batch_norm_act(
            x, mean, var, self.weight, self.bias, True, 0.0, self.eps, activation=self.activation, residual=residual
        )

    def _statistics(self):
        """The running statistics that training moves."""
        return (self.running_mean, self.running_var) if self.track_running_stats else (None, None)

    def _sum_of_counts(self, counts, x, group):
        """Sum whole numbers over the group (float32 stops counting at 2**24), on the device of the layer."""
        held = next(chain(self.parameters(), self.buffers()), x)
        total = torch.tensor(counts, device=held.device)
        dist.all_reduce(total, group=group)
        return total.tolist()

    def _torch_can(self, x, empty):
        """Torch gathers the values' numbers in the type of the statistics, an empty process's in that of the input."""
        mean, _ = self._statistics()
        exact = mean is None or mean.dtype in (torch.float32, torch.float64)
        counts = not self.track_running_stats or self.num_batches_tracked is not None
        return x.is_cuda and not empty and exact and counts

    def _by_torch(self, x, residual):
        y = nn.SyncBatchNorm.forward(self, x)
        y = y if residual is None else y + residual
        return torch.relu(y) if self.activation == "relu" else y

    def _joined(self, x, residual, m, group):
        axes, shape = [0, *range(2, x.dim())], [1, -1] + [1] * (x.dim() - 2)
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        mu = _SumOverProcesses.apply(values.sum(axes), group) / m  # Algorithm 1, line 1
        sigma2 = _SumOverProcesses.apply((values - mu.view(shape)).square().sum(axes), group) / m  # line 2
        y, *_ = algorithm_1(
            x, mu, sigma2, self.weight, self.bias, False, self.eps, self.activation, residual, values.dtype
        )
        mean, var = self._statistics()
        if mean is not None:
            follow(mean, var, mu.detach(), sigma2.detach(), m, self._weight_of_the_newest())  # no tangents in buffers
        if self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return _laid_out(y)

    @classmethod
    def convert_sync_batchnorm(cls, module, process_group=None):
        """Make every BatchNorm layer of a module, torch's or ours, a `bn.SyncBatchNorm`, `activation` kept.

        >>> SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.Linear(2, 3), BatchNorm1d(3, activation="relu")))
        Sequential(
          (0): Linear(in_features=2, out_features=3, bias=True)
          (1): SyncBatchNorm(3, ..., activation='relu')
        )

        In place: a layer changes its class and stays the same object, with its parameters, buffers and hooks. As
        with torch's function, a SyncBatchNorm is given `process_group` too, None (all processes) included.
        Subclasses of others, lazy and parametrized layers among them, and layers with a forward of their own stay
        as they are: each process normalizes there alone. Returns `module`.
        """
        for layer in module.modules():
            if type(layer) in LAYERS and "forward" not in vars(layer):
                activation = layer.activation if isinstance(layer, Layer) else None
                become(layer, cls, activation=activation, process_group=process_group)
        return module


TORCHS = {
    BatchNorm1d: nn.BatchNorm1d,
    BatchNorm2d: nn.BatchNorm2d,
    BatchNorm3d: nn.BatchNorm3d,
    SyncBatchNorm: nn.SyncBatchNorm,
}
LAYERS = (*TORCHS, *TORCHS.values())


def _laid_out(y):
    """Lay an output out as torch's kernel does, which keeps channels_last and no other order of dimensions."""
    formats = torch.channels_last, torch.channels_last_3d
    return y if any(y.is_contiguous(memory_format=last) for last in formats) else y.contiguous()


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over a group. Each process's loss reads it, so gradients are summed, and tangents too."""

    @staticmethod
    def forward(tensor, group):
        total = tensor.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.group = inputs

    @staticmethod
    def backward(ctx, gradient):
        return _SumOverProcesses.apply(gradient, ctx.group), None

    @staticmethod
    def jvp(ctx, tangent, _):
        return _SumOverProcesses.apply(tangent, ctx.group)
