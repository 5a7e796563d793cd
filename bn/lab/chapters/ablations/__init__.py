"""Section 4.2.1: each of the seven changes of the training, alone and left out."""

from bn.lab.chapters.ablations.estimates import ESTIMATES
from bn.lab.chapters.ablations.record import record
from bn.lab.chapters.ablations.spec import AblationSpec
from bn.lab.registry import Experiment

EXPERIMENT = Experiment("ablations", AblationSpec, record, ESTIMATES)
