"""The mathematical claims of sections 3 to 3.3: a function measures each on data drawn from a seed.

>>> sorted(measure(seeds=[0], m=60, features=8, eps=1e-5)["grad-input"])
['autograd', 'finite_difference']

A function takes a `Case` and returns named numbers, mostly the error of `bn.reference` against a computation
that shares no code with it: long double, finite differences, torch, enumeration. It does not judge them: the
rules are in book/claims/algorithm.yml. Everything is dimensionless and, where not said otherwise, float64.
"""

from collections.abc import Sequence

from bn.lab.chapters.algorithm import gradients, inference, transform
from bn.lab.chapters.algorithm.case import Numbers, draw

CLAIMS = gradients.GRADIENTS | {  # a function is called as its claim is, but for the sign between the words
    function.__name__.replace("_", "-"): function
    for function in (
        transform.alg1_transform,
        transform.eps_role,
        transform.zero_sum_unit_square,
        transform.joint_not_fixed,
        transform.identity_recoverable,
        gradients.bn_couples_examples,
        gradients.grad_compact,
        gradients.grad_input_sums_zero,
        transform.m_greater_1,
        inference.unbiased_variance,
        inference.population_statistics,
        inference.inference_deterministic,
        inference.inference_linear,
        inference.fold_into_previous_layer,
        transform.sigmoid_linear_regime,
        inference.conv_effective_batch,
        inference.bias_redundant,
        inference.scale_invariance,
    )
}


def measure(seeds: Sequence[int], m: int, features: int, eps: float) -> dict[str, dict[str, list[float]]]:
    """Measure every claim for each seed: {claim id: {name: [a number for each seed]}}.

    A mini-batch has `m` examples of `features` numbers, `eps` is the constant under the root. ValueError where m is 1.
    """
    cases = [draw(seed, m, features, eps) for seed in seeds]
    return {claim: _by_name([function(case) for case in cases]) for claim, function in CLAIMS.items()}


def _by_name(results: list[Numbers]) -> dict[str, list[float]]:
    return {name: [float(result[name]) for result in results] for name in results[0]}
