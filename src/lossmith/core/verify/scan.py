"""Look at an elementwise loss over its whole domain: all scales, both tails, next to targets and borders."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..domain import Interval
from ..elementwise import ElementwiseLoss, LinkedElementwise
from .curves import Curves, Extreme, Floats, grows

# Fewer elements than the size from which kernels are compiled: nobody waits for a compiler here.
_BLOCK = 16_384
_TARGETS = (0.0, 1.0, -1.0, 2.5, -7.0, 0.01, -0.01, 100.0, -100.0, 1e4, -1e-4)
_POWERS = 10.0 ** np.linspace(-9, 8, 511)
_STEPS = np.linspace(-12, 12, 481)


@dataclass(frozen=True)
class Scan(Curves):
    """An elementwise loss on a grid: one row for each target, predictions rising along a row."""

    loss: ElementwiseLoss

    def evaluate(self, y: Any, f: Any) -> tuple[Floats, Floats, Floats]:
        """Return value, gradient and Hessian for targets and predictions of one shape."""
        y, f = np.broadcast_arrays(np.asarray(y, float), np.asarray(f, float))
        flat_y, flat_f = y.ravel(), f.ravel()
        parts = [slice(i, i + _BLOCK) for i in range(0, flat_f.size, _BLOCK)]
        done = [self.loss.value_gradient_hessian(flat_y[part], flat_f[part]) for part in parts]
        value, slope, curvature = (np.concatenate(some).reshape(f.shape) for some in zip(*done, strict=True))
        return value, slope, curvature

    # --- the grid ---------------------------------------------------------------------------------------

    @functools.cached_property
    def targets(self) -> Floats:
        """Targets of all sizes that the loss accepts."""
        domain = self.loss.domain
        found = [*_TARGETS, 0.1, 10.0]
        if isinstance(domain, Interval) and np.isfinite(domain.low) and np.isfinite(domain.high):
            found.extend(np.linspace(domain.low, domain.high, 11))
        candidates = np.unique(found)
        return candidates[domain.contains(candidates)]

    @property
    def inputs(self) -> str:
        """What the predictions are ("logits", "rate" ...); empty when the loss has one form only."""
        return self.loss.inputs if isinstance(self.loss, LinkedElementwise) else ""

    def accepts(self, f: Floats) -> npt.NDArray[np.bool_]:
        """Tell which predictions the loss accepts."""
        return self.loss.prediction_domain.contains(f)

    def around(self, center: float) -> Floats:
        """Accepted predictions at all distances from a number, and on both sides of the domain's borders."""
        signed = np.concatenate([-_POWERS[::-1], [0.0], _POWERS])
        grids = [signed, _STEPS, center + signed, center + _STEPS]
        domain = self.loss.prediction_domain
        if isinstance(domain, Interval):
            grids.extend(end + signed for end in (domain.low, domain.high) if np.isfinite(end))
            if np.isfinite(domain.low) and np.isfinite(domain.high):
                grids.append(np.linspace(domain.low, domain.high, 481))
        found = np.unique(np.concatenate(grids))
        return found[self.accepts(found)]

    @functools.cached_property
    def grid(self) -> tuple[Floats, Floats]:
        """Targets and predictions of the scan, of shape (targets, points)."""
        rows = [self.around(target) for target in self.targets]
        length = max(len(row) for row in rows)
        padded = [np.concatenate([row, np.full(length - len(row), row[-1])]) for row in rows]
        f = np.stack(padded)
        return np.broadcast_to(self.targets[:, None], f.shape), f

    @functools.cached_property
    def extremity(self) -> Floats:
        """How far each grid point lies towards infinity, or towards a target or a border, in powers of ten."""
        y, f = self.grid
        domain = self.loss.prediction_domain
        near = [np.abs(f - y), np.where(y == 0.0, 1.0, np.abs(y))]
        if isinstance(domain, Interval):
            near.extend(np.abs(f - end) for end in (domain.low, domain.high) if np.isfinite(end))
        # Exactly on a target or border nothing diverges that does not diverge next to it.
        depth = [np.where(d == 0.0, 9.0, -np.log10(np.where(d == 0.0, 1.0, d))) for d in near]
        depth.extend(np.log10(np.maximum(np.abs(x), 1.0)) for x in (f, f - y))
        return np.asarray(np.max(depth, axis=0))

    @functools.cached_property
    def ordinary(self) -> npt.NDArray[np.bool_]:
        """Grid points of everyday size, from which the loss's own scale is taken."""
        return np.asarray(self.extremity <= 2.0)

    # --- what verifiers ask ------------------------------------------------------------------------------

    def supremum(self, order: int, sign: float = 1.0, *, absolute: bool = False) -> Extreme:
        """Find the supremum of +-value (order 0), gradient (1) or Hessian (2)."""

        def wanted(quantity: Floats) -> Floats:
            chosen = np.abs(quantity) if absolute else sign * quantity
            return np.where(np.isnan(chosen), -np.inf, chosen)

        quantity = wanted(self.triple[order])
        best = np.unravel_index(int(np.argmax(quantity)), quantity.shape)
        y, f = float(self.grid[0][best]), self.grid[1]
        if quantity[best] == np.inf or grows(quantity, self.extremity):
            return Extreme(np.inf, _place(y, float(f[best])))
        row, place = int(best[0]), int(best[1])
        low, high = f[row, max(place - 1, 0)], f[row, min(place + 1, f.shape[1] - 1)]
        return self._zoom(wanted, order, y, float(low), float(high))

    def _zoom(self, wanted: Any, order: int, y: float, low: float, high: float) -> Extreme:
        for _ in range(8):
            f = np.linspace(low, high, 41)
            values = wanted(self.evaluate(y, f)[order])
            place = int(np.argmax(values))
            best = Extreme(float(values[place]), _place(y, float(f[place])))
            low, high = float(f[max(place - 1, 0)]), float(f[min(place + 1, 40)])
        return best


def _place(y: float, f: float) -> str:
    return f"y={y:.6g}, f={f:.6g}"
