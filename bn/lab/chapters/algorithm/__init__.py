"""Sections 3 to 3.3: Algorithms 1 and 2, the gradients, inference."""

from bn.lab.chapters.algorithm.record import record
from bn.lab.chapters.algorithm.spec import Algorithm
from bn.lab.registry import Experiment

EXPERIMENT = Experiment("algorithm", Algorithm, record)
