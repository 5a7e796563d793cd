"""Section 4.2 and the appendix: the network of Figure 5, built, counted and held against the table."""

from bn.lab.chapters.inception.record import record
from bn.lab.chapters.inception.spec import Counted
from bn.lab.registry import Experiment

EXPERIMENT = Experiment("inception", Counted, record)
