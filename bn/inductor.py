"""A ReLU after BatchNorm computed by our operators under torch.compile too.

Inductor, the compiler of torch.compile, fuses what it writes itself; operators like `bn::training` it calls as they
are, and a ReLU after one would read and write everything once more, forward and backward. It lets others change its
graphs: in the joint graph, forward and backward together, without aliases and operations in place, a pass of ours
leaves the ReLU, and the sum before it if there is one, to the operators, which have both built in. Nobody has to
turn it on: `bn.ops` registers it where TorchDynamo traces a call of the operators, and in no other program.
"""

import operator

import torch
from torch import fx
from torch._inductor import config
from torch._inductor.custom_graph_pass import CustomGraphPass, get_hash_for_files
from torch._inductor.pattern_matcher import stable_topological_sort
from torch.fx.experimental.symbolic_shapes import statically_known_true

aten, ours = torch.ops.aten, torch.ops.bn
functionalized = torch.ops.higher_order.auto_functionalized_v2  # how an operator is called that changes its arguments


@torch.compiler.assume_constant_result  # TorchDynamo calls it when it comes to it; the graph gets nothing of it
def register():
    """Have Inductor run `fuse_relu` after the passes that are set, for this thread, to which its settings belong.

    With `torch.compile(..., options={"joint_custom_pre_pass": other})` only the other runs.
    """
    theirs = config.joint_custom_pre_pass
    passes = tuple(theirs) if isinstance(theirs, list | tuple) else (theirs,) if theirs else ()
    if not any(isinstance(one, FuseReLU) for one in passes):
        config.joint_custom_pre_pass = FuseReLU(passes)


class FuseReLU(CustomGraphPass):
    """`fuse_relu` after other passes, in the form that lets Inductor keep on disk what it has compiled."""

    def __init__(self, before=()):
        self.before = before

    def __call__(self, graph: fx.Graph):
        """Change a joint graph in place."""
        for one in (*self.before, fuse_relu):
            one(graph)

    def uuid(self):
        """A name of all the passes; None, which means not to keep anything, where one of them has none."""
        names = [one.uuid() if isinstance(one, CustomGraphPass) else None for one in self.before]
        return None if None in names else (*names, get_hash_for_files((__file__,)))


def fuse_relu(graph: fx.Graph) -> int:
    """Leave to our operators each ReLU that alone reads their output, or output + residual; return how many.

    In training and inference, and in the gradients if the graph has them. Output, gradients and running statistics
    are those of `bn.functional.batch_norm_act` with the same activation and residual, to the last bit. They differ
    from what they were by rounding only: with a residual, sums may be taken in another order, and in half precision
    the sum before the ReLU is rounded once, not twice, and a gradient passes where z > 0 is rounded to 0.

    What stays as it is: an output, or a sum, that anything else reads; a sum with a factor; a residual that differs
    from the input in shape, strides or type, or that is computed from statistics which this very call has changed.
    """
    found = sum([_fuse(node) for node in list(graph.nodes)])
    if found:
        stable_topological_sort(graph)  # residuals may come after the operator, and their gradients before its own
    return found


def _fuse(norm: fx.Node) -> bool:
    given = _arguments(norm, "training", "inference")
    if not given or given["relu"]:
        return False
    y, residual = _output(norm, 0), given["residual"]
    add, relu = None, _only_reader(y)
    if residual is None and relu and relu.target is aten.add.Tensor and not relu.kwargs:
        add, relu = relu, _only_reader(relu)
        residual = add.args[1] if add.args[0] is y else add.args[0]
        if not _alike(residual, given["x"]) or _comes_from(residual, norm, add):
            return False
    if not relu or relu.target is not aten.relu.default:
        return False
    backward = [node for node in getattr(_output(norm, 1), "users", ()) if _arguments(node, "backward")]
    if len(backward) > 1 or not all(_can_fuse_backward(node, relu, residual) for node in backward):
        return False
    keep_bits = {"keep_bits": residual is not None and bool(backward)} if "keep_bits" in given else {}
    _change(norm, relu=True, residual=residual, **keep_bits)
    for node in backward:
        _fuse_backward(node, residual)
    relu.replace_all_uses_with(y)
    for node in filter(None, (relu, add)):
        norm.graph.erase_node(node)
    return True


def _can_fuse_backward(backward: fx.Node, relu: fx.Node, residual: fx.Node | None) -> bool:
    """Tell whether the gradient that reaches `bn::backward` is dz = where(relu <= 0, 0, dy)."""
    given = _arguments(backward, "backward")
    dz = given["dy"]
    if dz.target is not aten.where.self or (residual is not None and not _alike(dz, given["x"])):
        return False
    stopped, zero, _ = dz.args
    if stopped.target is not aten.le.Scalar or zero.target not in (aten.scalar_tensor.default, aten.full.default):
        return False
    return _source(stopped.args[0]) is relu and stopped.args[1] == 0 and zero.args[-1] == 0


def _fuse_backward(backward: fx.Node, residual: fx.Node | None):
    dz = _arguments(backward, "backward")["dy"]
    own = residual is not None and len(dz.users) > 1  # the residual's gradient, for which there is a kernel's output
    _change(backward, dy=dz.args[2], relu=True, residual=own)
    if own:
        with backward.graph.inserting_after(backward):
            output = backward.graph.call_function(operator.getitem, (backward, 3))
        output.meta = dz.meta | {"val": backward.meta["val"][3]}
        dz.replace_all_uses_with(output)


def _arguments(node: fx.Node, *names: str) -> dict | None:
    """The arguments of a call of one of our operators, by name."""
    target = node.args[0] if node.target is functionalized else node.target
    if not any(target is getattr(ours, name).default for name in names):
        return None
    if node.target is functionalized:
        return dict(node.kwargs)
    return dict(zip([argument.name for argument in target._schema.arguments], node.args, strict=True))


def _change(node: fx.Node, **changes):
    """Change arguments of a call of one of our operators, and all that the graph has written down about it."""
    if node.target is functionalized:
        node.kwargs = {**node.kwargs, **changes}
    else:
        node.args = tuple({**_arguments(node, "inference", "backward"), **changes}.values())
    args, kwargs = inputs = fx.node.map_arg((node.args, node.kwargs), lambda argument: argument.meta["val"])
    with node.meta["val"][0].fake_mode:
        node.meta["val"] = node.target(*args, **kwargs)
    if "eager_input_vals" in node.meta:  # from which Inductor makes the call again: what is no tensor here is lost
        node.meta["eager_input_vals"] = fx.node.map_aggregate(
            inputs, lambda value: value if isinstance(value, torch.Tensor | torch.SymInt | torch.SymFloat) else None
        )
    for output in node.users:
        output.meta["val"] = node.meta["val"][output.args[1]]


def _output(node: fx.Node, index: int) -> fx.Node | None:
    return next((user for user in node.users if user.args[1] == index), None)


def _only_reader(node: fx.Node | None) -> fx.Node | None:
    return next(iter(node.users)) if node and len(node.users) == 1 else None


def _source(node: fx.Node) -> fx.Node:
    while node.target in (aten.alias.default, aten.detach.default):
        node = node.args[0]
    return node


def _comes_from(node: fx.Node, origin: fx.Node, until: fx.Node) -> bool:
    """Tell whether `node` is computed from `origin`; both come before `until`."""
    reached, step = {origin}, origin
    while step is not until:
        step = step.next
        if reached.intersection(step.all_input_nodes):
            reached.add(step)
    return node in reached


def _alike(node, other: fx.Node) -> bool:
    """Tell whether a node is a tensor of another's shape, strides, type and device."""
    if not isinstance(node, fx.Node):
        return False
    a, b = node.meta["val"], other.meta["val"]
    same = isinstance(a, torch.Tensor) and (a.dtype, a.device, a.dim()) == (b.dtype, b.device, b.dim())
    sizes = zip((*a.shape, *a.stride()), (*b.shape, *b.stride()), strict=True) if same else ()
    return same and all(statically_known_true(one == two) for one, two in sizes)
