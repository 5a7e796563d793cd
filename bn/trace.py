"""The graph of a network's forward in inference, by torch.fx, or the reason why there is none.

The graph is the network from then on, so forward must not do what a graph cannot hold: look at values, keep or change
anything, draw random numbers. Whether it does is seen on the network that is traced, which is given up for it.
"""

import builtins
import gc
import inspect
import random
import sys
import weakref
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bn.proof import differences, random_state_kept, twin

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
CONSTANTS = (type(None), bool, int, float, str)  # arguments that a graph can compare with what they were


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
    tracer = _Tracer(only_sequential=call is None)
    with torch.enable_grad():
        graph = _trace(tracer, module, fixed)
    if kept := [*differences(untouched, module)]:
        raise NotAGraph(f"it changes {', '.join(sorted(kept))}")
    if tracer.stand_ins_left():
        raise NotAGraph("it keeps values outside of the module")
    for mode in (
        torch.no_grad(),
        torch.inference_mode(),
        torch.autocast("cuda" if torch.cuda.is_available() else "cpu"),
    ):
        with mode:
            other = _trace(_Tracer(only_sequential=call is None), twin(untouched), fixed)
        if str(other) != str(graph):
            raise NotAGraph("it depends on whether gradients are computed, or on autocast")
    try:
        _check_arguments(graph, module, fixed)
        network = InferenceGraph(module, graph, type(module).__name__)
    except (SyntaxError, TypeError) as error:  # names that cannot be written down in Python
        raise NotAGraph(f"{type(error).__name__}: {error}") from error
    return network.closed({name: frozenset(dir(part)) for name, part in untouched.named_modules()})


def _trace(tracer, module: nn.Module, fixed: dict) -> fx.Graph:
    with random_state_kept(), _stand_ins_are_tensors(module):
        before = _random_numbers()
        try:
            graph = tracer.trace(module, concrete_args=fixed)
        except NotAGraph:
            raise
        except Exception as error:  # forward is arbitrary code, and meets stand-ins for its values
            raise NotAGraph(f"{type(error).__name__}: {error}".partition("\n")[0]) from error
        if _random_numbers() != before:
            raise NotAGraph("it draws random numbers")
    if tracer.was_asked:
        raise NotAGraph("it looks at values")
    return graph


@contextmanager
def _stand_ins_are_tensors(module: nn.Module):
    """Answer the code of a network, where it asks, that a stand-in for a tensor is one; torch itself knows better."""

    def answer(value, classes):
        return isinstance(torch.empty(0) if isinstance(value, fx.Proxy) else value, classes)

    names = {cls.__module__ for part in module.modules() for cls in type(part).__mro__} & sys.modules.keys()
    scopes = [vars(sys.modules[name]) for name in names if not name.startswith(("torch.", "bn."))]
    scopes = [scope for scope in scopes if "isinstance" not in scope and scope is not vars(builtins)]
    for scope in scopes:
        scope["isinstance"] = answer
    try:
        yield
    finally:
        for scope in scopes:
            del scope["isinstance"]


def is_hooked(module: nn.Module) -> bool:
    """Tell whether anything else runs when a module is called."""
    return any(vars(module).get(hooks) for hooks in HOOKS) or "forward" in vars(module)


class _Tracer(fx.Tracer):
    """Enters no BatchNorm layer, and nothing that is hooked: a hook may read or change what flows through."""

    proxy_buffer_attributes = True  # or a buffer that forward changes would really be changed by tracing it

    def __init__(self, only_sequential: bool = False):
        super().__init__()
        self.only_sequential, self.was_asked, self.stand_ins = only_sequential, False, []

    def proxy(self, node):
        stand_in = super().proxy(node)
        self.stand_ins.append(weakref.ref(stand_in))
        return stand_in

    def stand_ins_left(self) -> bool:
        """Tell whether anything still holds a stand-in for a value; circles of them are collected first."""
        if any(stand_in() is not None for stand_in in self.stand_ins):
            gc.collect()
        return any(stand_in() is not None for stand_in in self.stand_ins)

    def to_bool(self, obj):
        self.was_asked = True  # forward may catch what is raised here
        return super().to_bool(obj)

    def iter(self, obj):
        self.was_asked = True
        return super().iter(obj)

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
    """A network in inference that is a graph: it cannot be trained, and what its code may have read cannot be set."""

    def closed(self, names: dict):
        """From here on set no new attribute of any part: no public one, and none of the `names` that the part had."""
        for name, part in self.named_modules():
            if type(part) is nn.Module:
                part.__class__ = _Part
            if isinstance(part, _Part | InferenceGraph):
                vars(part)["_closed"] = names.get(name, frozenset())
        return self

    def train(self, mode=True):
        """Refuse training, for which the graph is not made."""
        if mode:
            raise ValueError("a folded network stays in inference mode; train the network that it was made from")
        return super().train(False)

    def __setattr__(self, name, value):
        _expect_known(self, name)
        super().__setattr__(name, value)

    def __copy__(self):
        return InferenceGraph(self, self.graph, self._get_name()).closed(self._names())

    def __deepcopy__(self, memo):
        return super().__deepcopy__(memo).closed(self._names())

    def __reduce__(self):
        return _loaded, (*super().__reduce__()[:2], self._get_name(), self._names())

    def _names(self) -> dict:
        return {name: vars(part)["_closed"] for name, part in self.named_modules() if "_closed" in vars(part)}


def _loaded(load, arguments, name, names) -> InferenceGraph:
    graph = load(*arguments)
    return InferenceGraph(graph, graph.graph, name).closed(names)


class _Part(nn.Module):
    """The place of a module that is in the graph, with its name and its parts."""

    def __setattr__(self, name, value):
        _expect_known(self, name)
        super().__setattr__(name, value)


def _expect_known(module, name):
    closed = vars(module).get("_closed")
    if closed is None or (name.startswith("_") and name not in closed) or hasattr(type(module), name):
        return
    known = [vars(module), *(vars(module).get(table, ()) for table in ("_parameters", "_buffers", "_modules"))]
    if not any(name in names for names in known):
        raise AttributeError(f"{name} cannot be set on a folded network, which is a graph of what was read before")


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


def _check_arguments(graph: fx.Graph, module: nn.Module, fixed: dict):
    """Give the arguments their names back, and have the graph ask for what it was made with."""
    places = [node for node in graph.nodes if node.op == "placeholder"]
    for node, name in zip(places, inspect.signature(module.forward).parameters, strict=True):
        for check in reversed(_readers(node) if name in fixed else []):  # by torch.fx, whose sentences name no value
            graph.erase_node(check)
        node.target = name
        with graph.inserting_after(node):
            arguments = (node, name, fixed[name]) if name in fixed else (node, name)
            graph.call_function(expect_same if name in fixed else expect_tensor, arguments).meta["is_wrapped"] = True


def _readers(node: fx.Node) -> list[fx.Node]:
    """The nodes that read a node, and those that read them."""
    return [reader for user in node.users for reader in (user, *_readers(user))]


@fx.wrap
def expect_tensor(value, name):
    """Raise TypeError where an argument is no tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor, as when the network was folded, but it is {value!r}")


@fx.wrap
def expect_same(value, name, before):
    """Raise ValueError where an argument is not what it was."""
    if isinstance(value, Tensor) or value != before:
        found = "a tensor" if isinstance(value, Tensor) else repr(value)
        raise ValueError(f"{name} must be {before!r}, as when the network was folded, but it is {found}")


def _random_numbers() -> tuple:
    numpy = np.random.get_state()
    return random.getstate(), numpy[1].tobytes(), numpy[2:], torch.get_rng_state().numpy().tobytes()
