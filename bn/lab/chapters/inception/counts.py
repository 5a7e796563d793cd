"""The network of Figure 5 counted: sizes, layers, parameters and multiply-adds of each row, and what follows.

Networks are built on the meta device, which knows shapes and no numbers, and counted as they run: parameters from
the layers, multiply-adds by torch's FlopCounterMode (half its operations; convolutions and the last layer, in
which all the others hardly count), layers one after the other as the longest path through torch's own graph.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate
from torch.utils.flop_counter import FlopCounterMode

from bn.lab import paper
from bn.lab.architectures import FIGURE_5, GOOGLENET
from bn.lab.data.splits import Split
from bn.lab.train.inception import Inception, InceptionModule
from bn.lab.train.mlp import CLASSES

# With these projections the branches of 4c and 4d add up to the 576 channels that the figure prints.
NARROWED = tuple(replace(row, proj=96) if row.name in ("4c", "4d") else row for row in FIGURE_5)
_RATE = 0.02  # of the trial, a choice: small enough for a narrow network
_GOOGLENET = {"table": GOOGLENET, "batch_norm": False}
READINGS = {  # of the paper's network: the arguments of `Inception`, by name
    "googlenet": {**_GOOGLENET, "five_by_five": True},
    "googlenet double": _GOOGLENET,
    "figure 5 with 5x5": {"batch_norm": False, "five_by_five": True},
    "narrowed": {"table": NARROWED, "batch_norm": False},
    "figure 5": {"batch_norm": False},
    "figure 5 bn": {},
    "figure 5 separable": {"separable": True},
}


def build(**options) -> Inception:
    """A network that has shapes and no numbers."""
    with torch.device("meta"):
        return Inception(**options).eval()


def count(net: Inception) -> list[dict]:
    """For each row, and for the last layer: name, output (C, h, w), depth, parameters, multiply_adds an image."""
    parts = dict(net.rows.named_children()) | {"softmax": net.softmax}
    shapes, depths, known = {}, {}, {}

    def note(name: str) -> Callable:
        def hook(_module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            shapes[name] = list(output.shape[1:])
            depths[name] = weight_layers(output, known) - weight_layers(inputs[0], known)

        return hook

    hooks = [part.register_forward_hook(note(name)) for name, part in parts.items()]
    with FlopCounterMode(display=False) as counter:
        net(torch.empty(1, *net.shape, device=net.softmax.weight.device))
    for hook in hooks:
        hook.remove()
    flops = counter.get_flop_counts()
    paths = {name: f"Inception.{'' if name == 'softmax' else 'rows.'}{name}" for name in parts}
    return [
        {
            "name": name,
            "shape": shapes[name],
            "depth": depths[name],
            "parameters": sum(parameter.numel() for parameter in part.parameters()),
            "multiply_adds": sum(flops.get(paths[name], {}).values()) // 2,
        }
        for name, part in parts.items()
    ]


def weight_layers(output: Tensor, known: dict | None = None) -> int:
    """Convolutions and matrix products on the longest path from the image to `output`; `known` saves the work."""
    known = {} if known is None else known

    def longest(node) -> int:
        if node is None:
            return 0
        if node not in known:
            weighs = node.name().startswith(("Convolution", "Addmm"))
            known[node] = weighs + max((longest(before) for before, _ in node.next_functions), default=0)
        return known[node]

    return longest(output.grad_fn)


def readings() -> dict[str, list[dict]]:
    """The counted rows of every reading of the paper's network."""
    return {name: count(build(**options)) for name, options in READINGS.items()}


def totals(rows: dict[str, list[dict]]) -> dict[str, dict[str, int]]:
    """Depth, parameters and multiply-adds of every reading."""
    keys = ("depth", "parameters", "multiply_adds")
    return {name: {key: sum(row[key] for row in counted) for key in keys} for name, counted in rows.items()}


def measure(rows: dict[str, list[dict]]) -> dict[str, dict[str, list[float]]]:
    """Every claim about the network, {claim id: {name: [one number]}}, from what `readings` found."""
    total = totals(rows)
    values = {
        "inception-5x5-split": {"widest": max(row.double for row in FIGURE_5)},
        "inception-params": _parameters(total),
        "no-fc-layers": _fully_connected(),
        "bn-all-nonlinearities": _normalized(),
        "app-depth9": {"deeper": total["googlenet double"]["depth"] - total["googlenet"]["depth"]},
        "app-cost": _cost(total),
        "app-28x28-modules": _modules_at_28(rows),
        "app-pooling": _pooling(rows["figure 5 bn"]),
        "app-separable-first": _separable(rows),
        "fig5-channel-sums": _channel_sums(rows),
    }
    return {claim: {name: [value] for name, value in named.items()} for claim, named in values.items()}


def _parameters(total: dict) -> dict:
    readings = [total[name]["parameters"] for name in ("narrowed", "figure 5", "figure 5 bn", "figure 5 separable")]
    gap = min(abs(paper.INCEPTION_PARAMETERS - reading) for reading in readings)
    return {"fewest": min(readings), "most": max(readings), "missing": gap}


def _fully_connected() -> dict:
    """Fully connected layers before the one that feeds the softmax."""
    linear = _layers(build(), nn.Linear)
    return {"others": len(linear) - 1, "outputs": linear[-1].out_features}


def _normalized() -> dict:
    """Convolutions whose output goes anywhere but into BN, and weights whose shape BN changes."""
    net, outputs, normalized = build(), [], []
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output))
        elif isinstance(layer, nn.BatchNorm2d):
            layer.register_forward_pre_hook(lambda _layer, inputs: normalized.append(inputs[0]))
    net(torch.empty(1, *net.shape, device="meta"))
    known = {id(tensor) for tensor in normalized}
    weighted = [_layers(build(batch_norm=flag), nn.Conv2d, nn.Linear) for flag in (True, False)]
    differ = sum(a.weight.shape != b.weight.shape for a, b in zip(*weighted, strict=True))
    return {"without_bn": sum(id(tensor) not in known for tensor in outputs), "layers": len(known), "changed": differ}


def _layers(module: nn.Module, *kinds: type[nn.Module]) -> list:
    return [layer for layer in module.modules() if isinstance(layer, kinds)]


def _cost(total: dict) -> dict:
    """Growth in percent by each reading of the comparison, and how far the nearest is from the paper's."""
    pairs = {
        "same": ("googlenet", "googlenet double"),
        "own": ("figure 5 with 5x5", "figure 5"),
        "whole": ("googlenet", "figure 5"),
    }
    growths = {}
    for quantity, printed in paper.GROWTH.items():
        growth = {name: 100 * (total[b][quantity] / total[a][quantity] - 1) for name, (a, b) in pairs.items()}
        growths |= {f"{quantity}_{name}": value for name, value in growth.items()}
        growths[f"{quantity}_off"] = min(abs(value - printed) for value in growth.values())
    return growths


def _modules_at_28(rows: dict) -> dict:
    """Modules that are given 28×28 images, in GoogLeNet and in Figure 5."""
    modules = {row.name for row in (*GOOGLENET, *FIGURE_5) if row.kind == "inception"}

    def at_28(counted: list[dict]) -> int:
        return sum(row["name"] in modules and before["shape"][-1] == 28 for before, row in pairwise(counted))

    return {"before": at_28(rows["googlenet"]), "after": at_28(rows["figure 5"])}


def _pooling(counted: list[dict]) -> dict:
    """Kinds of pools inside modules, rows of another kind between modules, and where the image is halved."""
    net = build()
    modules = {name: row for name, row in net.rows.named_children() if isinstance(row, InceptionModule)}
    pools = {type(layer) for row in modules.values() for layer in row.modules()} & {nn.MaxPool2d, nn.AvgPool2d}
    names = [name for name, _ in net.rows.named_children()]
    first, last = (names.index(list(modules)[end]) for end in (0, -1))
    sizes = {row["name"]: row["shape"][-1] for row in counted}
    halving = {name for before, name in pairwise(names) if name in modules and sizes[name] < sizes[before]}
    astray = halving ^ {"3c", "4e"}
    return {"kinds": len(pools), "between": last - first + 1 - len(modules), "astray": len(astray)}


def _separable(rows: dict) -> dict:
    """What the separable first layer saves in multiply-adds an image, and what more it keeps for the gradient."""
    nets = [build(), build(separable=True)]
    operations = [rows[name][0]["multiply_adds"] for name in ("figure 5 bn", "figure 5 separable")]
    kept = [_kept(net) for net in nets]
    weights = [sum(c.weight.numel() for c in _layers(net.rows.conv1, nn.Conv2d)) for net in nets]
    cost = {"saved": operations[0] - operations[1], "kept_more": kept[1] - kept[0]}
    return cost | {"weights": weights[0], "weights_separable": weights[1]}


def _kept(net: Inception) -> int:
    """Activations that torch keeps for the backward pass of the first layer's convolutions, one image."""
    kept = {}

    def pack(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            kept[id(tensor)] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        nn.Sequential(*_layers(net.rows.conv1, nn.Conv2d))(torch.empty(1, *net.shape, device="meta"))
    return sum(tensor.numel() for tensor in kept.values())


def _channel_sums(rows: dict) -> dict:
    """Modules whose branches do not add up to the printed channels, and those that come out otherwise when built."""
    modules = [(before.channels, row) for before, row in pairwise(FIGURE_5) if row.kind == "inception"]
    sums = [row.one + row.three + row.double + (row.proj or inputs) for inputs, row in modules]
    differ = sum(total != row.channels for total, (_, row) in zip(sums, modules, strict=True))
    built = {name: _otherwise(rows[reading]) for name, reading in (("built", "figure 5"), ("narrowed", "narrowed"))}
    return {"differ": differ, "modules": len(modules)} | built


def _otherwise(counted: list[dict]) -> int:
    return sum(row["shape"][0] != printed.channels for row, printed in zip(counted, FIGURE_5, strict=False))


def trial(split: Split, seed: int, steps: int, **options) -> dict:
    """A few steps of plain SGD on one mini-batch, to show that a network runs and that its gradient arrives.

    `options` are those of `Inception`. Returns the network's parameters and multiply-adds an image, its loss before
    the first step and after the last, and the share of its parameter tensors that the first gradient reaches. One
    thread, so that the same seed has the same digits on a busy machine.
    """
    net = Inception(classes=CLASSES, channels=1, seed=seed, **options)
    draw = torch.randperm(len(split.y), generator=torch.Generator().manual_seed(seed))[: paper.BATCH]
    images = split.x[draw].float().view(-1, 1, 28, 28)
    x, y = interpolate(images, net.shape[1:], mode="bilinear", align_corners=False), split.y[draw]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        losses, reached = _descend(net, x, y, steps)
    finally:
        torch.set_num_threads(threads)
    rows = count(build(classes=CLASSES, channels=1, **options))
    cost = {key: sum(row[key] for row in rows) for key in ("parameters", "multiply_adds")}
    return cost | {"before": losses[0], "after": losses[-1], "reached": reached}


def _descend(net: Inception, x: Tensor, y: Tensor, steps: int) -> tuple[list[float], float]:
    optimizer, losses, reached = torch.optim.SGD(net.parameters(), lr=_RATE), [], 0.0
    for step in range(steps + 1):
        loss = cross_entropy(net(x), y)
        losses.append(loss.item())
        if step < steps:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if step == 0:
            reached = sum(bool(p.grad.any()) for p in net.parameters()) / len(list(net.parameters()))
    return losses, reached
