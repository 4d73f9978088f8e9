"""Our formulas as functions of JAX: the derivative of each by the predictions is the next formula.

Value, slope and curvature form a chain, so that JAX differentiates the value into the slope that we wrote and the slope
into the curvature; the curvature, and everything by targets and weights, it differentiates itself. Nothing that
is not asked for is computed. The gradient of structured losses comes from the host; what differentiates it is their
formula in JAX's operations. Imported only where JAX has been imported.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax.custom_derivatives import SymbolicZero

from ..ops.arrays import row_sum
from .attach import finite

Array = Any
_BY_PREDICTIONS = (
    "structured losses are differentiated by y_pred, not by y_true or weights; use jax.lax.stop_gradient on targets "
    "and weights that were computed"
)
_TWICE = "structured losses have no third derivative; differentiate twice at most"


class Link(NamedTuple):
    """A formula of ``(y, f)`` and the change of its result by a change of f.

    Attributes
    ----------
    formula : callable
        ``formula(y, f)``.
    change : callable
        ``change(y, f, df)``, linear in df.
    """

    formula: Callable[[Array, Array], Array]
    change: Callable[[Array, Array, Array], Array]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def follow(link: Link, y: Array, f: Array) -> Array:
    """Return ``link.formula(y, f)``, which differentiates as the link says."""
    return link.formula(y, f)


@functools.partial(follow.defjvp, symbolic_zeros=True)
def _followed(link: Link, primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (y, f), (dy, df) = primals, tangents
    result, changes = follow(link, y, f), []
    if not isinstance(df, SymbolicZero):
        changes.append(link.change(y, f, df))
    if _moves(dy):
        changes.append(jax.jvp(lambda targets: link.formula(targets, f), (y,), (dy,))[1])
    return result, sum(changes[1:], changes[0]) if changes else jax.numpy.zeros_like(result)


def _moves(changes: Any) -> bool:
    """Tell whether targets change: labels do not, nor do the weights of their classes."""
    return isinstance(changes, jax.Array) or not isinstance(changes, (SymbolicZero, tuple))


def elementwise(form: Any, y: Array, f: Array, parameters: tuple[Any, ...]) -> Array:
    """Return the values of an elementwise loss with its derivatives.

    Parameters
    ----------
    form : Form
        The formulas.
    y, f : array
        Targets and predictions of one shape.
    parameters : tuple
        What the formulas take after them.

    Returns
    -------
    array
        Of f's shape.
    """

    def slope(y: Array, f: Array) -> Array:
        return form.slope(y, f, *parameters)

    def curved(y: Array, f: Array, df: Array) -> Array:
        return finite(form.curvature(y, f, *parameters)) * df

    def sloped(y: Array, f: Array, df: Array) -> Array:
        return finite(follow(Link(slope, curved), y, f)) * df

    return follow(Link(lambda y, f: form.value(y, f, *parameters), sloped), y, f)


def rows(form: Any, y: Array, f: Array, parameters: tuple[Any, ...]) -> Array:
    """Return the values of a row-wise loss with its derivatives.

    Parameters
    ----------
    form : RowForm
        The formulas.
    y, f : array
        Targets as the formulas take them, and rows (..., k).
    parameters : tuple
        What the formulas take after them.

    Returns
    -------
    array
        Of f's shape without the last axis.
    """

    def slope(y: Array, f: Array) -> Array:
        return form.slope(y, f, *parameters)

    def curved(y: Array, f: Array, df: Array) -> Array:
        return form.product(y, f, df, *parameters)

    def sloped(y: Array, f: Array, df: Array) -> Array:
        return row_sum(finite(follow(Link(slope, curved), y, f)) * df)

    return follow(Link(lambda y, f: form.value(y, f, *parameters), sloped), y, f)


class Task(NamedTuple):
    """What is to be computed on the host.

    Attributes
    ----------
    run : callable
        ``run(f, others, gradient)``: the value, and with it the gradient of its sum if ``gradient`` says so.
    total : callable
        What a change of the predictions, times the gradient, changes in each of the values.
    formula : callable
        ``formula(f, others)``: the value in operations of JAX.
    """

    run: Callable[[Array, tuple[Array, ...], bool], tuple[Array, ...]]
    total: Callable[[Array], Array]
    formula: Callable[[Array, tuple[Array, ...]], Array]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def on_host(task: Task, f: Array, *others: Array) -> Array:
    """Return the value, which differentiates by f."""
    return task.run(f, others, False)[0]


@functools.partial(on_host.defjvp, symbolic_zeros=True)
def _valued(task: Task, primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
    if not all(isinstance(change, SymbolicZero) for change in tangents[1:]):
        raise NotImplementedError(_BY_PREDICTIONS)
    value, gradient = _both(task, *primals)
    return value, task.total(gradient * tangents[0])


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _both(task: Task, f: Array, *others: Array) -> tuple[Array, ...]:
    return task.run(f, others, True)


@functools.partial(_both.defjvp, symbolic_zeros=True)
def _bent(task: Task, primals: tuple[Array, ...], tangents: tuple[Array, ...]) -> Any:
    if not all(isinstance(change, SymbolicZero) for change in tangents[1:]):
        raise NotImplementedError(_BY_PREDICTIONS)
    (f, *others), change = primals, tangents[0]
    slope = jax.grad(lambda f: task.formula(f, tuple(others)).sum())
    value, gradient = _both(task, *primals)
    return (value, gradient), (task.total(gradient * change), jax.jvp(slope, (_last(f),), (change,))[1])


@jax.custom_jvp  # type: ignore[untyped-decorator]
def _last(f: Array) -> Array:
    return f


@functools.partial(_last.defjvp, symbolic_zeros=True)
def _refused(primals: tuple[Array], tangents: tuple[Array]) -> Any:
    if not isinstance(tangents[0], SymbolicZero):
        raise NotImplementedError(_TWICE)
    return primals[0], jax.numpy.zeros_like(primals[0])


def structured(loss: Any, parts: Sequence[Array], f: Array, weight: Array | None, reduction: str) -> Array:
    """Return a structured loss with its derivatives.

    Parameters
    ----------
    loss : StructuredLoss
        The loss, which computes on the host.
    parts : sequence of arrays
        Its targets, taken apart, of JAX or NumPy.
    f : array
        Predictions.
    weight : array, optional
        One number for each value.
    reduction : str
        "mean", "sum" or "none".

    Returns
    -------
    array
        In f's dtype.

    Raises
    ------
    NotImplementedError
        When JAX differentiates it by targets or weights.
    """

    def run(f: Array, others: tuple[Array, ...], gradient: bool) -> tuple[Array, ...]:
        own, last = (others, None) if weight is None else (others[:-1], others[-1])
        found: tuple[Array, ...] = loss._run(own, f, last, reduction, gradient=gradient)
        return found

    def formula(f: Array, others: tuple[Array, ...]) -> Array:
        own, last = (others, None) if weight is None else (others[:-1], others[-1])
        return loss._by_formula(own, f, last, reduction)

    task = Task(run, functools.partial(loss._total, reduction=reduction), formula)
    return on_host(task, f, *parts, *(() if weight is None else (weight,)))
