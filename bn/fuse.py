"""BatchNorm and the ReLU after it in one call, in whatever a network really runs.

Which ReLU reads a layer's output, and whether anything else does, is known only where forward has run: it may branch
on an argument, on an attribute or on its training flag, and keep any value. torch.fx and torch.export write down one
such run, and the graph that they return is that run for ever. TorchDynamo, which torch.compile and torch.export are
built on, also writes down all that the run depended on, looks again at each call, and makes another graph where
something changed. So fusion happens in the torch.fx graphs that it makes: a pair is fused in the runs that have it.
"""

import itertools
import random
import sys

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.utils._pytree import tree_map

from bn.functional import HAS_TRITON, batch_norm_act
from bn.layers import Layer, expect_module
from bn.proof import as_call, prove, reached, twin

RELUS = {F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_"}


def fuse(module, example_inputs):
    """Compute every ReLU that alone reads a BatchNorm layer's output together with the layer, in calls of `module`.

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU())
    >>> fuse(net, torch.randn(4, 2))
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): BatchNorm1d(3, ...)
      (2): ReLU()
    )

    Works in place and returns `module`. Its layers, its forward and its state_dict stay what they are: each call of
    `module(...)` runs torch.fx graphs of what forward does with these arguments, attributes and training flags, made
    by TorchDynamo and made again where any of that changed, in which a pair is one `bn.functional.batch_norm_act`.
    So what other functions do to the network counts: replaced layers, hooks, `convert_sync_batchnorm`. Parts that
    are called on their own, slices, copies and files are not fused. nn.ReLU, F.relu and Tensor.relu are found, after
    torch's layers, ours, and F.batch_norm; what cannot be followed in forward runs as it is. It takes seconds. Under
    torch.compile the module itself is compiled, and a ReLU after the kernels goes into them without `fuse`.

    `example_inputs`: a tensor, a tuple of the arguments, or a dict of them by name; a small mini-batch will do, which
    serves the module in training and in inference. Before it returns, a copy of the module on the CPU is called with
    them, fused and not, in both modes: output, gradients, and all that is kept on modules agree to the last bit.

    Errors: ValueError where they do not, where there is no such pair, where the module raises, cannot be copied, or
    is compiled; TypeError for other `example_inputs`. Nothing is changed then. `revert` undoes it.
    """
    expect_module(module)
    arguments, keywords = as_call(example_inputs)
    call = getattr(module, "_compiled_call_impl", None)
    if isinstance(module, torch._dynamo.OptimizedModule) or not (call is None or isinstance(call, Fused)):
        raise ValueError("module is compiled; fuse it instead, or before")
    if any(isinstance(value, random.Random) for value in reached(module)):
        raise ValueError("module holds a random.Random, whose numbers TorchDynamo draws but once")
    plain, fused = twin(module).cpu(), twin(module).cpu()
    fused._compiled_call_impl = Fused(fused)
    prove(plain, fused, *tree_map(_on_cpu, (arguments, keywords)), modes=(True, False), done="fused")
    if not fused._compiled_call_impl.pairs:
        raise ValueError(
            "module has no BatchNorm layer whose output goes to a ReLU and nowhere else, as far as TorchDynamo follows"
        )
    module._compiled_call_impl = Fused(module)
    return module


class Fused:
    """How a fused module is called; `pairs` has the names of the layers that are fused in the graphs made so far."""

    def __init__(self, module):
        if HAS_TRITON:
            from bn import ops  # as one node of a graph: TorchDynamo would otherwise look into the kernels' gradients

            torch.compiler.allow_in_graph(ops.batch_norm_act)
        self.module, self.pairs = module, []
        # TorchDynamo keeps what it made by the code of a function, some eight of each: a code of its own for each.
        self.compiled = torch.compile(_fresh_code(module._call_impl), backend=self.backend)

    def __call__(self, *args, **kwargs):
        """Call the module, by its graphs where nobody else looks into it, or the copy that took this over."""
        caller = sys._getframe(1).f_locals.get("self", self.module)  # torch does not say which module is called
        module = caller if isinstance(caller, nn.Module) else self.module
        if module is not self.module or torch.compiler.is_compiling() or _is_looked_into():
            return module._call_impl(*args, **kwargs)
        # A hook may come later; NumPy's random numbers are its own; what cannot be followed runs, and raises, as it is:
        with torch._dynamo.config.patch(skip_nnmodule_hook_guards=False, trace_numpy=False, suppress_errors=True):
            return self.compiled(*args, **kwargs)

    def __reduce__(self):
        """Be nothing in copies and files."""
        return type(None), ()

    def backend(self, graph_module, example_inputs):
        """What TorchDynamo calls with each graph, to get what runs in its place; where it raises, the code itself."""
        if any(isinstance(node.target, torch._ops.HigherOrderOperator) for node in graph_module.graph.nodes):
            raise NotImplementedError("a checkpoint and an autograd.Function have gradients of their own")
        self.pairs += fuse_pairs(graph_module.graph)
        graph_module.recompile()
        return graph_module.forward


def fused_layers(module) -> set[str]:
    """The names of the layers of a fused module that share their call with a ReLU, in the graphs made so far."""
    return set(module._compiled_call_impl.pairs)


def fuse_pairs(graph: fx.Graph) -> list[str]:
    """Make every BatchNorm whose one reader is a ReLU, and that ReLU, one call, in place; return the layers' names."""
    names = []
    for node in filter(_is_batch_norm, list(graph.nodes)):
        relu = next(iter(node.users), None)
        fused = len(node.users) == 1 and _is_relu_of(relu, node) and not _mode_changes(node, relu)
        name, ours = _layer_of(node)
        if node.target is F.batch_norm and (fused or ours):
            node.target = batch_norm_act if ours else torchs_batch_norm_act
            node.kwargs = node.kwargs | {"activation": "relu" if fused else None}
        elif fused:  # bn.ops.batch_norm_act: the activation is the last but one of its arguments
            node.args = (*node.args[:-2], "relu", node.args[-1])
        if fused:
            relu.replace_all_uses_with(node)
            graph.erase_node(relu)
            names.append(name)
    return names


def torchs_batch_norm_act(input, *args, activation, **kwargs):
    """What torch's own layer and ReLU give: the kernels' on CUDA, to rounding; elsewhere the same to the last bit."""
    if input.is_cuda:
        return batch_norm_act(input, *args, activation=activation, **kwargs)
    return torch.relu(F.batch_norm(input, *args, **kwargs))


def _is_batch_norm(node: fx.Node) -> bool:
    if node.op != "call_function":
        return False
    ours = getattr(node.target, "__module__", None) == "bn.ops" and node.target.__name__ == "batch_norm_act"
    return node.target is F.batch_norm or (ours and node.args[-2] is None)


def _is_relu_of(node: fx.Node, of: fx.Node) -> bool:
    return node.op in ("call_function", "call_method") and node.target in RELUS and node.args[:1] == (of,)


def _mode_changes(node: fx.Node, relu: fx.Node) -> bool:
    """Tell whether anything but a counter comes between two nodes that nobody reads: gradients switched off, say."""
    between = itertools.takewhile(lambda other: other is not relu, _after(node))
    return any(not other.users and other.target != "add_" for other in between)


def _after(node: fx.Node):
    while (node := node.next).op != "root":
        yield node


def _layer_of(node: fx.Node) -> tuple[str, bool]:
    """The name of the layer that a node of TorchDynamo's came from, and whether the layer is ours."""
    stack = node.meta.get("nn_module_stack") or {"": ("F.batch_norm", None)}
    name, cls = [*stack.values()][-1][:2]
    return name.rpartition("__self__.")[2], isinstance(cls, type) and issubclass(cls, Layer)


def _is_looked_into() -> bool:
    """Tell whether calls are traced, transformed, hooked or changed by others, which graphs would keep from it."""
    tracing = torch.fx._symbolic_trace.is_fx_symbolic_tracing() or torch.jit.is_tracing()
    changed = torch._C._are_functorch_transforms_active() or torch._C._len_torch_function_stack() > 0
    return tracing or changed or torch.nn.modules.module._has_any_global_hook()


def _fresh_code(function):
    """A function that calls another, and has a code object that no other function has."""

    def call(*args, **kwargs):
        return function(*args, **kwargs)

    call.__code__ = call.__code__.replace()
    return call


def _on_cpu(value):
    return value.cpu() if isinstance(value, torch.Tensor) else value
