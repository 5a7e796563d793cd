"""Section 3.3: scale invariance, Jacobians, and how far the learning rate can go by depth and first weights."""

from bn.lab.chapters.learning_rates.estimates import ESTIMATES
from bn.lab.chapters.learning_rates.record import record
from bn.lab.chapters.learning_rates.spec import LearningRates
from bn.lab.registry import Experiment

EXPERIMENT = Experiment("learning_rates", LearningRates, record, ESTIMATES)
