r"""Numbers as text, for pages and figures alike: each in a Unicode isolate, so that Arabic leaves its order alone.

>>> percent(0.5), ratio(3, 5)
('\u206650.0%\u2069', '\u20663/5\u2069')
"""

import math

import numpy as np

from bn.lab.judge.statistics import Estimate

NONE = "–"  # in the place of a number that there is not
_LRI, _FSI, _PDI = "\u2066", "\u2068", "\u2069"  # left to right, by the first strong letter, end
_IN_NUMBERS = str.maketrans("- ", "−\u00a0")  # a true minus sign, and no line ends inside a number or an interval
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


_SMALL = 1e-3  # below it a power of ten is easier to read


def left_to_right(text: object) -> str:
    """A number or a formula in an isolate, with a true minus sign and on one line."""
    return f"{_LRI}{str(text).translate(_IN_NUMBERS)}{_PDI}"


def isolated(text: object) -> str:
    """A text that has its own direction, such as a device's name; letter for letter."""
    return f"{_FSI}{text}{_PDI}"


def number(value: object) -> str:
    """Three significant digits, or whole with commas; text as it is."""
    if isinstance(value, float | np.floating):
        by_power = math.isnan(value) or 0 < abs(value) < _SMALL
        value = bare(value) if by_power else f"{value:z.3g}" if abs(value) < 100 else f"{value:,.0f}"
    elif isinstance(value, int | np.integer):
        value = f"{value:,}"
    return left_to_right(value)


def percent(share: float, digits: int = 1) -> str:
    """A share as a percentage."""
    return left_to_right(f"{100 * share:.{digits}f}%")


def signed(value: float, digits: int = 2) -> str:
    """A difference, with its sign."""
    return left_to_right(f"{value:+.{digits}f}")


def ratio(part: int, whole: int) -> str:
    """So many of so many, such as 3/5."""
    return left_to_right(f"{part}/{whole}")


def pair(first: object, second: object) -> str:
    """Two sizes, such as 28×28."""
    return left_to_right(f"{first}×{second}")


def times(factor: float) -> str:
    """A multiple, such as ×5."""
    return left_to_right(f"×{factor:g}")


def between(low: float, high: float, digits: int, scale: float = 1, unit: str = "") -> str:
    """A range, [low, high]."""
    ends = (f"{scale * end:,.{digits}f}{unit}" for end in (low, high))
    return left_to_right(f"[{', '.join(ends)}]")


def interval(estimate: Estimate, digits: int, scale: float = 1, unit: str = "") -> str:
    """A space and [low, high], or nothing where there is no interval, as of a single seed."""
    if not math.isfinite(estimate.low) or not math.isfinite(estimate.high):
        return ""
    return f" {between(estimate.low, estimate.high, digits, scale, unit)}"


def with_interval(estimate: Estimate, digits: int, scale: float = 1, unit: str = "") -> str:
    """The value and its interval."""
    value = left_to_right(f"{scale * estimate.value:,.{digits}f}{unit}")
    return value + interval(estimate, digits, scale, unit)


def scientific(value: float) -> str:
    """0.984, 3.0×10⁻¹⁶: as `bare`, on one line and in order."""
    return left_to_right(bare(value))


def bare(value: float) -> str:
    """0.984, 3.0×10⁻¹⁶: plain digits where they are few, a power of ten where they are many; a dash for none."""
    if math.isnan(value):
        return NONE
    if 1e3 <= abs(value) < 1e4:
        return f"{float(f'{value:.3g}'):,.0f}".replace("-", "−")
    if value == 0 or not math.isfinite(value) or _SMALL <= abs(value) < 1e3:
        return f"{value:.3g}".replace("inf", "∞").replace("-", "−")
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.replace('-', '−')}×10{superscript(int(exponent))}"


def p_value(p: float) -> str:
    """A p-value with two digits, as far as they say anything."""
    return left_to_right("p < 0.0001" if p < 1e-4 else f"p = {p:.2g}" if p < 0.995 else "p = 1")


def superscript(exponent: int) -> str:
    """An exponent in raised digits, since mathematics inside Arabic text would come out reversed."""
    return str(exponent).translate(_SUPERSCRIPTS)
