"""Section 4.2.3: Figure 4, one crop, many crops and six networks."""

from bn.lab.chapters.ensemble.estimates import ESTIMATES
from bn.lab.chapters.ensemble.record import record
from bn.lab.registry import Experiment
from bn.lab.train.specs import ImageSpec

EXPERIMENT = Experiment("ensemble", ImageSpec, record, ESTIMATES)
