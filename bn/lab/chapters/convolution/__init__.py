"""Section 3.2: where BN is in a network, and what a feature map shares."""

from bn.lab.chapters.convolution.estimates import ESTIMATES
from bn.lab.chapters.convolution.record import record
from bn.lab.chapters.convolution.spec import Convolution
from bn.lab.registry import Experiment

EXPERIMENT = Experiment("convolution", Convolution, record, ESTIMATES)
