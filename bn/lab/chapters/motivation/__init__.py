"""Sections 1 and 2: saturation, the moving input of a sub-network, normalization outside the gradient, whitening."""

from bn.lab.chapters.motivation.estimates import ESTIMATES
from bn.lab.chapters.motivation.record import record
from bn.lab.chapters.motivation.spec import Motivation
from bn.lab.registry import Experiment

EXPERIMENT = Experiment("motivation", Motivation, record, ESTIMATES)
