"""Section 5, and what later work found: covariate shift or smoothness, small mini-batches, rates, statistics."""

from bn.lab.chapters.since_then.estimates import ESTIMATES
from bn.lab.chapters.since_then.record import record
from bn.lab.chapters.since_then.spec import SinceThen
from bn.lab.registry import Experiment

EXPERIMENT = Experiment("since_then", SinceThen, record, ESTIMATES)
