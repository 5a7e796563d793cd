"""Copies of a network, and whether two of them hold and do the same: how `bn.fuse` and `bn.fold` prove what they do.

A network is arbitrary Python. It may keep outputs, in lists and in objects of its own, hold what cannot be copied, and
call what a copy would share with it. All of it is walked through here: modules, containers, objects, functions.
"""

import copy
import functools
import pickle
import random
import types
import warnings
import weakref
from collections import deque
from collections.abc import Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

SEQUENCES = (list, tuple, set, frozenset, deque)
PLAIN = (type(None), bool, int, float, complex, str, bytes, type, types.BuiltinFunctionType)
FIXED = (types.FunctionType, weakref.ref)  # what copy.deepcopy takes as it is, though it may lead to a module
UNSEEN = {"_compiled_call_impl"}  # of a module: how it is called, not what it holds


@torch.inference_mode(False)
def twin(module: nn.Module) -> nn.Module:
    """Return a copy of a module, its parameters, buffers and all that it holds.

    What autograd computed (an output that was kept, a pruned weight) is copied without its history. Shared with the
    original is what cannot be copied: a process group, a generator, a module of Python.

    Errors: ValueError where a function or a weak reference that the module holds leads to one of its modules: copies
    of it would lead to the original.
    """
    memo, parts = {}, set(module.modules())
    for path, value in _walk(module):
        if isinstance(value, Tensor):
            if not value.is_leaf:
                memo[id(value)] = value.detach().clone()
        elif isinstance(value, FIXED):
            if any(part in parts for _, part in _walk(value) if isinstance(part, nn.Module)):
                what = "weak reference" if isinstance(value, weakref.ref) else "function"
                raise ValueError(f"{path} is a {what} that leads to a module, and would lead to it in a copy too")
        elif not isinstance(value, nn.Module) and not _can_be_copied(value):
            memo[id(value)] = value
    return copy.deepcopy(module, memo)


def differences(first, second, exact=True, name="", seen=None):
    """Yield the names of what differs between two values of the same structure: modules, containers, tensors.

    Tensors are the same to the last bit, or, where not `exact`, to half the digits of their type.
    """
    seen = set() if seen is None else seen
    if first is second or (id(first), id(second)) in seen:
        return
    seen.add((id(first), id(second)))
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        if not _close(first.detach(), second.detach(), exact):
            yield name
        return
    parts, others = _parts(first), _parts(second)
    if type(first) is not type(second):
        yield f"{name} ({type(second).__name__} in place of {type(first).__name__})"
    elif parts or others:
        yield from (_join(name, key) for key in parts.keys() ^ others.keys())
        for key in [key for key in parts if key in others]:
            yield from differences(parts[key], others[key], exact, _join(name, key), seen)
    elif isinstance(first, PLAIN):
        if first != second and first == first:  # what is not a number is never the same
            yield name
    elif _pickled(first) != _pickled(second):  # an array, a source of random numbers, an object with slots
        yield name


def observed(module: nn.Module, arguments: tuple, keywords: dict, parameters: dict) -> dict:
    """Call a module, from the same random numbers each time, and return its output and the gradients that it gives.

    They are those of a random sum of all that comes out or is kept on the module in this call, with respect to the
    arguments and to `parameters`, tensors by name.
    """
    with random_state_kept(), torch.inference_mode(False), torch.enable_grad():
        call = tree_map(_leaf, (arguments, keywords))
        leaves = {path: value for path, value in _walk({"the input": call[0]} | call[1]) if isinstance(value, Tensor)}
        leaves = {path: value for path, value in (leaves | parameters).items() if value.requires_grad and value.is_leaf}
        torch.manual_seed(0), random.seed(0), np.random.seed(0)
        kept = _differentiable(module)
        arguments, keywords = tree_map(_copy_of, call)  # no leaves, so that forward may write over them
        output = module(*arguments, **keywords)
        given = [value for key, value in _differentiable([output, module]).items() if key not in kept]
        upstream = [torch.randn_like(value) for value in given]
        gradients = [None] * len(leaves)
        if given and leaves:
            gradients = torch.autograd.grad(given, [*leaves.values()], upstream, allow_unused=True)
    found = dict(zip(leaves, gradients, strict=True))
    return {"the output": output} | {f"the gradient of {path}": gradient for path, gradient in found.items()}


def prove(first, second, arguments: tuple, keywords: dict, modes, done: str, exact=True):
    """Call a module and what was made of it in each mode; raise ValueError with the names of what is not the same.

    Compared is what `observed` returns, to the last bit where `exact`, and then also what the two hold afterwards and
    the gradients of the parameters; else to half the digits of a tensor's type. `done`: what was made, for the error.
    """
    for training in modes:
        mode = "training" if training else "inference"
        seen = []
        for module, what in ((first, "the module"), (second, f"the {done} copy")):
            module.train(training)
            try:
                seen.append(observed(module, arguments, keywords, dict(module.named_parameters()) if exact else {}))
            except Exception as error:  # a network is arbitrary code, and may raise whatever it likes
                raise ValueError(f"in {mode} {what} raises with these example_inputs: {error!r}") from error
        names = [*differences(*seen, exact), *(differences(first, second) if exact else ())]
        if names:
            raise ValueError(f"in {mode} these are not what they were with the example_inputs: {', '.join(names)}")


def as_call(example_inputs) -> tuple[tuple, dict]:
    """Return the arguments and keywords of a call: of a tensor, a tuple of arguments, or a dict of them by name."""
    if isinstance(example_inputs, Tensor):
        return (example_inputs,), {}
    if isinstance(example_inputs, tuple | list):
        return tuple(example_inputs), {}
    if isinstance(example_inputs, dict) and all(isinstance(name, str) for name in example_inputs):
        return (), example_inputs
    raise TypeError(
        "example_inputs must be a tensor, a tuple of the arguments of the module, or a dict of them by name, "
        f"but it is of type {type(example_inputs).__name__}"
    )


@contextmanager
def random_state_kept():
    """Give Python, NumPy and torch the state of their random numbers back."""
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _differentiable(value) -> dict:
    """The tensors in a value that autograd computed, by identity."""
    return {id(part): part for _, part in _walk(value) if isinstance(part, Tensor) and part.grad_fn}


def _leaf(value):
    if not isinstance(value, Tensor):
        return value
    return value.detach().clone().requires_grad_(value.is_floating_point() or value.is_complex())


def _copy_of(value):
    return value.clone() if isinstance(value, Tensor) else value


def reached(module):
    """Yield everything that a module holds."""
    return (value for _, value in _walk(module))


def _walk(root):
    """Yield (path, value) for everything that is reached from a value, each once."""
    stack, seen = [("", root)], {id(root): root}
    while stack:
        path, value = stack.pop()
        yield path or "the module itself", value
        for key, part in _parts(value).items():
            if id(part) not in seen:
                seen[id(part)] = part  # held on to, or its id would be given to the next
                stack.append((_join(path, key), part))


def _join(path: str, key) -> str:
    return f"{path}.{key}" if path else str(key)


def _parts(value) -> dict:
    """The named values that a value consists of; none for a tensor, a number, a class."""
    if isinstance(value, nn.Module):
        own = {key: part for key, part in vars(value).items() if key not in UNSEEN}
        tables = [own.pop(table, None) or {} for table in ("_parameters", "_buffers", "_modules")]
        return own | {key: part for table in tables for key, part in table.items()}
    if isinstance(value, (Tensor, *PLAIN)):
        return {}
    if isinstance(value, Mapping):
        return {str(key): part for key, part in value.items()}
    if isinstance(value, SEQUENCES):
        return {str(place): part for place, part in enumerate(value)}
    if isinstance(value, types.MethodType):
        return {"__self__": value.__self__}
    if isinstance(value, functools.partial):
        return {"func": value.func, "args": value.args, "keywords": value.keywords}
    if isinstance(value, types.FunctionType):
        return {str(place): part for place, part in enumerate(_closure(value))}
    if isinstance(value, weakref.ref):
        return {"()": value()}
    if isinstance(value, types.ModuleType):
        return {}
    return getattr(value, "__dict__", None) or {}


def _closure(function) -> list:
    """What a function holds of where it was made."""
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # not yet filled
            continue
    return [*found, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values(), *vars(function).values()]


def _can_be_copied(value) -> bool:
    if isinstance(value, (*PLAIN, *SEQUENCES, Mapping, types.MethodType)) or hasattr(value, "__deepcopy__"):
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that of itertools
            value.__reduce_ex__(4)
    except Exception:  # of whatever kind: this is how copy.deepcopy would go about it
        return False
    return True


def _pickled(value):
    """What an object with nothing that can be walked through is, in bytes; None where it cannot be told."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return pickle.dumps(value)
    except Exception:
        return None


def _close(first: Tensor, second: Tensor, exact: bool) -> bool:
    if (first.shape, first.dtype, first.device) != (second.shape, second.dtype, second.device):
        return False
    if exact or not first.is_floating_point():
        return bool(((first == second) | (first != first) & (second != second)).all())
    largest = first.nan_to_num(posinf=0.0, neginf=0.0).abs().max().item() if first.numel() else 0.0
    limit = torch.finfo(first.dtype).eps ** 0.5 * largest
    return torch.allclose(first, second, rtol=0, atol=limit, equal_nan=True)
