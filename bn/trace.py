"""The graph of a network's forward in inference, by torch.fx, or the reason why there is none.

The graph is the network from then on, so forward must not do what a graph cannot hold: look at values, keep or change
anything, draw random numbers. Whether it does is seen on the network that is traced, which is given up for it.
"""

import inspect
import random

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bn.proof import differences, random_state_kept, twin

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
CONSTANTS = (type(None), bool, int, float, str)  # arguments of which torch.fx sees to it that they stay what they were


class NotAGraph(Exception):
    """Forward is more than a graph can hold; the message says why."""


def graph_of(module: nn.Module, call=None) -> fx.GraphModule:
    """Return the graph of forward, as a module that has the parts of `module`, a copy in inference mode.

    `call`: arguments and keywords of an example, which says what each argument is: tensors stay open, anything else
    is fixed. Without it only torch's own nn.Sequential is followed: other code may ask what kind of value it is given.
    Errors: NotAGraph. Calls of the graph raise where an argument is not what it was in the example.
    """
    if is_hooked(module):
        raise NotAGraph("it has hooks or a forward of its own")
    fixed, untouched = _fixed_arguments(module, call), twin(module)
    with torch.no_grad():
        without = _trace(twin(module), fixed, only_sequential=call is None)
    with torch.enable_grad():
        graph = _trace(module, fixed, only_sequential=call is None)
    if str(without) != str(graph):
        raise NotAGraph("it depends on whether gradients are computed")
    if kept := [*differences(untouched, module)]:
        raise NotAGraph(f"it changes {', '.join(sorted(kept))}")
    _check_arguments(graph, fixed)
    plain = {name: _attributes(part) for name, part in untouched.named_modules()}
    return _fixed_in_place(InferenceGraph(module, graph, type(module).__name__), plain)


def _trace(module: nn.Module, fixed: dict, only_sequential: bool) -> fx.Graph:
    with random_state_kept():
        before = _random_numbers()
        try:
            graph = _Tracer(only_sequential).trace(module, concrete_args=fixed)
        except NotAGraph:
            raise
        except Exception as error:  # forward is arbitrary code, and meets stand-ins for its values
            raise NotAGraph(f"{type(error).__name__}: {error}".partition("\n")[0]) from error
        if _random_numbers() != before:
            raise NotAGraph("it draws random numbers")
    return graph


def is_hooked(module: nn.Module) -> bool:
    """Tell whether anything else runs when a module is called."""
    return any(vars(module).get(hooks) for hooks in HOOKS) or "forward" in vars(module)


class _Tracer(fx.Tracer):
    """Enters no BatchNorm layer, and nothing that is hooked: a hook may read or change what flows through."""

    proxy_buffer_attributes = True  # or a buffer that forward changes would really be changed by tracing it

    def __init__(self, only_sequential: bool):
        super().__init__()
        self.only_sequential = only_sequential

    def is_leaf_module(self, m, module_qualified_name):
        opaque = isinstance(m, (_BatchNorm, torch.jit.ScriptModule)) or is_hooked(m)
        return opaque or super().is_leaf_module(m, module_qualified_name)

    def trace(self, root, concrete_args=None):
        self._expect_followed(root)
        return super().trace(root, concrete_args)

    def call_module(self, m, forward, args, kwargs):
        if not self.is_leaf_module(m, self.path_of_module(m)):
            self._expect_followed(m)
        return super().call_module(m, forward, args, kwargs)

    def _expect_followed(self, module):
        if self.only_sequential and type(module).forward is not nn.Sequential.forward:
            raise NotAGraph(f"{type(module).__name__} has code of its own, which is followed with example_inputs only")


class InferenceGraph(fx.GraphModule):
    """A network in inference that is a graph: what its code read when it was traced can be set no more."""

    def train(self, mode=True):
        """Refuse training, for which the graph is not made."""
        if mode:
            raise ValueError("a folded network stays in inference mode; train the network that it was made from")
        return super().train(False)

    def __setattr__(self, name, value):
        _expect_free(self, name)
        super().__setattr__(name, value)


class _Part(nn.Module):
    """The place of a module that is in the graph, with its name and its parts."""

    def __setattr__(self, name, value):
        _expect_free(self, name)
        super().__setattr__(name, value)


def _expect_free(module, name):
    if name in vars(module).get("_read", ()):
        raise AttributeError(f"{name} was read when the network was folded, and cannot be changed; set it before")


def _fixed_in_place(graph: InferenceGraph, plain: dict) -> InferenceGraph:
    """Make the attributes that modules had when they were traced read-only."""
    for name, part in graph.named_modules():
        if type(part) is nn.Module:
            part.__class__ = _Part
        if isinstance(part, _Part | InferenceGraph):
            vars(part)["_read"] = plain.get(name, frozenset())
    return graph


def _attributes(module: nn.Module) -> frozenset:
    return frozenset(name for name in vars(module) if not name.startswith("_") and name != "training")


def _fixed_arguments(module, call) -> dict:
    """The arguments that are no tensors, by name."""
    parameters = inspect.signature(module.forward).parameters
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise NotAGraph(f"it takes any number of arguments, *{name}")
    if call is None:
        return {name: p.default for name, p in parameters.items() if p.default is not p.empty}
    try:
        bound = inspect.signature(module.forward).bind(*call[0], **call[1])
    except TypeError as error:
        raise TypeError(f"example_inputs must be the arguments of the module's forward, but {error}") from None
    bound.apply_defaults()
    fixed = {name: value for name, value in bound.arguments.items() if not isinstance(value, Tensor)}
    for name, value in fixed.items():
        if not isinstance(value, CONSTANTS):
            raise NotAGraph(f"its argument {name} is of type {type(value).__name__}, neither a tensor nor a constant")
    return fixed


def _check_arguments(graph: fx.Graph, fixed: dict):
    """Give the arguments their names back, and have the graph ask for a tensor where it was made with one."""
    for node in [node for node in graph.nodes if node.op == "placeholder"]:
        name = next((name for name in fixed if node.target in (name, f"{name}_1")), node.target)
        node.target = name
        if name not in fixed:
            with graph.inserting_after(node):
                graph.call_function(expect_tensor, (node, name)).meta["is_wrapped"] = True


@fx.wrap
def expect_tensor(value, name):
    """Raise TypeError where an argument is no tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor, as when the network was folded, but it is {value!r}")


def _random_numbers() -> tuple:
    numpy = np.random.get_state()
    return random.getstate(), numpy[1].tobytes(), numpy[2:], torch.get_rng_state().numpy().tobytes()
