"""Section 3.4: the noise of mini-batches as a regularizer, and what Dropout is still worth beside it."""

from bn.lab.chapters.regularization.estimates import ESTIMATES
from bn.lab.chapters.regularization.record import record
from bn.lab.chapters.regularization.spec import Regularization
from bn.lab.registry import Experiment

EXPERIMENT = Experiment("regularization", Regularization, record, ESTIMATES)
