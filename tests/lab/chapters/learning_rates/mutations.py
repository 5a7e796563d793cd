"""A wrong line of the reference for each identity of section 3.3, and of the identity itself where it has no other."""

from functools import partial

from mutations import Mutation

from bn.lab.chapters.learning_rates import identities

draw = partial(identities.draw, m=12, inputs=4, outputs=3)

_reference = partial(Mutation, "bn.reference")
_identities = partial(Mutation, "bn.lab.chapters.learning_rates.identities")
MUTATIONS = {
    "scale-invariance-sign": [
        _reference("x_hat = (rows - mu_B)", "x_hat = abs(rows - mu_B)"),
        _identities("-a * case.weight", "a * case.weight"),
    ],
    "scale-invariance-eps": [
        _reference("np.sqrt(sigma2_B + eps)  # line 3", "(np.sqrt(sigma2_B) + eps)"),
        _identities("(a**2 * v + eps)", "(a * v + eps)"),
    ],
    "jacobian-u-invariance": [
        _reference(" + dmu_B / m", ""),
        _identities("dx @ (a * case.weight)", "dx @ case.weight"),
    ],
    "jacobian-W-inverse-scale": [
        _reference(" + dsigma2_B * 2 * (x - mu_B) / m", ""),
        _identities("a * _backward(case", "_backward(case"),
    ],
    "larger-weights-smaller-gradients": [
        _reference(" + dsigma2_B * 2 * (x - mu_B) / m", ""),
        _reference("dx_hat = dy * gamma", "dx_hat = dy"),
        _identities("w - rate[:, None] * g", "w - 2 * rate[:, None] * g"),
    ],
    "orthogonal-preserves-gradient": [
        _identities("np.linalg.qr(case.u.T @ case.u)[0]", "np.cov(case.u.T)"),
        _identities("values**-0.5", "values**-0.4"),
        _identities("case.weight / x.std(0)[:, None]", "_whitening(x) @ case.weight"),
    ],
}
