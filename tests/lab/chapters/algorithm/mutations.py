"""A wrong line of the reference for each identity of section 3, and of the identity itself where it has no other."""

from functools import partial

from mutations import Mutation

from bn.lab.chapters.algorithm import case

draw = partial(case.draw, m=12, features=3, eps=1e-5)

_reference = partial(Mutation, "bn.reference")
_identities = partial(Mutation, "bn.lab.chapters.algorithm.identities")
MUTATIONS = {
    "alg1-transform": [_reference("np.sqrt(sigma2_B + eps)  # line 3", "(np.sqrt(sigma2_B) + eps)")],
    "eps-role": [_reference("np.sqrt(sigma2_B + eps)  # line 3", "np.sqrt(sigma2_B + 2 * eps)")],
    "zero-sum-unit-square": [_reference("rows.sum(0) / m  # Algorithm 1, line 1", "np.median(rows, 0)")],
    "conv-effective-batch": [_reference("** 2).sum(0) / m  # line 2", "** 2).sum(0) / (m - 1)")],
    "identity-recoverable": [_reference("gamma * x_hat + beta  # line 4", "gamma * (x_hat + beta)")],
    "bias-redundant": [_reference("rows - mu_B) / np.sqrt", "rows) / np.sqrt")],
    "scale-invariance": [_reference("np.sqrt(sigma2_B + eps)  # line 3", "np.sqrt(1 + eps)")],
    "bn-couples-examples": [_reference("x_hat = (rows - mu_B)", "x_hat = (rows - mu_B).round(3)")],
    "joint-not-fixed": [_reference("x_hat = (rows - mu_B)", "x_hat = np.arange(m)[:, None] + (rows - mu_B)")],
    "grad-xhat": [_reference("dx_hat = dy * gamma", "dx_hat = dy")],
    "grad-var": [_reference("(-3 / 2)", "(-1 / 2)")],
    "grad-mean": [_reference("(-dx_hat / np.sqrt", "(dx_hat / np.sqrt")],
    "grad-input": [_reference(" + dsigma2_B * 2 * (x - mu_B) / m", "")],
    "grad-input-sums-zero": [_reference(" + dmu_B / m", "")],
    "grad-compact": [_reference(" + dmu_B / m", "")],
    "grad-gamma": [_reference("(dy * x_hat).sum(0)", "(dy * x).sum(0)")],
    "grad-beta": [_reference("dbeta = dy.sum(0)", "dbeta = dy.mean(0)")],
    "unbiased-variance": [_reference("m / (m - 1) * sigma2_B", "sigma2_B")],
    "population-statistics": [_reference("mean = mu_B.mean(0)", "mean = mu_B[0]")],
    "inference-deterministic": [_reference("slope * rows + offset", "slope * (rows - rows.mean(0))")],
    "inference-linear": [_reference("slope * rows + offset", "abs(slope * rows + offset)")],
    "fold-into-previous-layer": [_reference("beta - slope * mean", "beta - mean")],
    "m-greater-1": [_identities("y = gamma * (x - x.mean(0)) / torch.sqrt(", "y = gamma * x / torch.sqrt(")],
    "sigmoid-linear-regime": [
        _identities("return expit(std * z) - 1 / 2", "return np.sign(z) / 2"),
        _identities("_NODES = 250", "_NODES = 4"),
    ],
}
