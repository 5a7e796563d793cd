"""Batch Normalization layers: torch's own, with the nonlinearity that follows built in."""

import torch
from torch import nn


class _WithActivation:
    """Adds `activation` to one of torch's BatchNorm classes; everything else is inherited."""

    def __init__(self, *args, activation=None, **kwargs):
        if activation is not None and activation != "relu":
            raise ValueError(f"activation must be None or 'relu', but it is {activation!r}")
        super().__init__(*args, **kwargs)
        self.activation = activation

    def forward(self, x):
        y = super().forward(x)
        return torch.relu(y) if self.activation == "relu" else y

    def extra_repr(self):
        return f"{super().extra_repr()}, activation={self.activation!r}"


class BatchNorm1d(_WithActivation, nn.BatchNorm1d):
    r"""Batch Normalization of (N, C) or (N, C, L) inputs.

    >>> layer = BatchNorm1d(100, activation="relu")
    >>> layer(torch.randn(60, 100)).shape
    torch.Size([60, 100])

    $$ y = g\left(\gamma \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \epsilon}} + \beta\right) $$

    with g the `activation`, one pair (gamma, beta) for each of the C channels, and the statistics over
    everything but the channels (section 3.2).

    - Training (`layer.train()`): E and Var are the mini-batch's, Var with 1/m (Algorithm 1), so that an
      output depends on the whole mini-batch. `running_mean` and `running_var` follow them as moving averages;
      `momentum` is the weight of the newest (None: plain averages) and the variance is scaled by m/(m-1).
    - Inference (`layer.eval()`): E and Var are the running ones (Algorithm 2), so that an output depends on
      its own input alone, by an affine map.

    Arguments: those of `torch.nn.BatchNorm1d`, and `activation`, by keyword: None (the default) or "relu".
    The state_dict is torch's: weights go from one to the other both ways. Functions of torch that replace a
    layer (`convert_sync_batchnorm`, `fuse_conv_bn_eval`) do not know of `activation` and drop it.

    Errors: ValueError where `activation` is another, the number of dimensions is wrong or, in training, there
    is one value for each channel; RuntimeError where the number of channels is not `num_features`.

    Source: Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
    Covariate Shift", ICML 2015, arXiv 1502.03167.
    """


class BatchNorm2d(_WithActivation, nn.BatchNorm2d):
    """Batch Normalization of (N, C, H, W) inputs: m' = N * H * W values for each channel. See `BatchNorm1d`.

    >>> BatchNorm2d(64)(torch.randn(32, 64, 28, 28)).shape
    torch.Size([32, 64, 28, 28])
    """


class BatchNorm3d(_WithActivation, nn.BatchNorm3d):
    """Batch Normalization of (N, C, D, H, W) inputs: m' = N * D * H * W. See `BatchNorm1d`.

    >>> BatchNorm3d(8)(torch.randn(2, 8, 4, 4, 4)).shape
    torch.Size([2, 8, 4, 4, 4])
    """
