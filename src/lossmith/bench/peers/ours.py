"""Lossmith itself, through its public interface only."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...engine.fused import KERNEL_FROM
from ..families import ELEMENTWISE, HESSIAN, LINEAR, ROWS, VALUE, Work
from ..record import OURS
from .contender import Contender, Outcome, outcome


def contenders(work: Work) -> list[Contender]:
    """Return our ways to do a piece of work: with fresh results, into arrays that are used again, and by kernels.

    The last way is for small arrays, which take a kernel only if the user asks for it by ``loss.compiled()``.

    Parameters
    ----------
    work : Work
        What is to be done.
    """
    if work.family.tier == LINEAR:
        return _linear(work)
    loss: Any = work.family.loss()
    y, f = work.y, work.f
    small = work.family.tier == ELEMENTWISE and f.size < KERNEL_FROM
    if work.operation == VALUE:
        quick = loss.compiled() if small else loss
        ways = [Contender(OURS, "", lambda: loss(y, f), outcome)]
        return [*ways, Contender(OURS, "compiled()", lambda: quick(y, f), outcome)] if small else ways
    both = _method(loss, work.operation)
    fresh = Contender(OURS, "", lambda: both(y, f), _read)
    if work.family.tier not in (ELEMENTWISE, ROWS):
        return [fresh]
    # ones: pages that nobody has written to do not exist yet
    out = tuple(np.ones(shape, dtype) for shape, dtype in work.results)
    ways = [fresh, Contender(OURS, "out=", lambda: both(y, f, out=out), _read)]
    if small:
        compiled = _method(loss.compiled(), work.operation)
        ways.append(Contender(OURS, "compiled()", lambda: compiled(y, f), _read))
    return ways


def _method(loss: Any, operation: str) -> Any:
    return loss.value_gradient_hessian if operation == HESSIAN else loss.value_and_gradient


def _read(result: Any) -> Outcome:
    value, *derivatives = result
    return outcome(value, *derivatives)


def _linear(work: Work) -> list[Contender]:
    """Return the linear layer with its loss: no loss of the registry, since it has two arrays to differentiate by."""
    from ...losses.linear import LinearCrossEntropy

    loss = LinearCrossEntropy(**work.family.settings)
    y, x, w = work.y, work.f, work.arrays["w"]
    return [Contender(OURS, "", lambda: loss.value_and_gradient(y, x, w), _read_linear)]


def _read_linear(result: Any) -> Outcome:
    value, (by_x, by_w, _) = result
    return outcome(value, by_x, by_w)
