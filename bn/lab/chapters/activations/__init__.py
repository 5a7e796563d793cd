"""Section 4.1: Figure 1, accuracy and the input of a typical sigmoid, and the grid of settings behind it."""

from bn.lab.chapters.activations.estimates import ESTIMATES
from bn.lab.chapters.activations.record import record
from bn.lab.chapters.activations.spec import Activations
from bn.lab.registry import Experiment

EXPERIMENT = Experiment("activations", Activations, record, ESTIMATES)
