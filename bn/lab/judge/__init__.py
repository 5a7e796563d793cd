"""From records to verdicts: statistics, the reading of curves, and the rules."""
