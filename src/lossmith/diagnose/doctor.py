"""Examine a training, name the cause, and prove the remedy."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from lossmith.diagnose.causes import HEALTHY, Cause, causes
from lossmith.diagnose.plan import Array, Loop, Plan, train
from lossmith.diagnose.probes import TorchPatient, examine
from lossmith.diagnose.record import Record
from lossmith.diagnose.remedies import Remedy

WORST = 1e6


@final
@dataclass(frozen=True)
class Trial:
    """A remedy tried against an equal budget without it.

    Attributes
    ----------
    remedy : Remedy
        What was tried.
    without, with_remedy : float
        Error on held-out rows: mean squared error in the target's unit, or log loss averaged over classes.
    constant : float
        The same of the best constant prediction.
    steps : int
        Steps that each of the two trainings took.
    """

    remedy: Remedy
    without: float
    with_remedy: float
    constant: float
    steps: int

    @property
    def gain(self) -> float:
        """Error taken away, as a share of the error without the remedy."""
        return 1.0 - self.with_remedy / self.without if self.without > 0 else 0.0

    def __str__(self) -> str:
        return (
            f"{self.remedy.id}: held-out error {self.without:.4g} without, {self.with_remedy:.4g} with the remedy, "
            f"{self.constant:.4g} by a constant, after {self.steps} steps each"
        )


@final
class Doctor:
    """Examines a PyTorch training, names causes, and tries remedies.

    Parameters
    ----------
    plan : Plan
        The training: how the model is built, the loss, the data, the optimiser, and the step if it is the user's own.
    record : Record, optional
        What a monitor wrote of the training.
    loop : Loop, optional
        Where the training ended; without it, the plan is trained first.

    Examples
    --------
    >>> import numpy as np, torch
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(200, 4)).astype("float32")
    >>> y = (x @ [1.0, 2.0, 0.0, -1.0]).astype("float32")
    >>> plan = Plan(
    ...     build=lambda: torch.nn.Sequential(torch.nn.Linear(4, 1), torch.nn.Flatten(0)),
    ...     loss=lambda out, y: (out - y) ** 2,
    ...     train=(x[:150], y[:150]), valid=(x[150:], y[150:]), task="regression",
    ...     learning_rate=1e-7,
    ... )
    >>> doctor = Doctor(plan)
    >>> doctor.try_remedy("rate-by-trial").gain > 0.5
    True
    """

    def __init__(self, plan: Plan, record: Record | None = None, loop: Loop | None = None) -> None:
        self.plan, self.record = plan, record
        self.loop = train(plan) if loop is None else loop

    @functools.cached_property
    def numbers(self) -> dict[str, float]:
        """What the probes measured."""
        return examine(TorchPatient.of(self.plan, self.loop))

    @functools.cached_property
    def causes(self) -> tuple[Cause, ...]:
        """Causes, most probable first."""
        return causes(self.record, self.numbers)

    @property
    def remedies(self) -> tuple[Remedy, ...]:
        """Remedies of the causes, in their order, each once."""
        found = {r.id: r for cause in self.causes if cause.id != HEALTHY for r in cause.remedies}
        return tuple(found.values())

    def try_remedy(self, remedy: Remedy | str | None = None, steps: int | None = None) -> Trial:
        """Train anew with and without a remedy, equally long, and compare on held-out rows.

        Parameters
        ----------
        remedy : Remedy or str, optional
            A remedy or its id; by default the first that can be tried of the most probable cause.
        steps : int, optional
            Budget of each training; the plan's own by default. A remedy that is to train longer trains longer.

        Returns
        -------
        Trial
            Both errors.

        Raises
        ------
        ValueError
            If the remedy is unknown, or only the user can carry it out.
        """
        chosen = self._remedy(remedy)
        if chosen.change is None:
            raise ValueError(f"{chosen.id!r} cannot be tried here; by hand: {chosen.text}")
        plan = self.plan if steps is None else replace(self.plan, steps=steps)
        changed = chosen.change(plan)
        # The same rows judge both: those of the plan that does not change its data.
        errors = [error(p, train(p).model, plan.valid) for p in (plan, changed)]
        return Trial(
            chosen, errors[0], errors[1], constant_error(plan.task, plan.train[1], plan.valid[1]), changed.steps
        )

    def _remedy(self, remedy: Remedy | str | None) -> Remedy:
        if isinstance(remedy, Remedy):
            return remedy
        if remedy is None:
            for one in self.remedies:
                if one.change is not None:
                    return one
            raise ValueError("no remedy of these causes can be tried here")
        from lossmith.diagnose.remedies import REMEDIES

        known = {r.id: r for group in REMEDIES.values() for r in group}
        if remedy not in known:
            raise ValueError(f"no remedy {remedy!r}: give one of {', '.join(sorted(known))}")
        return known[remedy]


def error(plan: Plan, model: Any, rows: tuple[Array, Array]) -> float:
    """Judge a model on rows: mean squared error, or log loss averaged over classes.

    Parameters
    ----------
    plan : Plan
        Says how inputs are prepared, how outputs are read and how the model is evaluated.
    model : torch.nn.Module
        Trained.
    rows : tuple of ndarray
        Inputs and targets in the user's own unit.

    Returns
    -------
    float
        At most a million; NaN predictions count as that.
    """
    import torch

    inputs, _ = plan.arrays(rows)
    y = np.asarray(rows[1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        with plan.evaluate(model):
            said = _read(plan, model(inputs)).double().numpy()
    if plan.task == "regression":
        return float(np.nan_to_num(np.minimum((said - y) ** 2, WORST), nan=WORST).mean())
    table = np.stack([1.0 - said, said], 1) if plan.task == "binary" else said
    own = -np.log(np.clip(np.nan_to_num(table, nan=0.0), 1e-6, 1.0))[np.arange(len(y)), y.astype(int)]
    return float(np.mean([own[y == code].mean() for code in np.unique(y)]))


def _read(plan: Plan, out: Any) -> Any:
    import torch

    if plan.read is not None:
        return plan.read(out)
    if plan.task == "regression":
        return out
    return torch.sigmoid(out) if plan.task == "binary" else torch.softmax(out, 1)


def constant_error(task: str, y: Array, held: Array) -> float:
    """Judge the best constant of the training rows in the same way.

    Parameters
    ----------
    task : str
        "regression", "binary" or "multiclass".
    y, held : ndarray
        Targets of training and of held-out rows.

    Returns
    -------
    float
        Mean squared error, or the log loss of equal probabilities.
    """
    if task == "regression":
        return float(np.mean((held - np.mean(y)) ** 2))
    return math.log(max(2, len(np.unique(y))))
