"""Batch Normalization over the mini-batches of several processes, and the table of all layers."""

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bn.eager import algorithm_1, follow
from bn.layers import BatchNorm1d, BatchNorm2d, BatchNorm3d, Layer, become


class SyncBatchNorm(Layer, _BatchNorm):
    """Batch Normalization over the mini-batches of all processes of a group, joined. See `BatchNorm1d`.

    >>> SyncBatchNorm(8, activation="relu")(torch.randn(4, 8)).shape  # one process: as the other layers
    torch.Size([4, 8])

    Shapes: (N, C) or (N, C, *); N may differ from process to process. In training, with a group of two processes
    or more, the statistics are those of the joined mini-batch, its m in m/(m-1) too. On CUDA the normalization is
    torch's; on CPU, which torch refuses, mean and variance are summed over the group and autograd goes through
    the sums. In inference, or in a single process, nothing is exchanged.

    Arguments: those of `torch.nn.SyncBatchNorm`, and `activation`. It is no subclass of that class, because
    DistributedDataParallel refuses every instance of it on CPU.
    Errors: as `BatchNorm1d`, with m the joined one; RuntimeError where the number of channels does not fit.
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
        self._check_input_dim(input)
        self._check_non_zero_input_channels(input)
        if input.shape[1] != self.num_features:  # here, because torch counts the mini-batch before it looks
            raise RuntimeError(f"input must have {self.num_features} channels, but its shape is {tuple(input.shape)}")
        if residual is not None and residual.shape != input.shape:
            raise RuntimeError(f"residual must have shape {tuple(input.shape)}, but it has {tuple(residual.shape)}")
        if not input.is_cuda:
            return self._joined(input, residual, group)
        y = nn.SyncBatchNorm.forward(self, input)
        y = y if residual is None else y + residual
        return torch.relu(y) if self.activation == "relu" else y

    def _group_to_join(self):
        if not (self.training and dist.is_available() and dist.is_initialized()):
            return None
        group = self.process_group or dist.group.WORLD
        return group if dist.get_world_size(group) > 1 else None

    def _joined(self, x, residual, group):
        axes, shape = [0, *range(2, x.dim())], [1, -1] + [1] * (x.dim() - 2)
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        m = torch.tensor(x.numel() // x.shape[1])  # an integer: float32 stops counting at 2**24
        dist.all_reduce(m, group=group)
        m = m.item()
        if m == 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {x.shape}")
        mu = _SumOverProcesses.apply(values.sum(axes), group) / m  # Algorithm 1, line 1
        sigma2 = _SumOverProcesses.apply((values - mu.view(shape)).square().sum(axes), group) / m  # line 2
        y, *_ = algorithm_1(
            x, mu, sigma2, self.weight, self.bias, False, self.eps, self.activation, residual, values.dtype
        )
        if self.track_running_stats:
            follow(self.running_mean, self.running_var, mu, sigma2, m, self._weight_of_the_newest())
            self.num_batches_tracked.add_(1)
        return y

    @classmethod
    def convert_sync_batchnorm(cls, module, process_group=None):
        """Make every BatchNorm layer of a module, torch's or ours, a `bn.SyncBatchNorm`, `activation` kept.

        >>> SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.Linear(2, 3), BatchNorm1d(3, activation="relu")))
        Sequential(
          (0): Linear(in_features=2, out_features=3, bias=True)
          (1): SyncBatchNorm(3, ..., activation='relu')
        )

        In place: a layer changes its class and stays the same object, with its parameters, buffers and hooks.
        Subclasses of others, lazy ones among them, stay as they are. Returns `module`.
        """
        for layer in module.modules():
            if type(layer) in LAYERS:
                become(layer, cls, activation=getattr(layer, "activation", None), process_group=process_group)
        return module


TORCHS = {
    BatchNorm1d: nn.BatchNorm1d,
    BatchNorm2d: nn.BatchNorm2d,
    BatchNorm3d: nn.BatchNorm3d,
    SyncBatchNorm: nn.SyncBatchNorm,
}
LAYERS = (*TORCHS, *TORCHS.values())


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over a group: each process's loss reads it, so gradients are summed as well."""

    @staticmethod
    def forward(ctx, tensor, group):
        ctx.group = group
        total = tensor.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx, gradient):
        return _SumOverProcesses.apply(gradient.contiguous(), ctx.group), None
