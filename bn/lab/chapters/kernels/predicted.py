"""How long the kernels can take at least, by the bytes they move and by what the compiler says, and a prediction.

A pass takes as long as its bytes at the speed of a copy, or as its instructions where these take longer. The floor has
both at full speed. The prediction has what was measured once, of the kernels before these on an H100 (bfloat16,
BN+ReLU, NCHW; book/records/kernels/gpu.json): streaming at 0.93 of a copy, and 8 microseconds a launch beside it
(256x64x112x112 and 256x64x56x56, forward), and half of the issue rate (256x1024x14x14, which their instructions bound:
134 of 240 microseconds forward, 153 of 342 backward).
"""

import math
from typing import NamedTuple

from bn.lab.chapters.kernels.cases import Case


class Card(NamedTuple):
    """Bytes a second that a copy reads and writes, and that the L2 cache gives; instructions of a thread a second."""

    copy: float
    l2: float
    issue: float


_ISSUE = 132 * 128 * 1.755e9  # multiprocessors, instructions of a thread in each clock, clocks a second
CARDS = {"H100": Card(3.08e12, 5.5e12, _ISSUE), "H200": Card(4.3e12, 5.5e12, _ISSUE)}  # the copy of the H200: estimate
STREAMING, ISSUING, LAUNCH = 0.93, 0.5, 8e-6


class Times(NamedTuple):
    """Seconds of one direction: of its bytes in two passes, of its instructions, and predicted from both.

    `cached` is predicted too: where what is read a second time comes from the L2 cache.
    """

    bytes: float
    instructions: float
    predicted: float
    cached: float


def times(case: Case, direction: str, said: dict, card: Card) -> Times:
    """Of a case's "forward" or "backward", and what the compiler said of its kernel; see `compiled.said`."""
    counts, passes = said["instructions"], _passes(case, direction)
    if "all" in counts:  # all is read once
        passes = [(sum(first for first, _ in passes), 0)]
    issued = [counts[name] * math.prod(case.shape) / card.issue for name in sorted(counts)]  # reduce, then write

    def predicted(again: float) -> float:
        streamed = [first / card.copy + second / again for first, second in passes]
        slower = [max(s / STREAMING, i / ISSUING) for s, i in zip(streamed, issued, strict=True)]
        return LAUNCH + sum(slower)

    in_two = case.moved("two")[("forward", "backward").index(direction)]
    return Times(in_two / card.copy, sum(issued), predicted(card.copy), predicted(card.l2))


def _passes(case: Case, direction: str) -> list[tuple[float, float]]:
    """Bytes that each pass moves for the first time, and those that it reads again."""
    T, mask = case.tensor_bytes, case.mask_bytes
    written = 2 * T if case.operation == "bn_add_relu" else T  # or, forward, read beside
    if not case.training:
        return [(2 * T, 0)]
    if direction == "forward":
        return [(T, 0), (written + mask, T)]
    return [(2 * T + mask, 0), (written, 2 * T + mask)]
