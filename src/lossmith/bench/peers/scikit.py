"""scikit-learn's compiled losses, ``sklearn._loss``: what its gradient boosting and linear models run on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..families import HESSIAN, VALUE, Work
from .contender import Contender, Outcome, outcome

# Ours over theirs: scikit-learn halves the square.
_FACTORS = {"mse": 2.0}


def _makers() -> dict[str, Callable[[Work], Any]]:
    from sklearn._loss import loss

    return {
        "bce": lambda work: loss.HalfBinomialLoss(),
        "huber": lambda work: loss.HuberLoss(delta=work.family.settings["delta"]),
        "quantile": lambda work: loss.PinballLoss(quantile=work.family.settings["q"]),
        "poisson_nll": lambda work: loss.HalfPoissonLoss(),
        "mse": lambda work: loss.HalfSquaredError(),
        "mae": lambda work: loss.AbsoluteError(),
        "cce": lambda work: loss.HalfMultinomialLoss(n_classes=work.f.shape[1]),
    }


def contenders(work: Work, threads: int) -> list[Contender]:
    """Return scikit-learn's loss, with fresh results and with its own output arguments.

    Parameters
    ----------
    work : Work
        What is to be done.
    threads : int
        Its ``n_threads``.
    """
    makers = _makers()
    if work.name not in makers:
        return []
    loss, factor = makers[work.name](work), _FACTORS.get(work.name, 1.0)
    y, f = work.y.astype(work.dtype), work.f

    def read(result: Any) -> Outcome:
        value, *derivatives = result
        return outcome(np.asarray(value) * factor, *derivatives, scale=factor)

    if work.operation == VALUE:
        call = lambda: loss(y, f, n_threads=threads)  # noqa: E731
        return [Contender("sklearn", "", call, lambda r: outcome(r * factor))]
    if work.operation == HESSIAN:
        return [Contender("sklearn", "", lambda: _three(loss, y, f, threads), read, "value and gradient_hessian")]
    value, gradient = np.ones(len(f), f.dtype), np.ones_like(f)
    fresh = lambda: loss.loss_gradient(y, f, n_threads=threads)  # noqa: E731
    into = lambda: loss.loss_gradient(  # noqa: E731
        y, f, loss_out=value, gradient_out=gradient, n_threads=threads
    )
    return [Contender("sklearn", "", fresh, read), Contender("sklearn", "out=", into, read)]


def _three(loss: Any, y: Any, f: Any, threads: int) -> tuple[Any, ...]:
    value = loss.loss(y, f, n_threads=threads)
    return (value, *loss.gradient_hessian(y, f, n_threads=threads))
