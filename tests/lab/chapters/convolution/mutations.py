"""A wrong line for each identity of chapter 04."""

from functools import partial

from mutations import Mutation

from bn.lab.chapters.convolution import identities

draw = partial(identities.draw, m=10, features=3)

_identities = partial(Mutation, "bn.lab.chapters.convolution.identities")
MUTATIONS = {
    "bias-subsumed-by-beta": [
        Mutation("bn.reference", "gamma * x_hat + beta  # line 4", "gamma * (x_hat + beta)"),
        Mutation("bn.reference", "rows.sum(0) / m  # Algorithm 1, line 1", "rows.sum(0) / (m - 1)"),
        Mutation("bn.lab.train.stacks", 'bias=norm is None or place == "after")', "bias=True)"),
        _identities("mlp(WIDTHS, BatchNorm1d)", 'mlp(WIDTHS, BatchNorm1d, place="after")'),
    ],
    "conv-inference-same-map": [
        _identities("norm.double().eval()", "norm.double().train()"),
        _identities('padding_mode="circular"', 'padding_mode="zeros"'),
        _identities("nn.Sequential(convolution, own)", "nn.Sequential(convolution, shared)"),
        _identities("(beta - slope * mean)", "(beta - mean)"),
    ],
}
