"""A wrong line for each identity of sections 1 and 2: of the toys or the reference, else its own."""

from functools import partial

from mutations import Mutation

from bn.lab.chapters.motivation.identities import draw

__all__ = ["MUTATIONS", "draw"]

_own = partial(Mutation, "bn.lab.chapters.motivation.identities")
_reference = partial(Mutation, "bn.reference")
_toys = partial(Mutation, "bn.lab.chapters.motivation.toys")
MUTATIONS = {
    "minibatch-grad-unbiased": [_own("combinations(range(_FEW), m)], 0)", "combinations(range(_FEW), m)][:5], 0)")],
    "minibatch-grad-variance": [
        _own("single / m * (n - m) / (n - 1)}", "single / m}"),
        _own("single = each.var(0).sum()", "single = each.var(0, ddof=1).sum()"),
    ],
    "subnetwork-equivalence": [_own("dlogits @ W2 * z * (1 - z)", "dlogits @ W2 * z")],
    "sigmoid-gradient-vanishes": [
        _own("torch.tensor(-abs(x), requires_grad=True)", "torch.tensor(abs(x), requires_grad=True)"),
        _own("_FAR = np.array([0.0, 5.0, 10.0])", "_FAR = np.array([0.0, 5.0, 9.0])"),
    ],
    "saturated-dims-block-gradient": [
        _own("(g * (1 - g))[:, None] * W", "g[:, None] * W"),
        _own("for at in (10.0, 0.0)", "for at in (2.0, 0.0)"),
    ],
    "bn-fixes-mean-var": [
        _own("x = norm(v) if normalized else v", "x = norm.eval()(v) if normalized else v"),
        _own("layers[0].weight.mul_(3).add_(", "layers[4].weight.mul_(3).add_("),
    ],
    "interleaved-normalization-wasted": [_own("(b - x.mean()) / x.std()", "b / x.std()")],
    "bias-blowup-identity": [_own("return x - x.mean()", "return x - u.mean()")],
    "bias-unbounded-growth": [_toys("b -= rate * dx.sum()", "b -= rate * (dx.sum() + 1e-9 * b)")],
    "bias-true-gradient-zero": [
        _toys("dx = dx_hat - dx_hat.mean() if seen", "dx = dx_hat - dx_hat.mean() / 2 if seen"),
        _own("(torch.tensor(dy) * (x - x.mean())).sum()", "(torch.tensor(dy) * (x - x.detach().mean())).sum()"),
    ],
    "norm-two-jacobians": [
        _reference("(-dx_hat / np.sqrt", "(dx_hat / np.sqrt"),
        _own("error(first + second, expected)", "error(first, expected)"),
    ],
    "whitening-formula": [_own("- np.outer(mean, mean)", "")],
    "single-example-loses-scale": [_own("return (x - x.mean()) / x.std()", "return x - x.mean()")],
}
