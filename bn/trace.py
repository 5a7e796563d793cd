"""Which layer of a network feeds which, read off symbolic traces (torch.fx) of the module's own forward.

A trace is read and thrown away, never run in the module's place, and the module is afterwards what it was. What a
trace cannot see: code outside forward that calls the layers one by one, and a branch that forward takes for a Tensor
and not for a stand-in.
"""

import copy
import inspect
from collections import Counter
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def exclusive_pairs(module, modes):
    """Return the (before, after) for which the output of `before` goes to `after` and nowhere else, in every mode."""
    try:
        with modes_kept(module), _untouched(module):
            traces = [_pairs_of_trace(module, *how) for how in _ways_to_call(module, modes)]
    except Exception:  # forward is arbitrary code: whatever it raises means that its dataflow is not known
        return _neighbours(module)
    return [pair for pair in traces[0] if all(pair in trace for trace in traces)]


def _ways_to_call(module, modes):
    """Yield (training, arguments): every optional argument once given, once left at its default."""
    parameters = inspect.signature(module.forward).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    for training in modes:
        yield training, None
        if defaults:
            yield training, defaults


def _pairs_of_trace(module, training, arguments):
    for part in module.modules():
        part.training = training
    tracer = _Tracer()
    graph = tracer.trace(module, concrete_args=arguments)
    parts = dict(module.named_modules(remove_duplicate=False))
    calls = [node for node in graph.nodes if node.op == "call_module"]
    times = Counter(parts[node.target] for node in calls)
    read = {parts[node.target.rpartition(".")[0]] for node in graph.nodes if node.op == "get_attr"}
    hidden = {inner for part in times for inner in part.modules() if inner is not part}
    pairs = []
    for node in calls:
        before = node.args[0] if len(node.args) == 1 and not node.kwargs else None
        if isinstance(before, fx.Node) and before.op == "call_module" and len(before.users) == 1:
            pair = parts[before.target], parts[node.target]
            if all(times[part] == 1 and part not in read | hidden and not _is_hooked(part) for part in pair):
                pairs.append(pair)
    return pairs


class _Tracer(fx.Tracer):
    """Enters no BatchNorm layer, and nothing that is hooked: a hook may read or change what flows through."""

    proxy_buffer_attributes = True  # or a buffer that forward changes would really be changed by tracing it

    def is_leaf_module(self, m, module_qualified_name):
        return isinstance(m, _BatchNorm) or _is_hooked(m) or super().is_leaf_module(m, module_qualified_name)


def _is_hooked(module):
    return any(vars(module)[hooks] for hooks in HOOKS) or "forward" in vars(module)


def _neighbours(module):
    """Return the pairs of neighbours in an nn.Sequential of which each has one place in the module, and no hooks."""
    places = Counter(part for _, part in module.named_modules(remove_duplicate=False))
    return [
        pair
        for parent in module.modules()
        if type(parent).forward is nn.Sequential.forward and places[parent] == 1
        for pair in pairwise(parent)
        if all(places[part] == 1 and not _is_hooked(part) for part in pair)
    ]


@contextmanager
def modes_kept(module):
    """Give every part its own training flag back: a network may be frozen in places."""
    modes = {part: part.training for part in module.modules()}
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training


@contextmanager
def _untouched(module):
    """Undo what forward writes on its modules while it is traced, and what it takes from the random numbers."""
    held = [item for part in module.modules() for item in (vars(part), *vars(part).values())]
    before = [(item, copy.copy(item)) for item in held if isinstance(item, dict | list)]
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for item, items in before:
            item.clear()
            (item.update if isinstance(item, dict) else item.extend)(items)
