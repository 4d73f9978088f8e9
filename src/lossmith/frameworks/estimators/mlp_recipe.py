"""What the arguments of a network estimator stand for, checked before anything is trained."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from ...core.loss import Loss
from ...losses.compose import WeightedSum, parts_of
from ...network.activations import Activation, activation
from ...network.architecture import Architecture
from ...network.optimizers import Optimizer, optimizer
from ...network.schedules import Constant, schedule
from ...network.training import Plan
from ...optimize.penalties import Elastic
from ..links import BinaryProbability, Link, RowProbability
from .mlp_backends import BACKENDS, Backend
from .settings import link_of, made_penalty

Array = np.ndarray[Any, Any]

# Rows of a batch if nothing is said: a tenth of all, within these. scikit-learn takes 200 of any number, which makes
# one or two steps an epoch on small data.
_FEWEST, _MOST = 50, 200


@dataclass(frozen=True)
class Recipe:
    """Checked settings of a fit.

    Attributes
    ----------
    hidden : tuple of int
        Units of each hidden layer.
    activation : Activation
        Of these layers.
    dropout : float
        Share that training leaves out.
    optimizer : Optimizer
        Which steps.
    penalty : Elastic or None
        On the weights.
    batch : int or None
        Rows; None: a tenth of all, at least 50 and at most 200.
    clip_norm : float or None
        Largest norm of a gradient.
    plan : Plan
        How long and how fast.
    held_out : float
        Share of rows for early stopping; 0 without.
    backend : Backend
        Who takes the steps.
    """

    hidden: tuple[int, ...]
    activation: Activation
    dropout: float
    optimizer: Optimizer
    penalty: Elastic | None
    batch: int | None
    clip_norm: float | None
    plan: Plan
    held_out: float
    backend: Backend

    def architecture(self, inputs: int, outputs: int) -> Architecture:
        """Return the layers for so many features and scores."""
        return Architecture((inputs, *self.hidden, outputs), self.activation, dropout=self.dropout)

    def once(self) -> Recipe:
        """Return the settings for one more pass, at a constant rate and without held-out rows."""
        plan = replace(self.plan, max_epochs=1, patience=None, schedule=Constant())
        return replace(self, plan=plan, held_out=0.0)

    def rows(self, n: int) -> int:
        """Return the size of a batch of n rows."""
        return min(self.batch or min(max(n // 10, _FEWEST), _MOST), n)


def recipe(estimator: Any) -> Recipe:
    """Check an estimator's arguments.

    Raises
    ------
    ValueError
        One line that says what was given and what is accepted.
    """
    made = optimizer(estimator.solver)
    share = _number(estimator, "validation_fraction", 0.0, 1.0, open_ends=True)
    patience = estimator.n_iter_no_change
    seconds = estimator.max_seconds
    rate = estimator.learning_rate
    plan = Plan(
        rate=made.rate if rate is None else _number(estimator, "learning_rate", 0.0, math.inf, open_ends=True),
        schedule=schedule(estimator.schedule),
        max_epochs=_whole(estimator, "max_epochs"),
        patience=None if patience is None else _whole(estimator, "n_iter_no_change"),
        tolerance=_number(estimator, "tol", 0.0, math.inf),
        max_seconds=math.inf if seconds is None else _number(estimator, "max_seconds", 0.0, math.inf),
        shuffle=bool(estimator.shuffle),
    )
    clip = estimator.clip_norm
    return Recipe(
        hidden=_hidden(estimator.hidden_layer_sizes),
        activation=activation(estimator.activation),
        dropout=_number(estimator, "dropout", 0.0, 1.0),
        optimizer=made,
        penalty=_penalty(estimator),
        batch=None if estimator.batch_size == "auto" else _whole(estimator, "batch_size"),
        clip_norm=None if clip is None else _number(estimator, "clip_norm", 0.0, math.inf, open_ends=True),
        plan=plan,
        held_out=share if estimator.early_stopping else 0.0,
        backend=_backend(estimator.backend),
    )


@dataclass
class Draws:
    """Independent sources of randomness: a change in what one is used for does not change the others.

    Attributes
    ----------
    split, weights, order, dropout : numpy.random.Generator
        For held-out rows, initial weights, the order of rows, and what dropout leaves out.
    """

    split: np.random.Generator
    weights: np.random.Generator
    order: np.random.Generator
    dropout: np.random.Generator

    @classmethod
    def of(cls, random_state: Any) -> Draws:
        """Make them from scikit-learn's ``random_state``."""
        seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
        return cls(*(np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(4)))


def network_link(loss: Loss) -> Link:
    """Return the link of a loss on raw scores; of a weighted sum that of its parts.

    Raises
    ------
    ValueError
        For a loss on other predictions, and for sums whose parts have different links.
    """
    if not isinstance(loss, WeightedSum):
        return link_of(loss)
    links = [link_of(part) for part in parts_of(loss)]
    kinds = {type(link) for link in links}
    if len(kinds) > 1 or isinstance(links[0], RowProbability):
        raise ValueError(f"{loss!r} has parts on different scores; give parts of one kind, such as 'mse' and 'mae'")
    return BinaryProbability(loss) if isinstance(links[0], BinaryProbability) else links[0]


def outputs_of(loss: Loss, y: Array, classes: int) -> int:
    """Return how many scores a loss takes for checked targets; ``classes`` for losses on rows of scores."""
    if loss.tier == "row-wise":
        return classes
    return 1 if y.ndim == 1 else int(y.shape[1])


def _number(estimator: Any, name: str, low: float, high: float, *, open_ends: bool = False) -> float:
    value = getattr(estimator, name)
    right = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not right or not low <= value < high or (open_ends and value == low):
        least = f"> {low:g}" if open_ends else f">= {low:g}"
        most = "" if high == math.inf else f" and < {high:g}"
        raise ValueError(f"{name}={value!r} is not accepted; give a number {least}{most}")
    return float(value)


def _whole(estimator: Any, name: str) -> int:
    value = getattr(estimator, name)
    if not _counts(value):
        also = ", or 'auto'" if name == "batch_size" else ""
        raise ValueError(f"{name}={value!r} is not accepted; give a whole number >= 1{also}")
    return int(value)


def _counts(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= 1)


def _hidden(given: Any) -> tuple[int, ...]:
    sizes = tuple(given) if isinstance(given, (tuple, list, np.ndarray)) else (given,)
    for size in sizes:
        if not _counts(size):
            raise ValueError(f"hidden_layer_sizes={given!r} is not accepted; give whole numbers >= 1, such as (64, 32)")
    return tuple(int(size) for size in sizes)


def _penalty(estimator: Any) -> Elastic | None:
    penalty = made_penalty(estimator.penalty, estimator.alpha, estimator.l1_ratio)
    if penalty is None or isinstance(penalty, Elastic):
        return penalty
    raise ValueError(f"penalty={penalty!r} is for linear models; networks take None, 'l1', 'l2' or 'elasticnet'")


def _backend(given: Any) -> Backend:
    if not isinstance(given, str) or given not in BACKENDS:
        raise ValueError(f"backend={given!r} is not accepted; give one of {', '.join(map(repr, BACKENDS))}")
    return BACKENDS[given]
