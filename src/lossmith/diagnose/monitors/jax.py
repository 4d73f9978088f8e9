"""The monitor of a JAX loop."""

from __future__ import annotations

import importlib.util
import math
import time
from types import TracebackType
from typing import Any, Self, Unpack, final

import numpy as np

from ..record import Layer, Record, Step
from .budget import Budget
from .run import Run, RunOptions, is_plain
from .samples import Reservoir
from .trouble import NonFinite

_GAP = 10
_CLOCK = time.perf_counter


@final
class JaxMonitor:
    """Watches a JAX training loop from the pytrees it already has.

    Works with optax, Flax and Equinox: anything whose gradients and parameters are pytrees of arrays.

    Parameters
    ----------
    every : int, optional
        Measure the trees every so many steps; by default as often as ``budget`` allows, at most every tenth step.
    budget : float, default 0.05
        Largest share of the run's own time that watching may take.
    **options
        ``path``, ``live``, ``nan``, ``facts``, ``limit``: see `lossmith.RunOptions`.

    Attributes
    ----------
    record : Record
        The run so far.

    Raises
    ------
    ImportError
        When JAX is not installed.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> import lossmith as lm
    >>> x = jnp.arange(6.0).reshape(3, 2)
    >>> gradient = jax.jit(jax.value_and_grad(lambda p: jnp.mean((x @ p["w"] - 1.0) ** 2)))
    >>> params = {"w": jnp.zeros(2)}
    >>> with lm.JaxMonitor(live=False) as monitor:
    ...     for _ in range(3):
    ...         loss, grads = gradient(params)
    ...         params = jax.tree.map(lambda p, g: p - 0.01 * g, params, grads)
    ...         monitor.step(loss, grads, params)
    >>> monitor.record.layer_names
    ('w',)
    """

    def __init__(
        self,
        *,
        every: int | None = None,
        budget: float = 0.05,
        **options: Unpack[RunOptions],
    ) -> None:
        if importlib.util.find_spec("jax") is None:
            raise ImportError("JaxMonitor needs JAX; pip install 'lossmith[jax]'")
        self._run = Run(**options)
        self._run.learn(framework="jax", source="JaxMonitor")
        self._every = every
        parts = {kind: math.inf if every else budget * part for kind, part in _PARTS.items()}
        self._budget = Budget(parts, clock=_CLOCK)
        self._reservoir = Reservoir()
        self._number = self._next = 0
        self._before: Any = None

    @property
    def record(self) -> Record:
        """The run so far."""
        return self._run.record

    def step(
        self,
        loss: Any,
        grads: Any = None,
        params: Any = None,
        *,
        samples: Any = None,
        learning_rate: float | None = None,
        eval_loss: float | None = None,
        epoch: float | None = None,
        **metrics: float,
    ) -> None:
        """Record one step.

        Parameters
        ----------
        loss : jax.Array or float
            Of this batch.
        grads : pytree, optional
            Gradients of this step.
        params : pytree, optional
            Parameters after the update. Those before it are remembered, not copied.
        samples : array, optional
            One loss for each sample.
        learning_rate, eval_loss, epoch : float, optional
            As of `Step`.
        **metrics : float
            Whatever else was measured.

        Raises
        ------
        NonFiniteError
            If the loss is not finite and ``nan="stop"``: it names the first layer whose gradient is not.
        """
        number, self._number = self._number, self._number + 1
        value = float(loss)
        measured = self._measure(number, grads, params)
        self._before = params
        losses = None if samples is None else np.asarray(samples, dtype=np.float64).ravel()
        if losses is not None and self._budget.allows("samples"):
            begun = _CLOCK()
            measured["samples"] = self._reservoir.watch(losses)
            self._budget.charge("samples", _CLOCK() - begun)
        named = {name: float(v) for name, v in metrics.items()}
        seconds = self._run.seconds()
        plain = not measured and eval_loss is None and all(map(is_plain, named, named.values()))
        if plain and math.isfinite(value):
            self._run.quick((number, value, None, learning_rate, None, None, None, epoch, seconds, named))
            return
        held_out = None if eval_loss is None else float(eval_loss)
        self._run.add(
            Step(number, value, held_out, learning_rate, epoch=epoch, seconds=seconds, metrics=named, **measured)
        )
        if not math.isfinite(value) and self._run.nan != "ignore" and self._run.found is None:
            self._run.trouble(_blame(number, value, grads, losses))

    def close(self) -> None:
        """Write what is left; a second call does nothing."""
        self._run.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _measure(self, number: int, grads: Any, params: Any) -> dict[str, Any]:
        due = number % self._every == 0 if self._every else number >= self._next
        if (grads is None and params is None) or not due or not self._budget.allows("layers"):
            return {}
        begun = _CLOCK()
        found = measure(grads, params, self._before)
        self._budget.charge("layers", _CLOCK() - begun)
        self._next = number + max(_GAP, number // 200)
        return found


_PARTS = {"layers": 0.8, "samples": 0.2}


def measure(grads: Any, params: Any, before: Any) -> dict[str, Any]:
    """Return norms of pytrees, by layer and as a whole.

    Parameters
    ----------
    grads, params, before : pytree or None
        Gradients, parameters, and parameters before the update.

    Returns
    -------
    dict of str to object
        Fields of `Step`: "grad_norm", "parameter_norm", "update_norm" and "layers".
    """
    import jax

    moved = None
    if params is not None and before is not None:
        moved = jax.tree.map(lambda a, b: a - b if _is_array(a) else a, params, before)
    trees = {"gradient_norm": grads, "parameter_norm": params, "update_norm": moved}
    squares = {field: _squares(tree) for field, tree in trees.items() if tree is not None}
    names = dict.fromkeys(name for found in squares.values() for name in found)
    layers = {
        name: Layer(**{field: math.sqrt(found[name]) for field, found in squares.items() if name in found})
        for name in names
    }
    whole = {field: math.sqrt(sum(found.values())) for field, found in squares.items()}
    if "gradient_norm" in whole:
        whole["grad_norm"] = whole.pop("gradient_norm")
    return {**whole, "layers": layers}


def _squares(tree: Any) -> dict[str, float]:
    """Return the sum of squares of each layer: the leaves that share all of their path but its end."""
    import jax

    leaves = [(path, leaf) for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0] if _is_array(leaf)]
    sums = jax.device_get([_square(leaf) for _, leaf in leaves])
    found: dict[str, float] = {}
    for (path, _), value in zip(leaves, sums, strict=True):
        name = layer_name(path)
        found[name] = found.get(name, 0.0) + float(value)
    return found


def _square(leaf: Any) -> Any:
    import jax.numpy as jnp

    return jnp.vdot(leaf, leaf).real if leaf.size else jnp.zeros(())


def _is_array(leaf: Any) -> bool:
    import jax

    return isinstance(leaf, (jax.Array, np.ndarray)) and bool(np.issubdtype(leaf.dtype, np.inexact))


def layer_name(path: Any) -> str:
    """Name the layer of a leaf.

    Parameters
    ----------
    path : tuple of jax.tree_util keys
        From ``tree_flatten_with_path``.

    Returns
    -------
    str
        Its path without the last part, which tells weight from bias.
    """
    import jax

    kept = path[:-1] if len(path) > 1 else path
    return str(jax.tree_util.keystr(kept, simple=True, separator="."))


def _blame(number: int, value: float, grads: Any, losses: Any) -> NonFinite:
    import jax

    bad = None if losses is None else np.flatnonzero(~np.isfinite(losses))
    sample = int(bad[0]) if bad is not None and len(bad) else None
    leaves: list[Any] = [] if grads is None else jax.tree_util.tree_flatten_with_path(grads)[0]
    wrong = [layer_name(p) for p, leaf in leaves if _is_array(leaf) and not np.isfinite(np.asarray(leaf)).all()]
    detail = f"is {value}" + (f"; gradients not finite in {len(set(wrong))} layers" if wrong else "")
    return NonFinite(number, "loss", wrong[0] if wrong else None, sample, detail)
