"""How a loss runs in torch: forward and backward of the mean, as a training step does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..families import HESSIAN, LINEAR, STRUCTURED, VALUE, Work
from .contender import Array, Contender, Outcome, outcome

Mean = Callable[..., Any]


def prepare(threads: int) -> None:
    """Set the number of threads of this process.

    Parameters
    ----------
    threads : int
        For operations and for backward.
    """
    import torch

    torch.set_num_threads(threads)


def contender(work: Work, name: str, mean: Mean, note: str = "", variant: str = "") -> Contender:
    """Return a contender that computes a mean in torch and differentiates it.

    Parameters
    ----------
    work : Work
        What is to be done.
    name, variant, note : str
        As in the contender.
    mean : callable
        ``mean(y, *variables)``, on tensors; CTC's predictions have frames first.
    """
    import torch

    y = torch.from_numpy(work.y)
    variables = [torch.from_numpy(_turned(work, a)).requires_grad_() for key, a in work.arrays.items() if key != "y"]
    make = {VALUE: _value, HESSIAN: _hessian}.get(work.operation, _gradient)
    call = make(lambda: mean(y, *variables), variables)
    return Contender(name, variant, call, lambda result: _read(work, result), note)


def _turned(work: Work, array: Array) -> Array:
    """Exchange sequences and frames of CTC: torch has frames first, and we sequences."""
    return np.ascontiguousarray(array.swapaxes(0, 1)) if work.name == "ctc" else array


def _read(work: Work, result: Any) -> Outcome:
    value, *derivatives = (part.detach().numpy() for part in result)
    if work.family.tier in (STRUCTURED, LINEAR):
        return outcome(value, *(_turned(work, derivative) for derivative in derivatives))
    # With a Hessian, the gradient is that of the sum already.
    return outcome(value, *derivatives, scale=1.0 if len(derivatives) > 1 else work.count)


def _value(loss: Callable[[], Any], variables: list[Any]) -> Callable[[], Any]:
    import torch

    def call() -> Any:
        with torch.no_grad():
            return (loss(),)

    return call


def _gradient(loss: Callable[[], Any], variables: list[Any]) -> Callable[[], Any]:
    def call() -> Any:
        for variable in variables:
            variable.grad = None
        value = loss()
        value.backward()
        return (value, *(variable.grad for variable in variables))

    return call


def _hessian(loss: Callable[[], Any], variables: list[Any]) -> Callable[[], Any]:
    """Differentiate twice; samples do not interact, so the sum of the gradient gives the diagonal."""
    import torch

    (f,) = variables

    def call() -> Any:
        value = loss()
        (gradient,) = torch.autograd.grad(value * f.numel(), f, create_graph=True)
        (hessian,) = torch.autograd.grad(gradient.sum(), f)
        return value, gradient, hessian

    return call
