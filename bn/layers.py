"""Batch Normalization layers: subclasses of torch's, with the nonlinearity that follows built in."""

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.fx import _symbolic_trace
from torch.nn.modules.batchnorm import _BatchNorm

from bn.functional import ACTIVATIONS, batch_norm_act


class Layer:
    """What the four layers share: `activation`, `residual`, and a forward pass that fails without a trace."""

    activation = None  # on the class, so that a layer of torch's becomes one of ours by its class alone
    __constants__ = (*_BatchNorm.__constants__, "activation")  # for TorchScript

    def __init__(  # in full, because torch.nn.utils.skip_init looks for `device`
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        device=None,
        dtype=None,
        *,
        activation=None,
        **kwargs,
    ):
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be None or 'relu', but it is {activation!r}")
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, **kwargs)
        if activation is not None:
            self.activation = activation

    def __call__(self, *args, **kwargs):
        """Be one node of the graph where torch.fx traces, as torch's own layers are by the name of their module."""
        for value in (*args, *kwargs.values()) if kwargs else args:
            if isinstance(value, fx.Proxy):  # here and not in forward, or hooks would be traced and run again later
                return value.tracer.call_module(self, self._node(value.tracer), args, kwargs)
        return super().__call__(*args, **kwargs)

    def _node(self, tracer):
        name = tracer.path_of_module(self)
        return lambda *args, **kwargs: tracer.create_proxy("call_module", name, args, kwargs)

    def forward(self, input, residual: Tensor | None = None):
        """Return g(normalized `input` + `residual`); see `BatchNorm1d`."""
        self._check_input_dim(input)
        if torch.jit.is_scripting():
            y = self._in_torchscript(input, residual)
        else:
            weight, bias, mean, var, count = self._state()
            training, momentum = self.training, 0.0
            follow = training and self.track_running_stats
            if follow:
                momentum = self._weight_of_the_newest() if self.momentum is None else self.momentum
                if torch._C._are_functorch_transforms_active() and count is not None:
                    count.add_(0)  # what torch.func refuses to count, before the statistics move
            elif training:
                mean = var = None  # in training the running statistics are there to be updated only
            else:
                training = mean is None and var is None
            y = batch_norm_act(
                input,
                mean,
                var,
                weight,
                bias,
                training,
                momentum,
                self.eps,
                activation=self.activation,
                residual=residual,
            )
            if follow and count is not None:
                count.add_(1)  # after the call, so that an input that is refused is not counted
        return y

    def _state(self):
        """Parameters and buffers: weight, bias, running_mean, running_var and num_batches_tracked.

        As attributes each takes a microsecond, for nn.Module looks for it in several places; a small mini-batch is
        normalized in ten. What was pruned or parametrized is an attribute only, as is everything for torch.fx.
        """
        if not _symbolic_trace._is_fx_tracing_flag:
            parameters, buffers = self._parameters, self._buffers
            try:
                return (
                    parameters["weight"],
                    parameters["bias"],
                    buffers["running_mean"],
                    buffers["running_var"],
                    buffers["num_batches_tracked"],
                )
            except KeyError:
                pass
        follow = self.training and self.track_running_stats  # else a layer may have no counter
        count = self.num_batches_tracked if follow else None
        return self.weight, self.bias, self.running_mean, self.running_var, count

    def _weight_of_the_newest(self):
        """`momentum`; where it is None, 1/n for the n-th mini-batch, which makes a plain average."""
        if self.momentum is not None:
            return self.momentum
        return 0.0 if self.num_batches_tracked is None else 1 / float(self.num_batches_tracked + 1)

    def _in_torchscript(self, x, residual: Tensor | None):
        """Torch's own function, with its refusals, because `bn.functional` chooses a backend in Python.

        `x` and `residual` (N, C) or (N, C, *). Gives y, of the shape and type of `x`.
        """
        if self.activation is not None:  # noqa: SIM102, because only so None is known before the rest is compiled
            if self.activation != "relu":
                raise ValueError(f"activation must be None or 'relu', but it is '{self.activation}'")
        if residual is not None and (residual.shape != x.shape or residual.dtype != x.dtype):
            raise RuntimeError("residual must have the shape and the type of the input")
        follow = self.training and self.track_running_stats
        known = follow or not self.training
        mean, var = self.running_mean if known else None, self.running_var if known else None
        training = self.training or (self.running_mean is None and self.running_var is None)
        momentum = self._weight_of_the_newest() if follow else 0.0
        y = F.batch_norm(x, mean, var, self.weight, self.bias, training, momentum, self.eps)
        if follow and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        if residual is not None:
            y = y + residual
        return y if self.activation is None else torch.relu(y)

    def extra_repr(self):
        """Show what torch's layer shows, and the activation."""
        return f"{super().extra_repr()}, activation={self.activation!r}"


class BatchNorm1d(Layer, nn.BatchNorm1d):
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

    Arguments: those of `torch.nn.BatchNorm1d`, and `activation`, by keyword: None (the default) or "relu". It may
    be set later: each call looks at it.
    The state_dict is torch's: weights go from one to the other both ways. Functions of torch that replace a
    layer (`torch.nn.SyncBatchNorm.convert_sync_batchnorm`, `fuse_conv_bn_eval`) do not know of `activation` and
    drop it; `bn.SyncBatchNorm.convert_sync_batchnorm` and `bn.fold` keep it.

    What torch does with its own layer it does with this one, with the same numbers: torch.fx makes it one node
    of a graph, torch.jit.script compiles it (a refusal is then torch's), and torch.export, torch.compile,
    forward-mode differentiation, torch.func and the protocol of nn.Module take it. Two things differ: tools that
    look for a class of torch's by its name, as torch.ao.quantization does to fuse layers, do not fuse it; and where
    torch.fx traces a call whose arguments it knows already (a buffer), it raises TraceError, or, where the layer
    has no parameters, computes the call there and then.

    Errors: ValueError where `activation` is another, the number of dimensions is wrong or, in training, there
    is one value for each channel or `eps` is not positive; RuntimeError where the number of channels is not
    `num_features`, or a type or the residual does not fit. Where a call raises, no buffer has changed.

    Source: Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
    Covariate Shift", ICML 2015, arXiv 1502.03167.
    """


class BatchNorm2d(Layer, nn.BatchNorm2d):
    """Batch Normalization of (N, C, H, W) inputs: m' = N * H * W values for each channel. See `BatchNorm1d`.

    >>> BatchNorm2d(64)(torch.randn(32, 64, 28, 28)).shape
    torch.Size([32, 64, 28, 28])
    """


class BatchNorm3d(Layer, nn.BatchNorm3d):
    """Batch Normalization of (N, C, D, H, W) inputs: m' = N * D * H * W. See `BatchNorm1d`.

    >>> BatchNorm3d(8)(torch.randn(2, 8, 4, 4, 4)).shape
    torch.Size([2, 8, 4, 4, 4])
    """


def become(module, cls, **attributes):
    """Change the class of a module in place, as torch's lazy layers do: every reference and hook stays valid."""
    module.__class__ = cls
    for name, value in attributes.items():
        setattr(module, name, value)


def is_plain(module, classes):
    """Tell whether a module is of one of the classes, not of a subclass, and nobody gave it what would change it.

    That is a forward of its own, and on a layer of torch's an `activation`, which ours would carry out.
    """
    own = {"forward"} if isinstance(module, Layer) else {"forward", "activation"}
    return type(module) in classes and not own & vars(module).keys()


def expect_module(module):
    """Raise TypeError where the argument `module` is not one."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be an nn.Module, but it is of type {type(module).__name__}")
