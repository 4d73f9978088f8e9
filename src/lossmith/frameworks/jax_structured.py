"""Functions of structured losses, which compute on the host: sequences, embeddings and masks."""

from __future__ import annotations

import functools
from abc import ABC
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..core import host, jax_chain
from ..core.structured import StructuredLoss
from ..losses import CTC, InfoNCE
from .jax_layouts import LossFunction, floating, weights

Array = Any


@dataclass(frozen=True)
class StructuredFunction(LossFunction, ABC):
    """Of structured losses; they return one mean where values share predictions, unless told otherwise."""

    loss: StructuredLoss

    def _of(self, y: Any, f: Array, where: Array | None, sample_weight: Array | None) -> Array:
        usual = "none" if self.loss.separate else "mean"
        return self.loss(y, f, weights(where, sample_weight, f), self.reduction or usual)

    def _of_items(
        self, members: tuple[Array, ...], where: Array | None, sample_weight: Array | None, *labels: Array
    ) -> Array:
        """Compute a loss whose value i is that of row i of each member, with label i if there are any."""
        weight, reduction = weights(where, sample_weight, members[0]), self.reduction or "none"
        work = functools.partial(self._compute_items, weighted=weight is not None, reduction=reduction)

        def run(f: Array, others: tuple[Array, ...], gradient: bool) -> tuple[Array, ...]:
            shapes = (f.shape[1:2] if reduction == "none" else (), f.shape)[: 1 + gradient]
            return host.run(functools.partial(work, gradient=gradient), f, others, shapes)

        def total(change: Array) -> Array:
            return change.sum((0, 2) if reduction == "none" else None)

        def formula(f: Array, others: tuple[Array, ...]) -> Array:
            y = _numbered(f.shape, others if weight is None else others[:-1], jnp)
            mass = None if weight is None else others[-1]
            return self.loss._by_formula((y,), f.reshape(-1, f.shape[2]), mass, reduction)

        # Stacked, not one after the other as the loss wants them: batches that are split among devices stay whole.
        others = labels if weight is None else (*labels, weight)
        return jax_chain.on_host(jax_chain.Task(run, total, formula), jnp.stack(members), *others)

    def _compute_items(self, f: Array, *others: Array, weighted: bool, reduction: str, gradient: bool) -> Any:
        labels, weight = (others[:-1], others[-1:]) if weighted else (others, ())
        y = _numbered(f.shape, labels, np)
        value, *slope = self.loss._compute(
            f.reshape(-1, f.shape[2]), y, *weight, weighted=weighted, reduction=reduction, gradient=gradient
        )
        return value, *(part.reshape(f.shape) for part in slope)


def _numbered(shape: tuple[int, ...], labels: tuple[Array, ...], xp: Any) -> Array:
    """Return targets (t, m): the rows that belong together of m stacked arrays (m, t, d), and labels."""
    rows = np.arange(shape[0] * shape[1]).reshape(shape[:2])
    return xp.column_stack([*rows, *labels])


@dataclass(frozen=True)
class TargetFunction(StructuredFunction):
    """Of losses that take predictions and targets."""

    def __call__(
        self, predictions: Array, targets: Array, *, where: Array | None = None, sample_weight: Array | None = None
    ) -> Array:
        """Compute the loss of predictions against targets."""
        return self._of(targets, floating(predictions), where, sample_weight)


@dataclass(frozen=True)
class SequenceFunction(StructuredFunction):
    """Of CTC, with Optax's paddings."""

    def __call__(
        self,
        logits: Array,
        logit_paddings: Array | None,
        labels: Array,
        label_paddings: Array | None,
        *,
        where: Array | None = None,
        sample_weight: Array | None = None,
    ) -> Array:
        """Compute the loss of logits (B, T, K), not normalised, against labels (B, N)."""
        z = floating(logits, "logits")
        frames, ragged = _lengths(logit_paddings, tuple(z.shape[:2]), "logit_paddings")
        targets = jnp.asarray(labels)
        counts, torn = _lengths(label_paddings, tuple(targets.shape), "label_paddings")
        for wrong in (ragged, torn):
            z = z if wrong is None else jnp.where(wrong[:, None, None], jnp.nan, z)
        return self._of(CTC.targets(targets, counts, frames), z, where, sample_weight)


def _lengths(paddings: Array | None, shape: tuple[int, ...], name: str) -> tuple[Array | None, Array | None]:
    """Return how many entries of each row are no padding, and the rows in which padding stands before one."""
    if paddings is None:
        return None, None
    padded = jnp.asarray(paddings).astype(bool)
    if padded.shape != shape:
        raise ValueError(f"{name} has shape {padded.shape}; give shape {shape}, 1 for what is padding and 0 elsewhere")
    return (~padded).sum(1), (padded[:, :-1] & ~padded[:, 1:]).any(1)


@dataclass(frozen=True)
class TripletFunction(StructuredFunction):
    """Of triplets in three arrays, or of embeddings with targets."""

    def __call__(
        self,
        anchors: Array,
        positives: Array,
        negatives: Array | None = None,
        /,
        *,
        where: Array | None = None,
        sample_weight: Array | None = None,
    ) -> Array:
        """Compute the loss of anchors, positives and negatives, or of embeddings and labels."""
        if negatives is None:
            return self._of(positives, floating(anchors), where, sample_weight)
        members = _alike(anchors=anchors, positives=positives, negatives=negatives)
        return self._of_items(members, where, sample_weight)


@dataclass(frozen=True)
class ContrastiveFunction(StructuredFunction):
    """Of pairs in two arrays with labels, or of embeddings with targets."""

    def __call__(
        self,
        first: Array,
        second: Array,
        labels: Array | None = None,
        /,
        *,
        where: Array | None = None,
        sample_weight: Array | None = None,
    ) -> Array:
        """Compute the loss of two arrays and their pairs' labels, or of embeddings and labels."""
        if labels is None:
            return self._of(second, floating(first), where, sample_weight)
        members = _alike(first=first, second=second)
        kinds = jnp.asarray(labels)
        if kinds.shape != members[0].shape[:1]:
            raise ValueError(f"labels has shape {kinds.shape} for {len(members[0])} pairs; give one label a pair")
        return self._of_items(members, where, sample_weight, kinds.astype(int))


@dataclass(frozen=True)
class InfoNCEFunction(StructuredFunction):
    """Of queries and keys in two arrays, or of embeddings with rows of indices."""

    def __call__(
        self, queries: Array, keys: Array, /, *, where: Array | None = None, sample_weight: Array | None = None
    ) -> Array:
        """Compute the loss of queries and keys, or of embeddings and rows of indices."""
        if not jnp.issubdtype(jnp.asarray(keys).dtype, jnp.floating):
            return self._of(keys, floating(queries), where, sample_weight)
        members = _alike(queries=queries, keys=keys)
        return self._of(*InfoNCE.given(*members), where, sample_weight)


def _alike(**arrays: Array) -> tuple[Array, ...]:
    """Return arrays (t, d) of one shape and dtype."""
    made = [floating(array, name) for name, array in arrays.items()]
    if made[0].ndim != 2 or any(array.shape != made[0].shape for array in made):
        said = ", ".join(f"{name} {array.shape}" for name, array in zip(arrays, made, strict=True))
        raise ValueError(f"shapes {said}; they must be equal, one embedding a row, (t, d)")
    return tuple(made)
