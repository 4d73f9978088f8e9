"""Look at a row-wise loss: at rows of all sizes, and along straight lines through its domain."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..rowwise import RowWiseLoss
from .curves import Curves, Extreme, Floats, grows

# Spaces of predictions that stand for a distribution over classes.
SIMPLEX = ("logits", "log_probabilities", "probabilities")
_LARGEST = {"logits": 8.0, "log_probabilities": 8.0, "probabilities": 1.5, "columns": 8.0}
Quantity = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class Batch:
    """Rows to look at: targets, free coordinates of the predictions, and how extreme they are."""

    y: Floats
    z: Floats
    extremity: Floats


@dataclass(frozen=True)
class Rows:
    """A row-wise loss seen through free coordinates z: logits of the classes, or one number a column."""

    loss: RowWiseLoss

    @property
    def space(self) -> str:
        """What a row of predictions is: one of SIMPLEX, "columns" (declared one by one), or "" (unknown)."""
        if len(self.loss.prediction_domains[self.loss.inputs]) > 1:
            return "columns"
        if self.loss.inputs == "scores":
            return "logits"  # one free number for each class, too
        return self.loss.inputs if self.loss.inputs in SIMPLEX else ""

    @functools.cached_property
    def soft(self) -> bool:
        """Whether targets may lie between classes."""
        k = self.class_counts[0]
        try:
            self.loss(np.full((1, k), 1.0 / k), self.predictions(np.zeros((1, k))))
        except ValueError:
            return False
        return True

    def targets(self, k: int) -> Floats:
        """Distributions over k classes that the loss takes: certain ones, and even ones and others in between."""
        return targets(k) if self.soft else targets(k)[: min(k, 3)]

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Numbers of classes to try: the one that the class weights fix, else a few."""
        given = [len(v) for v in dataclasses.asdict(self.loss).values() if isinstance(v, tuple)]
        return (given[0],) if given else (2, 3, 10)

    def predictions(self, z: Floats) -> Floats:
        """Turn free coordinates into predictions."""
        if self.space == "columns":
            domains = self.loss.prediction_domains[self.loss.inputs]
            columns = zip(domains, np.moveaxis(z, -1, 0), strict=True)
            return np.stack([x if d.contains(np.array([-1.0]))[0] else np.exp(x) for d, x in columns], axis=-1)
        if self.space == "logits":
            return z
        shifted = z - z.max(axis=-1, keepdims=True)
        logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        return np.asarray(logs if self.space == "log_probabilities" else np.exp(logs))

    # --- quantities -------------------------------------------------------------------------------------

    def value(self, y: Floats, f: Floats) -> Floats:
        """Per-sample values."""
        return np.asarray(self.loss(y, f, reduction="none"))

    def norm(self, y: Floats, f: Floats) -> Floats:
        """Euclidean norm of each row's gradient."""
        with np.errstate(all="ignore"):
            return np.asarray(np.linalg.norm(self.loss.gradient(y, f), axis=-1))

    def eigenvalues(self, y: Floats, f: Floats) -> Floats:
        """Eigenvalues of each row's Hessian, rising; infinite where an entry is."""
        matrix = self.loss.hessian(y, f)
        finite = np.isfinite(matrix).all(axis=(1, 2))
        found = np.linalg.eigvalsh(np.where(finite[:, None, None], matrix, 0.0))
        found[~finite, -1] = np.inf
        return np.asarray(found)

    # --- points -----------------------------------------------------------------------------------------

    @functools.cached_property
    def batches(self) -> list[Batch]:
        """Rows of all sizes with targets of all kinds."""
        if self.space == "columns":
            return [_column_batch()]
        return [self._class_batch(k) for k in self.class_counts]

    def _class_batch(self, k: int) -> Batch:
        largest = _LARGEST[self.space]
        sizes = 10.0 ** np.linspace(-2, largest, 31)
        z = (sizes[:, None, None] * _directions(k)).reshape(-1, k)
        z = np.concatenate([np.zeros((1, k)), z])
        y = self.targets(k)
        every_y, every_z = np.repeat(y, len(z), axis=0), np.tile(z, (len(y), 1))
        # Of logits the level may matter too.
        span = np.ptp(every_z, axis=1) if self.space != "logits" else 2 * np.abs(every_z).max(axis=1)
        # Probabilities fall exponentially in the logits: powers of ten of 1/p.
        extremity = span / np.log(10.0) if self.space == "probabilities" else np.log10(np.maximum(span, 1.0))
        return Batch(every_y, every_z, extremity)

    @functools.cached_property
    def spectra(self) -> list[Floats]:
        """Eigenvalues at all rows, one array a batch."""
        return [self.eigenvalues(b.y, self.predictions(b.z)) for b in self.batches]

    @functools.cached_property
    def norms(self) -> list[Floats]:
        """Norms of the gradient at all rows, one array a batch."""
        return [self.norm(b.y, self.predictions(b.z)) for b in self.batches]

    def supremum(self, quantity: Quantity, known: list[Floats]) -> Extreme:
        """Find the supremum of a quantity, known at all rows, with a local search around the largest."""
        values = [_clean(part) for part in known]
        batch = int(np.argmax([v.max() for v in values]))
        best = int(np.argmax(values[batch]))
        y, z = self.batches[batch].y[best], self.batches[batch].z[best]
        joined = np.concatenate(values), np.concatenate([b.extremity for b in self.batches])
        if joined[0].max() == np.inf or grows(*joined):
            return Extreme(np.inf, self._place(y, z))
        return self._climb(quantity, y, z, float(values[batch][best]))

    def _climb(self, quantity: Quantity, y: Any, z: Floats, top: float) -> Extreme:
        rng = np.random.default_rng(0)
        for reach in 0.5 ** np.arange(24):
            tries = z + reach * max(1.0, float(np.abs(z).max())) * rng.normal(size=(40, z.size))
            found = _clean(quantity(np.repeat(y[None], 40, axis=0), self.predictions(tries)))
            if found.max() > top:
                top, z = float(found.max()), tries[int(np.argmax(found))]
        return Extreme(top, self._place(y, z))

    def _place(self, y: Any, z: Floats) -> str:
        with np.printoptions(precision=4, suppress=False, threshold=6, edgeitems=2):
            return f"y={y}, f={self.predictions(z[None])[0]}".replace("\n", "")

    def scale(self, known: list[Floats]) -> float:
        """The usual size of a quantity known at all rows."""
        found = [np.abs(_clean(part))[b.extremity <= 1.5] for part, b in zip(known, self.batches, strict=True)]
        joined = np.concatenate(found)
        return float(joined[np.isfinite(joined)].max(initial=0.0)) or 1.0


@dataclass(frozen=True)
class Lines(Curves):
    """The loss along straight lines of predictions, for one number of classes (or columns)."""

    rows: Rows
    k: int

    suspects = 30

    @functools.cached_property
    def bundle(self) -> tuple[Floats, Floats, Floats]:
        """Targets, starts and directions of the lines."""
        rng = np.random.default_rng(self.k)
        if self.rows.space == "columns":
            y = np.array([0.0, 2.0, -1.0, 10.0] * 4)
            start, end = (self.rows.predictions(rng.normal(size=(16, self.k)) * 2) for _ in range(2))
            return y, start, end - start
        y = np.repeat(self.rows.targets(self.k), 3 if self.rows.soft else 6, axis=0)
        start = rng.normal(size=y.shape) * 2
        end = rng.normal(size=y.shape) * 2
        start, end = self.rows.predictions(start), self.rows.predictions(end)
        return y, start, end - start

    @functools.cached_property
    def grid(self) -> tuple[Floats, Floats]:
        """Line numbers and places; between start and end only, where the domain ends."""
        ends = (-40.0, 40.0) if self.rows.space == "logits" else (0.0, 1.0)
        count = len(self.bundle[0])
        places = np.broadcast_to(np.linspace(*ends, 641), (count, 641))
        return np.broadcast_to(np.arange(float(count))[:, None], places.shape), places

    @property
    def ordinary(self) -> npt.NDArray[np.bool_]:
        """All of the grid."""
        return np.ones(self.grid[1].shape, bool)

    def evaluate(self, y: Any, f: Any) -> tuple[Floats, Floats, Floats]:
        """Return value, directional derivative and directional curvature on lines y at places f."""
        lines, places = np.broadcast_arrays(np.asarray(y), np.asarray(f, float))
        number = lines.ravel().astype(int)
        target, start, step = (part[number] for part in self.bundle)
        value, slope, matrix = self.rows.loss.value_gradient_hessian(target, start + places.ravel()[:, None] * step)
        bent = np.einsum("ni,nij,nj->n", step, matrix, step)
        shape = places.shape
        return value.reshape(shape), (slope * step).sum(axis=1).reshape(shape), bent.reshape(shape)


def targets(k: int) -> Floats:
    """Distributions over k classes: certain, even, and in between."""
    rng = np.random.default_rng(k)
    return np.concatenate([np.eye(k)[:3], np.full((1, k), 1.0 / k), rng.dirichlet(np.ones(k), 2)])


def _directions(k: int) -> Floats:
    rng = np.random.default_rng(k)
    unit = np.eye(k)[:3]
    pairs = np.stack([unit[0] - unit[1], unit[0] + unit[1], unit[1] - unit[0], -unit[0] - unit[1]])
    return np.concatenate([unit, -unit, pairs, rng.normal(size=(14, k))])


def _column_batch() -> Batch:
    size = 10.0 ** np.linspace(-6, 8, 57)
    place = np.concatenate([-size[::-1], [0.0], size])
    spread = np.linspace(-18.0, 18.0, 49)
    y, first, second = (part.ravel() for part in np.meshgrid([0.0, 1.0, -3.0], place, spread))
    extremity = np.maximum(np.log10(np.maximum(np.abs(first), 1.0)), np.abs(second) / np.log(10.0))
    return Batch(y, np.stack([y + first, second], axis=1), extremity)


def _clean(values: Floats) -> Floats:
    return np.where(np.isnan(values), -np.inf, values)
