"""Small feed-forward networks in NumPy that train under any differentiable loss of the catalogue."""

from __future__ import annotations

from .activations import Activation
from .architecture import Architecture
from .criterion import Task
from .events import EpochEvent, Event, History, LayerNumbers, StartEvent, StepEvent, Watch
from .learner import Learner, NumpyLearner, Objective
from .optimizers import SGD, Adam, Optimizer
from .passes import Affine, Network
from .schedules import Constant, Cosine, Exponential, Inverse, Schedule
from .start import Start, starting_point
from .training import Plan, Training, train

__all__ = [
    "SGD",
    "Activation",
    "Adam",
    "Affine",
    "Architecture",
    "Constant",
    "Cosine",
    "EpochEvent",
    "Event",
    "Exponential",
    "History",
    "Inverse",
    "LayerNumbers",
    "Learner",
    "Network",
    "NumpyLearner",
    "Objective",
    "Optimizer",
    "Plan",
    "Schedule",
    "Start",
    "StartEvent",
    "StepEvent",
    "Task",
    "Training",
    "Watch",
    "starting_point",
    "train",
]
