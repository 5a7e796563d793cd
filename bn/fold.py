"""Whole networks for inference: each BatchNorm taken in by the layer before it, or fixed in its place.

With its statistics fixed, Batch Normalization is affine (Algorithm 2, line 11), and an affine layer before it can take
it in, if nothing else reads what that layer gives. That is known from a graph of the network, which then is the
network: there is no other path through its code on which something else could read it.
"""

import warnings
from collections import Counter

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from bn.layers import BatchNorm1d, BatchNorm2d, BatchNorm3d, Layer, become, expect_module, is_plain
from bn.proof import as_call, prove, twin
from bn.sync import LAYERS, TORCHS, SyncBatchNorm
from bn.trace import InferenceGraph, NotAGraph, graph_of, is_hooked

# Of a layer that can take a BatchNorm in: the dimensions of its output, and the axis of its weight that is the channel.
FOLDABLE = {
    nn.Linear: (2, 0),
    nn.Conv1d: (3, 0),
    nn.Conv2d: (4, 0),
    nn.Conv3d: (5, 0),
    nn.ConvTranspose1d: (3, 1),
    nn.ConvTranspose2d: (4, 1),
    nn.ConvTranspose3d: (5, 1),
}
# In half precision a weight times gamma/sigma is rounded, and what torch computes in float32 loses its digits.
EXACT = (torch.float32, torch.float64)


def fold(module, example_inputs=None):
    """Return a copy of a module for inference, without BatchNorm that could depend on a mini-batch.

    >>> net = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.ReLU())
    >>> [type(part).__name__ for part in fold(net).children()]
    ['Fixed2d', 'Conv2d', 'ReLU']

    The copy gives what `module.eval()` gives, to rounding, and refuses what it refuses. Either

    - it is a torch.fx graph of forward, in which a BatchNorm is taken in by the convolution, transposed convolution
      or Linear that alone feeds it and feeds nothing else, where neither is shared, hooked or in half precision (fold
      first, then cast), and every other BatchNorm is `Fixed`. The graph is of one way to call the network: it raises
      where an argument that was no tensor is another, where an attribute is set that it does not have, and where it
      is to be trained. Prints, warnings and what the process was set to (environment variables) are not in it. Or,
    - where no graph can hold what forward does (it looks at values, keeps or changes something, draws random numbers,
      depends on gradients being computed, takes lists, has hooks), it is the same Python with every BatchNorm
      `Fixed`, and a UserWarning says why.

    `Fixed` is the layer in inference mode, also where `train()` is called. Left as they are: subclasses of other
    people's, and layers with a forward or, torch's, an `activation` of their own.

    `example_inputs`: a tensor, a tuple of the arguments, or a dict of them by name. Without them only nn.Sequential is
    followed. With them any code is, and before it returns, output and gradients of the copy are compared with the
    module's for these inputs. The copy is that of copy.deepcopy, but for what autograd computed (an output that was
    kept), which is copied without its history, and what cannot be copied (a process group), which is shared.

    Errors: ValueError where a layer has no running statistics, where outputs differ, or where a function or weak
    reference that the module holds leads to one of its modules, and would lead to the original; TypeError for
    arguments of another type. `module` is not changed.
    Source: Ioffe and Szegedy (2015), section 3.1 and Algorithm 2, lines 8 to 12.
    """
    expect_module(module)
    for name, layer in module.named_modules():
        if is_plain(layer, LAYERS) and (layer.running_mean is None or layer.running_var is None):
            raise ValueError(f"{name or 'the module itself'} has no running statistics, so it cannot be folded")
    call = None if example_inputs is None else as_call(example_inputs)
    folded = None
    if any(type(part) in FOLDABLE for part in module.modules()):
        try:
            folded = _as_graph(module, call)
        except NotAGraph as reason:
            warnings.warn(
                f"forward of {type(module).__name__} cannot be made a graph, so each BatchNorm was fixed in its place "
                f"and none was taken in by the layer before it: {reason}",
                stacklevel=2,
            )
    if folded is None:
        folded = _fixed(twin(module).eval())
        if call is not None:
            prove(twin(module), twin(folded), *call, modes=(False,), done="folded", exact=False)
    return folded


def _as_graph(module: nn.Module, call) -> InferenceGraph:
    graph = graph_of(twin(module).eval(), call)
    with torch.no_grad():
        _take_in(graph)
    _fixed(graph)
    if call is not None:
        try:
            prove(twin(module), graph, *call, modes=(False,), done="folded", exact=False)
        except ValueError as error:
            raise NotAGraph(str(error)) from error
    return graph


def _fixed(module: nn.Module) -> nn.Module:
    """Fix every BatchNorm of a module, in place."""
    for layer in module.modules():
        if is_plain(layer, LAYERS):
            become(layer, FIXED[type(layer)])
    return module


class Fixed:
    """A BatchNorm layer in inference for good: an affine map for each channel (Algorithm 2, line 11)."""

    training = property(lambda self: False, lambda self, mode: None)


class Fixed1d(Fixed, BatchNorm1d):
    """`BatchNorm1d` in inference."""


class Fixed2d(Fixed, BatchNorm2d):
    """`BatchNorm2d` in inference."""


class Fixed3d(Fixed, BatchNorm3d):
    """`BatchNorm3d` in inference."""


class FixedSync(Fixed, SyncBatchNorm):
    """`SyncBatchNorm` in inference."""


FIXED = {
    layer: fixed
    for ours, fixed in zip((BatchNorm1d, BatchNorm2d, BatchNorm3d, SyncBatchNorm), Fixed.__subclasses__(), strict=True)
    for layer in (ours, TORCHS[ours])
}


@fx.wrap
def expect_rank(x, rank):
    """Return x, where it has so many dimensions."""
    if x.dim() != rank:
        raise ValueError(f"expected {rank}D input (got {x.dim()}D input)")
    return x


# ---- Taking in -----------------------------------------------------------------------------------------------------


def _take_in(network: InferenceGraph):
    """Fold every BatchNorm that alone reads what a layer gives into that layer, in place."""
    graph, parts = network.graph, dict(network.named_modules(remove_duplicate=False))
    calls = [node for node in graph.nodes if node.op == "call_module"]
    times = Counter(parts[node.target] for node in calls)
    hidden = {inner for part in times for inner in part.modules() if inner is not part}
    read = {parts[node.target.rpartition(".")[0]] for node in graph.nodes if node.op == "get_attr"}

    def is_alone(part):
        return times[part] == 1 and part not in read | hidden and not is_hooked(part)

    for node in calls:
        source = node.args[0] if len(node.args) == 1 and not node.kwargs else None
        if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) != 1:
            continue
        before, layer = parts[source.target], parts[node.target]
        if is_alone(before) and is_alone(layer) and _can_take_in(before, layer):
            _scale(before, layer)
            _leave_out(graph, node, FOLDABLE[type(before)][0], layer)
    network.delete_all_unused_submodules()
    network.recompile()


def _leave_out(graph: fx.Graph, node: fx.Node, rank: int, layer):
    """Let the input of a node go on in the place of a layer's call, checked, with the layer's activation."""
    with graph.inserting_before(node):
        y = graph.call_function(expect_rank, (node.args[0], rank))
        y.meta["is_wrapped"] = True
        y = graph.call_function(torch.relu, (y,)) if isinstance(layer, Layer) and layer.activation else y
    node.replace_all_uses_with(y)
    graph.erase_node(node)


def _can_take_in(before, layer) -> bool:
    if type(before) not in FOLDABLE or not is_plain(layer, LAYERS) or before.weight.dtype not in EXACT:
        return False
    if type(before) is nn.Linear:  # its channels are the last axis, a BatchNorm's the second: the same in (N, C) only
        return before.out_features == layer.num_features and isinstance(
            layer, nn.BatchNorm1d | nn.SyncBatchNorm | SyncBatchNorm
        )
    # A transposed convolution in groups keeps the channels of all groups along one axis: there is no scale for each.
    return before.out_channels == layer.num_features and not (before.transposed and before.groups > 1)


def _scale(before, layer):
    """Give a layer the weight and bias that do its work and the BatchNorm's, computed in float64."""
    gamma, beta = layer.weight, layer.bias
    mean, var = layer.running_mean.double(), layer.running_var.double()
    gamma = torch.ones_like(mean) if gamma is None else gamma.double()
    beta = torch.zeros_like(mean) if beta is None else beta.double()
    weight, bias = before.weight.double(), None if before.bias is None else before.bias.double()
    if type(before) is nn.Linear:
        fused = fuse_linear_bn_weights(weight, bias, mean, var, layer.eps, gamma, beta)
    else:
        transpose = FOLDABLE[type(before)][1] == 1
        fused = fuse_conv_bn_weights(weight, bias, mean, var, layer.eps, gamma, beta, transpose=transpose)
    learn = before.weight.requires_grad, (before.weight if before.bias is None else before.bias).requires_grad
    before.weight, before.bias = (
        nn.Parameter(value.to(before.weight.dtype), requires_grad=own) for value, own in zip(fused, learn, strict=True)
    )
