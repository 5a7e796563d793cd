"""Every network of torchvision and many of timm, with random weights: converted, reverted, fused and folded.

`make test-networks`; `pytest` alone does not collect this file. Each network is one test and is named where it fails.
A complete run writes book/networks.json, from which the page on the package takes its counts.

- Converted and fused, in float32: outputs, gradients and buffers of a training step, and outputs in inference, are
  those of the network to the last bit.
- Folded, in float64: outputs differ from the network's in inference by at most TOLERANCE of the largest value of each;
  in float32 where a network cannot be called in float64.
"""

import copy
import gc
import importlib.metadata
import json
import random
import re
import warnings
from collections import Counter, OrderedDict
from contextlib import suppress

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import keystr, tree_flatten_with_path, tree_map
from zoo import SIZES, Network, measured, networks, replace_missing_operators

import bn
from bn.convert import OURS
from bn.fold import Fixed, expect_rank
from bn.lab import paths
from bn.lab.store import provenance
from bn.trace import InferenceGraph

RECORD = paths.ROOT / "book" / "networks.json"
MOST_PARAMETERS = 75e6  # five copies in float64 are then 3 GB
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}
FUSED = {  # TorchDynamo takes seconds for each
    "resnet18",
    "vgg11_bn",
    "densenet121",
    "mobilenet_v2",
    "googlenet",
    "fcn_resnet50",
    "retinanet_resnet50_fpn",
    "timm resnet18",
    "timm hgnetv2_b0",
}
NETWORKS = {network.name: network for network in networks()}


@pytest.fixture(scope="module", autouse=True)
def operators():
    replace_missing_operators()


@pytest.fixture(scope="module")
def tally(request):
    """What was found of each network, by name; written and said at the end."""
    found, source = {}, provenance.source()
    yield found
    left_out = [name for name, what in found.items() if what.get("left out")]
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        print(f"\nleft out for their size: {len(left_out)}: {', '.join(left_out)}")
        if set(found) == set(NETWORKS) and not request.session.testsfailed:
            RECORD.write_text(json.dumps(record(found, source), indent=1) + "\n", "utf-8")
            print(f"{RECORD.relative_to(paths.ROOT)} is written")


@pytest.mark.filterwarnings("ignore")  # libraries' own; those of bn.fold are looked at
@pytest.mark.parametrize("name", NETWORKS)
def test_network(name, tally, subtests, one_thread):
    network = NETWORKS[name]
    layers, parameters = measured(network)
    if not layers or parameters > MOST_PARAMETERS:
        tally[name] = {"left out": bool(layers)}
        pytest.skip(f"{parameters / 1e6:.0f} million parameters" if layers else "it has no BatchNorm")
    found = {"layers": layers}
    net, arguments, others = as_if_trained(network)
    with subtests.test("revert"):
        check_revert(net)
    with subtests.test("convert"):
        found["converted"] = check_convert(net, arguments)
    if name in FUSED:
        with subtests.test("fuse"):
            found |= check_fuse(net, arguments, others)
    with subtests.test("fold"):
        found |= check_fold(net, arguments, others)
    tally[name] = found
    del net
    torch._dynamo.reset()
    gc.collect()


def as_if_trained(network: Network) -> tuple[nn.Module, tuple, tuple]:
    """A network in training mode, and two mini-batches of the smallest images that it takes.

    Its parameters are random. So are its running statistics: those of a mini-batch, each moved at random, so that
    values stay of a size through many layers and no BatchNorm is the identity.
    """
    torch.manual_seed(0)
    net = network.build()
    with torch.no_grad():
        for part in net.modules():
            for parameter in part.parameters(recurse=False):
                if isinstance(part, _BatchNorm):
                    parameter.uniform_(0.5, 1.5)
                elif parameter.dim() < 2:
                    parameter.add_(0.1 * torch.randn_like(parameter))
    for size in SIZES:
        arguments = network.inputs(size)
        try:
            take_statistics(net, arguments)
            return net, arguments, network.inputs(size)
        except Exception as error:  # of whatever kind: so networks say that an image is too small
            refusal = error
    raise refusal


def take_statistics(net: nn.Module, arguments: tuple) -> None:
    """Set the running statistics, with one training step, and see that there is something to compare in inference."""
    layers = [part for part in net.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    momenta = [layer.momentum for layer in layers]
    with torch.no_grad():
        for layer in layers:
            layer.momentum = 1.0
        net.train()(*arguments)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            mean, var = layer.running_mean, layer.running_var
            mean.add_(0.3 * var.sqrt() * torch.randn_like(mean))
            var.mul_(torch.empty_like(var).uniform_(0.5, 2)).add_(0.1 * var.mean())
        results(in_inference(net, arguments))
    net.train()


# ---- The checks ----------------------------------------------------------------------------------------------------


def check_revert(net: nn.Module) -> None:
    """There and back, every part is the same object, with the same attributes, of the class that it had."""
    before = state_of_parts(net), repr(net)
    bn.revert(bn.convert(net))
    assert (state_of_parts(net), repr(net)) == before


def check_convert(net: nn.Module, arguments: tuple) -> int:
    """A converted copy does what the network does, to the last bit; the number of layers that became ours."""
    converted = copy.deepcopy(net)
    held, state, drawn = identities(converted), [*converted.state_dict()], random_state()
    assert bn.convert(converted) is converted
    assert random_state() == drawn
    assert identities(converted) == held
    assert [*converted.state_dict()] == state
    plain = sum(type(part) in OURS for part in net.modules())
    assert plain == sum(type(part) in OURS.values() for part in converted.modules())
    expect_same(steps(converted, arguments), steps(net, arguments))
    return plain


def check_fuse(net: nn.Module, arguments: tuple, others: tuple) -> dict:
    """A fused copy does what the network does, to the last bit, with other inputs; the number of pairs in its graphs.

    Or why bn.fuse refuses, as it may.
    """
    fused, plain = copy.deepcopy(net), copy.deepcopy(net)
    try:
        bn.fuse(fused, arguments)
    except ValueError as error:
        return {"not fused": str(error)}
    expect_same(steps(fused, others), steps(plain, others))
    return {"fused": len(set(fused._compiled_call_impl.pairs))}


def check_fold(net: nn.Module, arguments: tuple, others: tuple) -> dict:
    """Folded with an example and without, a copy gives what the network gives in inference, to rounding.

    The network itself is in float64 afterwards, if it can be.
    """
    with suppress(RuntimeError):  # RAFT makes tensors of float32
        in_inference(copy.deepcopy(net).double(), tree_map(doubled, others))
        net, (arguments, others) = net.double(), tree_map(doubled, (arguments, others))
    before, parts = {key: value.clone() for key, value in net.state_dict().items()}, state_of_parts(net)
    output = in_inference(copy.deepcopy(net), others)
    wanted = results(output)
    expect_close(results(in_inference(folded(net)[0], others)), wanted)
    copied, reason = folded(net, for_inference(arguments))
    if not isinstance(output, OrderedDict):  # of which torch.fx makes a dict, and bn.fold then refuses the graph
        assert not (reason or "").startswith("in inference"), f"the graph is not the network: {reason}"
    expect_close(results(in_inference(copied, others)), wanted)
    assert state_of_parts(net) == parts
    expect_same(dict(net.state_dict()), before)
    graph = isinstance(copied, InferenceGraph)
    taken_in = sum(node.target is expect_rank for node in copied.graph.nodes) if graph else 0
    fixed = sum(isinstance(part, Fixed) for part in copied.modules())
    in_float32 = next(net.parameters()).dtype == torch.float32
    return {"taken in": taken_in, "fixed": fixed, "graph": graph, "refused": reason, "in float32": in_float32}


def folded(net: nn.Module, *example) -> tuple[nn.Module, str | None]:
    """A folded copy, and the reason why it is no graph."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        copied = bn.fold(net, *example)
    reasons = [re.match(r"forward of .* cannot be made a graph, .*?: (.*)", str(one.message), re.S) for one in said]
    reason = next((match[1] for match in reasons if match), None)
    assert isinstance(copied, InferenceGraph) or reason
    return copied, reason


def in_inference(net: nn.Module, arguments: tuple):
    net.eval()
    with torch.no_grad():
        seed()
        return net(*for_inference(arguments))


def for_inference(arguments: tuple) -> tuple:
    """Without the targets of a detector, which it takes in training only."""
    return arguments[:1] if isinstance(arguments[0], list) else arguments


def steps(net: nn.Module, arguments: tuple) -> dict:
    """What a network gives in a training step and then in inference, and its buffers then: tensors by name."""
    inputs, parameters = tree_map(learning, arguments), dict(net.named_parameters())
    seed()
    given = results(net.train()(*inputs))
    leaves = {path: value for path, value in named(inputs).items() if isinstance(value, Tensor) and value.requires_grad}
    leaves |= parameters
    outputs = [value for value in given.values() if value.requires_grad]
    upstream = [torch.randn_like(value) for value in outputs]
    gradients = torch.autograd.grad(outputs, [*leaves.values()], upstream, allow_unused=True)
    gradients = {path: gradient for path, gradient in zip(leaves, gradients, strict=True) if gradient is not None}
    learned = [gradients[path] for path in parameters if path in gradients]
    assert learned and all(gradient.isfinite().all() for gradient in learned)
    found = {f"output {path}": value.detach() for path, value in given.items()}
    found |= {f"gradient of {path}": value for path, value in gradients.items()}
    given = results(in_inference(net, arguments))
    found |= {f"output {path} in inference": value for path, value in given.items()}
    return found | {f"buffer {path}": buffer.clone() for path, buffer in net.named_buffers()}


# ---- What is compared ----------------------------------------------------------------------------------------------


def results(output) -> dict:
    """The tensors of an output by their paths, all of finite numbers."""
    found = named(output)
    assert all(isinstance(value, Tensor) and value.isfinite().all() for value in found.values())
    assert any(value.numel() for value in found.values())
    return found


def named(tree) -> dict:
    return {keystr(path): value for path, value in tree_flatten_with_path(tree)[0]}


def expect_same(found: dict, wanted: dict) -> None:
    assert found.keys() == wanted.keys()
    assert [name for name in found if not same(found[name], wanted[name])] == []


def expect_close(found: dict, wanted: dict) -> None:
    assert found.keys() == wanted.keys()
    assert [name for name in found if not near(found[name], wanted[name])] == []


def same(found: Tensor, wanted: Tensor) -> bool:
    """Equal to the last bit, or undefined in both, as is the gradient of a box that is exactly where it should be."""
    alike = (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    return alike and bool(((found == wanted) | (found != found) & (wanted != wanted)).all())


def near(found: Tensor, wanted: Tensor) -> bool:
    """Equal but for rounding: no difference is larger than a share of the largest value."""
    if not wanted.is_floating_point() or not wanted.numel():
        return same(found, wanted)
    alike = (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    return alike and bool((found - wanted).abs().max() <= TOLERANCE[wanted.dtype] * wanted.abs().max())


def state_of_parts(net: nn.Module) -> dict:
    """The class of each part and the identities of all that it holds, by name."""
    return {
        name: (type(part), {key: id(value) for key, value in vars(part).items()}) for name, part in net.named_modules()
    }


def identities(net: nn.Module) -> list[int]:
    return [id(one) for one in (*net.modules(), *net.parameters(), *net.buffers())]


def random_state() -> tuple:
    kind, words, *rest = np.random.get_state()
    return random.getstate(), kind, words.tobytes(), rest, torch.get_rng_state().numpy().tobytes()


def seed() -> None:
    torch.manual_seed(1), random.seed(1), np.random.seed(1)


def learning(value):
    floating = isinstance(value, Tensor) and value.is_floating_point()
    return value.detach().clone().requires_grad_() if floating else value


def doubled(value):
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


# ---- The record ----------------------------------------------------------------------------------------------------


def record(tally: dict, source: dict) -> dict:
    """What the book keeps: counts for each library, and where they come from."""
    libraries = {library: counts(library, tally) for library in sorted({one.library for one in NETWORKS.values()})}
    everything = {key: sum(one[key] for one in libraries.values()) for key in libraries["timm"]}
    return {
        "counts": libraries | {"all": everything},
        "left_out": [name for name, found in tally.items() if found.get("left out")],
        "no_graph": {name: found["refused"] for name, found in tally.items() if found.get("refused")},
        "in_float32": [name for name, found in tally.items() if found.get("in float32")],
        "not_fused": {name: found["not fused"] for name, found in tally.items() if "not fused" in found},
        "versions": {name: importlib.metadata.version(name) for name in ("torch", "torchvision", "timm")},
        "commit": source["commit"],
        "dirty": source["dirty"],
        "finished": provenance.now(),
    }


def counts(library: str, tally: dict) -> dict:
    """Of networks, and of layers."""
    mine = [found for name, found in tally.items() if NETWORKS[name].library == library]
    tested = [found for found in mine if "layers" in found]
    sums = Counter()
    for found in tested:
        sums.update({key: found[key] for key in ("layers", "converted", "taken in", "fixed", "graph")})
        sums["fused"] += "fused" in found
        sums["pairs"] += found.get("fused", 0)
    return {
        "networks": len(tested),
        "without": sum(found == {"left out": False} for found in mine),
        "left_out": sum(found == {"left out": True} for found in mine),
        "layers": sums["layers"],
        "converted": sums["converted"],
        "graphs": sums["graph"],
        "taken_in": sums["taken in"],
        "fixed": sums["fixed"],
        "fused": sums["fused"],
        "pairs": sums["pairs"],
    }
