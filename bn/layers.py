"""Batch Normalization layers: subclasses of torch's, with the nonlinearity that follows built in."""

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bn.eager import algorithm_1, follow
from bn.functional import ACTIVATIONS, batch_norm_act


class _Layer:
    """What the four layers share: `activation`, `residual`, and a forward pass that fails without a trace."""

    def __init__(self, *args, activation=None, **kwargs):
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be None or 'relu', but it is {activation!r}")
        super().__init__(*args, **kwargs)
        self.activation = activation

    def forward(self, input, residual=None):
        self._check_input_dim(input)
        follow = self.training and self.track_running_stats
        known = follow or not self.training  # in training the running statistics are there to be updated only
        y = batch_norm_act(
            input,
            self.running_mean if known else None,
            self.running_var if known else None,
            self.weight,
            self.bias,
            self.training or (self.running_mean is None and self.running_var is None),
            self._weight_of_the_newest() if follow else 0.0,
            self.eps,
            activation=self.activation,
            residual=residual,
        )
        if follow and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)  # after the call, so that an input that is refused is not counted
        return y

    def _weight_of_the_newest(self):
        """`momentum`; where it is None, 1/n for the n-th mini-batch, which makes a plain average."""
        if self.momentum is not None:
            return self.momentum
        return 0.0 if self.num_batches_tracked is None else 1 / (float(self.num_batches_tracked) + 1)

    def extra_repr(self):
        return f"{super().extra_repr()}, activation={self.activation!r}"


class BatchNorm1d(_Layer, nn.BatchNorm1d):
    r"""Batch Normalization of (N, C) or (N, C, L) inputs.

    >>> layer = BatchNorm1d(100, activation="relu")
    >>> layer(torch.randn(60, 100)).shape
    torch.Size([60, 100])

    $$ y = g\left(\gamma \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \epsilon}} + \beta + r\right) $$

    with g the `activation`, r the `residual` of the call `layer(x, residual)` (None: none), one pair
    (gamma, beta) for each of the C channels, and the statistics over everything but the channels (section 3.2).

    - Training (`layer.train()`): E and Var are the mini-batch's, Var with 1/m (Algorithm 1), so that an
      output depends on the whole mini-batch. `running_mean` and `running_var` follow them as moving averages;
      `momentum` is the weight of the newest (None: plain averages) and the variance is scaled by m/(m-1).
    - Inference (`layer.eval()`): E and Var are the running ones (Algorithm 2), so that an output depends on
      its own input alone, by an affine map.

    Arguments: those of `torch.nn.BatchNorm1d`, and `activation`, by keyword: None (the default) or "relu".
    The state_dict is torch's: weights go from one to the other both ways. Functions of torch that replace a
    layer (`torch.nn.SyncBatchNorm.convert_sync_batchnorm`, `fuse_conv_bn_eval`) do not know of `activation` and
    drop it; `bn.SyncBatchNorm.convert_sync_batchnorm` and `bn.fold` keep it.

    Errors: ValueError where `activation` is another, the number of dimensions is wrong or, in training, there
    is one value for each channel or `eps` is not positive; RuntimeError where the number of channels is not
    `num_features`, or a type or the residual does not fit. Where a call raises, no buffer has changed.

    Source: Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
    Covariate Shift", ICML 2015, arXiv 1502.03167.
    """


class BatchNorm2d(_Layer, nn.BatchNorm2d):
    """Batch Normalization of (N, C, H, W) inputs: m' = N * H * W values for each channel. See `BatchNorm1d`.

    >>> BatchNorm2d(64)(torch.randn(32, 64, 28, 28)).shape
    torch.Size([32, 64, 28, 28])
    """


class BatchNorm3d(_Layer, nn.BatchNorm3d):
    """Batch Normalization of (N, C, D, H, W) inputs: m' = N * D * H * W. See `BatchNorm1d`.

    >>> BatchNorm3d(8)(torch.randn(2, 8, 4, 4, 4)).shape
    torch.Size([2, 8, 4, 4, 4])
    """


class SyncBatchNorm(_Layer, _BatchNorm):
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


def become(module, cls, **attributes):
    """Change the class of a module in place, as torch's lazy layers do: every reference and hook stays valid."""
    module.__class__ = cls
    for name, value in attributes.items():
        setattr(module, name, value)


def is_plain(module, classes):
    """Tell whether a module is of one of the classes, not of a subclass, and nobody gave it a forward of its own."""
    return type(module) in classes and "forward" not in vars(module)


class FusedReLU(nn.Identity):
    """The place of an nn.ReLU that the BatchNorm layer before it now computes; `inplace` waits for the way back."""

    def extra_repr(self):
        """Show what an nn.ReLU shows."""
        return "inplace=True" if self.inplace else ""

    def restore(self):
        """Be an nn.ReLU again, in place; the layer gives its activation back."""
        self.layer[0].activation = None
        become(self, nn.ReLU)
        del self.layer


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
