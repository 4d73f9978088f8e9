"""NumPy's numbers, and how far others are from them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.domain import Domain
from ...core.structured import StructuredLoss
from .instances import Instance
from .libraries import GRADIENT, HESSIAN, ORDERS, VALUE

Host = npt.NDArray[Any]
_NUDGE = 2.0**-12


def by_numpy(instance: Instance, vector: Host, orders: tuple[str, ...]) -> dict[str, Host]:
    """Compute value, gradient and Hessian times a vector by NumPy.

    Parameters
    ----------
    instance : Instance
        The loss and its inputs, in the precision wanted.
    vector : ndarray of f's shape
        What the Hessian is multiplied by; ones for an elementwise loss.
    orders : tuple of str
        Some of value, gradient, hessian; structured losses have no Hessian.
    """
    loss: Any = instance.loss
    y, f = instance.y, instance.f
    if isinstance(loss, StructuredLoss):
        value, slope = loss.value_and_gradient(y, f, reduction=instance.reduction)
        return {VALUE: np.asarray(value), GRADIENT: slope}
    found = {VALUE: loss(y, f, reduction="none"), GRADIENT: loss.gradient(y, f)}
    if HESSIAN in orders:
        found[HESSIAN] = loss.hessian(y, f) if instance.elementwise else loss.hessian_vector_product(y, f, vector)
    return found


def in_ulps(got: Host, want: Host, dtype: str, terms: Host | float = 0.0) -> Host:
    """Return errors in units in the last place of the right numbers, as a format has them.

    Parameters
    ----------
    got, want : ndarray
        Numbers; what is NaN in ``want`` is not compared.
    dtype : str
        The format. Subnormal numbers count as 0, as many libraries flush them; an infinite derivative is passed on as
        the largest number.
    terms : ndarray
        Sizes whose last place counts where they are larger.
    """
    info = np.finfo(dtype)
    most = float(info.max)
    got, right = (np.clip(np.where(np.abs(x) < float(info.tiny), 0.0, x), -most, most) for x in (got, want))
    size = np.maximum(np.maximum(np.abs(right), terms), float(info.tiny)).astype(dtype)
    with np.errstate(all="ignore"):
        errors = np.abs(got - right) / np.spacing(size).astype(np.float64)
    return _settled(errors, got, want)


def terms(instance: Instance, orders: tuple[str, ...]) -> dict[str, Host]:
    """Return the size of what the numbers of a loss are the difference of, next to their roots, and 0 elsewhere.

    Parameters
    ----------
    instance : Instance
        An elementwise loss.
    orders : tuple of str
        Some of value, gradient, hessian.

    Returns
    -------
    dict of ndarray
        For a number that changes its sign nearby, what it would change by if targets and predictions changed by
        their own size: a difference of two terms can be no better than their last digits.
    """
    y, f, head = instance.y, instance.f, instance.head
    accepted, room = head.prediction_domain, 0.5 * np.maximum(np.abs(f), 1.0)
    # Where a domain ends, half of the way to 0 or 1.
    below, above = (_within(accepted, half, f) for half in (0.5 * f, 0.5 * (f + 1.0)))
    places = f, _within(accepted, f - room, below), _within(accepted, f + room, above)
    here, low, high = (_numbers(instance, y, place) for place in places)
    by_f = _numbers(instance, y, _within(accepted, f * (1.0 - _NUDGE), f))
    by_y = _numbers(instance, _within(head.domain, y * (1.0 - _NUDGE), y), f)
    found = {}
    for order in orders:
        rooted = np.sign(low[order]) * np.sign(high[order]) < 0.0
        size = (np.abs(by_f[order] - here[order]) + np.abs(by_y[order] - here[order])) / _NUDGE
        found[order] = np.where(rooted & np.isfinite(size), size, 0.0)
    return found


def _within(domain: Domain, moved: Host, given: Host) -> Host:
    """Return moved numbers, where they are accepted."""
    return np.where(domain.contains(moved), moved, given)


def _numbers(instance: Instance, y: Host, f: Host) -> dict[str, Host]:
    return by_numpy(dataclasses.replace(instance, y=y, f=f), np.ones_like(f), ORDERS)


def relative(got: Host, want: Host) -> Host:
    """Return errors relative to the largest number of a sample (of the last axis).

    Parameters
    ----------
    got, want : ndarray
        Numbers; what is NaN in ``want`` is not compared.
    """
    scale = np.nanmax(np.abs(want), axis=-1, keepdims=True) if want.ndim > 1 else np.abs(want)
    with np.errstate(all="ignore"):
        errors = np.where(got == want, 0.0, np.abs(got - want) / scale)
    return _settled(errors, got, want)


def _settled(errors: Host, got: Host, want: Host) -> Host:
    return np.where(np.isnan(want), 0.0, np.where(np.isnan(got) | np.isnan(errors), np.inf, errors))
