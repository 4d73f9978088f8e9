"""One fit of a network: rows held out, a learner, the loop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...network.criterion import Task
from ...network.events import Watch
from ...network.learner import Objective
from ...network.passes import Network
from ...network.progress import Bar
from ...network.start import Start
from ...network.training import Training, train
from .mlp_recipe import Draws, Recipe

Array = np.ndarray[Any, Any]

# Rows on which a network and a constant are compared.
_SOME = 2048
# A loss higher by less than this share is noise.
_ROUGHLY = 0.01


@dataclass
class Memory:
    """What one call leaves to the next.

    Attributes
    ----------
    draws : Draws
        Sources of randomness, wherever they have come to.
    unit : float
        What the loss is measured in.
    optimizer : object or None
        What the optimiser remembers.
    steps : int
        Steps taken so far.
    """

    draws: Draws
    unit: float
    optimizer: Any = None
    steps: int = 0


@dataclass(frozen=True)
class Fitting:
    """What to fit, and how.

    Attributes
    ----------
    settings : Recipe
        Checked arguments.
    task : Task
        All rows.
    strata : ndarray of int, shape (n,), or None
        Classes, of which the held-out rows get their share each.
    watch : callable or None
        Called after steps and epochs.
    bar : bool
        Whether to show progress.
    """

    settings: Recipe
    task: Task
    strata: Array | None
    watch: Watch | None
    bar: bool


def fit(work: Fitting, start: Network, memory: Memory) -> Training:
    """Train from a network on; ``memory`` is brought up to date."""
    settings, task, valid = work.settings, work.task, None
    if settings.held_out:
        task, valid = _split(work, memory.draws.split)
    batch = settings.rows(task.rows)
    objective = Objective(task, settings.optimizer, settings.penalty, settings.clip_norm, batch, memory.unit)
    learner = settings.backend.learner(start, objective, memory.draws.dropout, memory.optimizer)
    with Bar(settings.plan.max_epochs, work.watch) as bar:
        watch = bar if work.bar else work.watch
        found = train(learner, settings.plan, memory.draws.order, valid, watch, memory.steps)
    # What led astray is better forgotten.
    memory.optimizer = None if found.status == "diverged" else learner.memory()
    memory.steps += found.steps
    return found


def constant_line(found: Training, task: Task, start: Start) -> str:
    """Return a line if a network does not even beat the constant that it started from."""
    some = task.some(_SOME)
    constant = some.mean_loss(np.tile(start.constant, (some.rows, 1)))
    reached = some.mean_loss(found.network.scores(some.X))
    if reached <= constant + _ROUGHLY * abs(constant):
        return ""
    return (
        f"the network (mean loss {reached:.4g}) is no better than a constant ({constant:.4g}); scale the features "
        "(StandardScaler), train longer, or change the learning rate"
    )


def _split(work: Fitting, rng: np.random.Generator) -> tuple[Task, Task]:
    """Hold out rows at random, of each class its share if all classes have two rows."""
    n, task = work.task.rows, work.task
    count = max(1, round(work.settings.held_out * n))
    if count >= n:
        raise ValueError(f"early_stopping=True holds out {count} of {n} rows; give more rows, or early_stopping=False")
    order = rng.permutation(n)
    if work.strata is not None:
        # Sorted by class, every so many-th row is held out: each class gets its share.
        sorted_order = order[np.argsort(work.strata[order], kind="stable")]
        held = np.zeros(n, bool)
        held[sorted_order[np.linspace(0, n - 1, 2 * count + 1).astype(np.intp)[1::2]]] = True
    else:
        held = np.isin(np.arange(n), order[:count])
    return _rows(task, ~held), _rows(task, held)


def _rows(task: Task, chosen: Array) -> Task:
    weight = None if task.weight is None else task.weight[chosen]
    return replace(task, X=task.X[chosen], y=task.y[chosen], weight=weight)
