"""The kernels of bn beside torch, torch.compile and other libraries: speed, memory and error."""

from bn.lab.chapters.kernels.estimates import ESTIMATES
from bn.lab.chapters.kernels.record import record
from bn.lab.chapters.kernels.spec import Kernels
from bn.lab.registry import Experiment

EXPERIMENT = Experiment("kernels", Kernels, record, ESTIMATES)
