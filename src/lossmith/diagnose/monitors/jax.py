"""The monitor of a JAX loop."""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Mapping
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
        before: Any = None,
        batch: Any = None,
        samples: Any = None,
        terms: Mapping[str, Any] | None = None,
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
        before : pytree, optional
            Parameters before the update, where they are not those of the last call.
        batch : pytree, optional
            What the loss was computed on, targets too, samples along the first axis: looked at only if the loss is not
            finite, to name the row.
        samples : array, optional
            One loss for each sample.
        terms : mapping of str to jax.Array or float, optional
            Parts of the loss, recorded as metrics; one that is not finite is named.
        learning_rate, eval_loss, epoch : float, optional
            As of `Step`.
        **metrics : float
            Whatever else was measured.

        Raises
        ------
        NonFiniteError
            If the loss is not finite and ``nan="stop"``: it names the row of ``batch`` or ``samples``, the layer whose
            parameters were not finite before this step, the term, or the layers whose gradient is not while that of
            others is. JAX shows no layer's output; ``jax.config.update("jax_debug_nans", True)`` finds the operation.
        """
        number, self._number = self._number, self._number + 1
        value = float(loss)
        started = self._before if before is None else before
        measured = self._measure(number, grads, params, started)
        self._before = params
        losses = None if samples is None else np.asarray(samples, dtype=np.float64).ravel()
        if losses is not None and self._budget.allows("samples"):
            begun = _CLOCK()
            measured["samples"] = self._reservoir.watch(losses)
            self._budget.charge("samples", _CLOCK() - begun)
        named = {name: float(v) for name, v in {**(terms or {}), **metrics}.items()}
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
            bad = [name for name in terms or () if not math.isfinite(named[name])]
            found = _in_batch(number, batch) or _in_parameters(number, started)
            self._run.trouble(found or _blame(number, value, bad[0] if bad else "loss", grads, losses))

    def close(self) -> None:
        """Write what is left; a second call does nothing."""
        self._run.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _measure(self, number: int, grads: Any, params: Any, before: Any) -> dict[str, Any]:
        due = number % self._every == 0 if self._every else number >= self._next
        if (grads is None and params is None) or not due or not self._budget.allows("layers"):
            return {}
        begun = _CLOCK()
        found = measure(grads, params, before)
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


def _leaves(tree: Any) -> list[tuple[Any, Any]]:
    """Return the arrays of a tree that can still be read, with their paths."""
    import jax

    held = [] if tree is None else jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(path, leaf) for path, leaf in held if _is_array(leaf) and not _donated(leaf)]


def _donated(leaf: Any) -> bool:
    import jax

    return isinstance(leaf, jax.Array) and leaf.is_deleted()


def _in_batch(number: int, batch: Any) -> NonFinite | None:
    import jax

    for path, leaf in _leaves(batch):
        bad = ~np.isfinite(np.asarray(leaf))
        if bad.any():
            rows = bad.reshape(len(bad), -1).any(1) if bad.ndim else np.ones(1, bool)
            sample = None if rows.all() and len(rows) > 1 else int(np.flatnonzero(rows)[0])
            place = jax.tree_util.keystr(path, simple=True, separator=".")
            return NonFinite(
                number,
                "input",
                None,
                sample,
                f"part {place or 0} of the batch: {int(bad.sum())} of {bad.size} not finite",
            )
    return None


def _in_parameters(number: int, params: Any) -> NonFinite | None:
    wrong = [path for path, leaf in _leaves(params) if not np.isfinite(np.asarray(leaf)).all()]
    if not wrong:
        return None
    return NonFinite(number, "parameter", layer_name(wrong[0]), None, "was not finite before this step already")


def _blame(number: int, value: float, term: str, grads: Any, losses: Any) -> NonFinite:
    bad = None if losses is None else np.flatnonzero(~np.isfinite(losses))
    sample = int(bad[0]) if bad is not None and len(bad) else None
    named = {layer_name(path): True for path, _ in _leaves(grads)}
    for path, leaf in _leaves(grads):
        named[layer_name(path)] &= bool(np.isfinite(np.asarray(leaf)).all())
    wrong = [name for name, sound in named.items() if not sound]
    detail = f"is {value}" + (f"; gradients not finite in {len(wrong)} of {len(named)} layers" if wrong else "")
    # Where all are bad the first is as good as any: JAX shows no layer's output.
    alone = wrong[0] if wrong and len(wrong) < len(named) else None
    return NonFinite(number, term, alone, sample, detail)
