"""Reading loss and learning rate of a step: at once where that is free, late where an accelerator would wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np

from ..record import Row

_WINDOW = 64
_SECONDS = 0.2
# Beside a step as long as this one, waiting for its loss is nothing.
_LONG = 5e-3
_SHARES = {"all": 0.05, "loss": 0.01}


@final
class LateLosses:
    """Losses that still lie on an accelerator: they are read together, in one transfer for each window.

    Examples
    --------
    >>> import torch
    >>> late = LateLosses()
    >>> late.add(torch.tensor(0.5), (0, None, None, 0.1, None, None, None, None, 0.0))
    >>> late.take()
    [(0, 0.5, None, 0.1, None, None, None, None, 0.0)]
    """

    def __init__(self) -> None:
        self._losses: list[Any] = []
        self._rows: list[Row] = []
        self._due = self._latest = 0.0

    def add(self, loss: Any, row: Row) -> None:
        """Take in a step.

        Parameters
        ----------
        loss : Tensor
            One number; it is not waited for.
        row : tuple
            As of `Record.add_rows`, the loss left out.
        """
        # A copy: a captured graph writes each step's loss to the same place.
        self._losses.append(loss.detach().clone().reshape(()))
        self._rows.append(row)

    def ready(self, seconds: float) -> bool:
        """Tell whether it is time to `take`.

        Parameters
        ----------
        seconds : float
            Since the start of the run.

        Returns
        -------
        bool
            When 64 losses wait, or some for 0.2 s, or the last step took at least 5 ms.
        """
        long, self._latest = seconds - self._latest >= _LONG, seconds
        return long or len(self._rows) >= _WINDOW or seconds >= self._due

    def take(self) -> list[Row]:
        """Read what waits.

        Returns
        -------
        list of tuple
            The rows, complete.
        """
        if not self._rows:
            return []
        import torch

        values = torch.stack([loss.double() for loss in self._losses]).tolist()
        rows = [(row[0], value, *row[2:]) for row, value in zip(self._rows, values, strict=True)]
        self._losses, self._rows, self._due = [], [], self._latest + _SECONDS
        return rows


def values(loss: Any, samples: Any, wanted: bool) -> tuple[float, Any]:
    """Read a loss that is anything but one number on the processor.

    Parameters
    ----------
    loss : Tensor or float
        One number, or one for each sample.
    samples : Tensor, array or None
        One for each sample.
    wanted : bool
        Whether to read those of the samples too if the loss is finite.

    Returns
    -------
    value : float
        The loss.
    losses : ndarray of float64 or None
        Those of the samples.
    """
    if isinstance(loss, (float, int)):
        value, each = float(loss), samples
    elif loss.numel() > 1:
        value, each = float(loss.detach().double().mean()), loss
    else:
        value, each = float(loss.item()), samples
    if each is None or not (wanted or not np.isfinite(value)):
        return value, None
    given = each if isinstance(each, np.ndarray) else each.detach().double().cpu().numpy()
    return value, np.asarray(given, dtype=np.float64).ravel()


def rate(optimizers: Sequence[Any]) -> float | None:
    """Return the largest learning rate in force.

    Parameters
    ----------
    optimizers : sequence of torch.optim.Optimizer
        Any number.

    Returns
    -------
    float or None
        None where there is none.
    """
    rates = [float(group["lr"]) for o in optimizers for group in o.param_groups if "lr" in group]
    return max(rates) if rates else None


def as_list(optimizer: Any) -> list[Any]:
    """Return the optimisers that a user gave.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer, sequence of them, or None
        As given.

    Returns
    -------
    list
        Perhaps empty.
    """
    if optimizer is None:
        return []
    return list(optimizer) if isinstance(optimizer, (list, tuple)) else [optimizer]


def known(model: Any, optimizers: Sequence[Any]) -> dict[str, str | None]:
    """Return facts that can be told before the first step.

    Parameters
    ----------
    model : torch.nn.Module
        The model that is trained.
    optimizers : sequence of torch.optim.Optimizer
        Any number.

    Returns
    -------
    dict
        Fields of `Facts`.
    """
    names = " + ".join(type(o).__name__ for o in optimizers)
    dtype = next((str(p.dtype).removeprefix("torch.") for p in model.parameters()), None)
    return {"optimizer": names or None, "precision": dtype}


def share_of(watch: str, budget: float | None) -> float:
    """Return the share of a run's time that watching may take.

    Parameters
    ----------
    watch : {"all", "loss"}
        What is watched.
    budget : float or None
        What the user gave.

    Returns
    -------
    float
        The budget, or what is usual.

    Raises
    ------
    ValueError
        If there is no such ``watch``, or the budget is not positive.
    """
    if watch not in _SHARES:
        raise ValueError(f"watch={watch!r}: give 'all' or 'loss'")
    if budget is not None and not budget > 0:
        raise ValueError(f"budget={budget}: give the largest share of the run's time, such as 0.05")
    return _SHARES[watch] if budget is None else budget
