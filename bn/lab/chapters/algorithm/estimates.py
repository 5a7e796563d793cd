"""The one claim of section 3 that is not an identity."""

from bn.lab.judge.statistics import Estimate, without_interval


def moving_averages(record: dict) -> dict[str, Estimate]:
    """Test accuracy in points: moving averages against Algorithm 2's averages, the largest gap of any seed."""
    pairs = zip(record["inference"]["moving"], record["inference"]["population"], strict=True)
    gaps = [100 * abs(a - b) for a, b in pairs]
    return {"gap": without_interval(max(gaps), len(gaps))}


ESTIMATES = {"moving-averages": moving_averages}
