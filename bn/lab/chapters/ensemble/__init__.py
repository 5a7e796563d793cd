"""Section 4.2.3: Figure 4, one crop, many crops and six networks."""

from bn.lab.chapters.ensemble.estimates import ESTIMATES
from bn.lab.chapters.ensemble.record import record
from bn.lab.chapters.ensemble.spec import EnsembleSpec
from bn.lab.registry import Experiment

EXPERIMENT = Experiment("ensemble", EnsembleSpec, record, ESTIMATES)
