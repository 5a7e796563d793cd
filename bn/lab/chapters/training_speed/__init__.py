"""Sections 4.2.1 and 4.2.2: Figures 2 and 3, the controls, equal schedules, each at its own best rate."""

from bn.lab.chapters.training_speed.estimates import ESTIMATES
from bn.lab.chapters.training_speed.record import record
from bn.lab.registry import Experiment
from bn.lab.train.specs import ImageSpec

EXPERIMENT = Experiment("training_speed", ImageSpec, record, ESTIMATES)
