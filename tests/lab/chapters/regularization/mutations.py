"""A wrong line for each number of the identity of section 3.4: of the reference, and of the identity itself."""

from functools import partial

from mutations import Mutation

from bn.lab.chapters.regularization import identities

draw = identities.draw

_reference = partial(Mutation, "bn.reference")
_identities = partial(Mutation, "bn.lab.chapters.regularization.identities")
MUTATIONS = {
    "training-nondeterministic": [
        _reference("** 2).sum(0) / m  # line 2", "** 2).sum(0) / (m - 1)"),  # enumeration
        _reference("slope * rows + offset", "slope * (rows - rows.mean(0))"),  # at inference
        _reference("x_hat = (rows - mu_B) / np.sqrt(sigma2_B + eps)", "x_hat = rows / np.sqrt(1 + eps + 0 * sigma2_B)"),
        _identities("(1 + a**2 / 2)", "(1 + a**2)"),
        _identities("np.sqrt(2 * half / (m - 1))", "np.sqrt(2 * half / (m - 2)) ** 2"),
    ]
}
