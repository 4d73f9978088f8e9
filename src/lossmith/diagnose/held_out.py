"""What held-out predictions say about a trained model, as numbers that the rules know."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from lossmith.core.loss import Loss

Array = np.ndarray[Any, Any]

CONFIDENT = 0.01  # a calibrated model gives the true class less than this in at most (k - 1) of 100 rows


@final
@dataclass(frozen=True)
class HeldOut:
    """A trained model's predictions for rows that it was not trained on, as far as they are known.

    Attributes
    ----------
    loss : Loss
        What it was trained with.
    y : ndarray, shape (n,)
        Targets as the loss takes them (-1/+1 for margin losses).
    raw : ndarray, shape (n,) or (n, k)
        Raw scores.
    fitted : ndarray, shape (n,), optional
        Predictions in the unit of ``y``, where they differ from raw scores (log links).
    decided : ndarray of int, shape (n,), optional
        Decisions, class codes; None for numeric targets.
    codes : ndarray of int, shape (n,), optional
        True class codes; None for numeric targets.
    probability : ndarray, shape (n,), optional
        Probability of the true class; None when there are none.
    train_errors, valid_errors : tuple of float
        The metric, turned so that smaller is better, on the rows trained on and held out; one for each fold.
    trivial_error : float or None
        The same metric of the best constant prediction.
    limited : float or None
        Share of the trainings that ended because no more iterations were allowed.

    Examples
    --------
    >>> import numpy as np, lossmith as lm
    >>> y = np.random.default_rng(0).normal(size=1000)
    >>> y[:5] += 200.0
    >>> round(HeldOut(lm.MeanSquaredError(), y, np.zeros(1000)).numbers()["held.top_pull"], 2)
    0.57
    """

    loss: Loss
    y: Array
    raw: Array
    fitted: Array | None = None
    decided: Array | None = None
    codes: Array | None = None
    probability: Array | None = None
    train_errors: tuple[float, ...] = ()
    valid_errors: tuple[float, ...] = ()
    trivial_error: float | None = None
    limited: float | None = None

    def numbers(self) -> dict[str, float]:
        """Return what the rules ask for, each name beginning with ``held.``.

        Returns
        -------
        dict of str to float
            Only what can be told.
        """
        found = {"held.stuck_share": self._stuck(), "held.convex": float(bool(self.loss.traits.convex))}
        if self.limited is not None:
            found["held.limited"] = self.limited
        return found | self._outliers() | self._carried()

    def recalls(self) -> dict[str, float]:
        """Return the recall of each class, as metrics of a record.

        Returns
        -------
        dict of str to float
            ``eval_recall_<code>``; empty for numeric targets.
        """
        if self.codes is None or self.decided is None:
            return {}
        codes = np.unique(self.codes)
        return {f"eval_recall_{code}": float((self.decided[self.codes == code] == code).mean()) for code in codes}

    def _stuck(self) -> float:
        """Share of the rows that are clearly wrong and pull less than a hundredth of what rows that are right do."""
        size, wrong = self._pull(), self._wrong()
        typical = float(np.median(size[~wrong])) if (~wrong).any() else float(size.mean())
        return float((wrong & (size <= 0.01 * typical)).mean())

    def _pull(self) -> Array:
        slopes = np.abs(np.asarray(self.loss.gradient(self.y, self.raw), dtype=np.float64))
        return slopes if slopes.ndim == 1 else np.asarray(np.sqrt(np.square(slopes).sum(axis=1)))

    def _wrong(self) -> Array:
        """Rows that are clearly wrong: the other class with probability above 0.9, or beyond 3 robust deviations."""
        if self.codes is not None:
            if self.probability is not None:
                return np.asarray(self.probability < 0.1)
            return np.asarray(self.decided != self.codes)
        residual = np.abs(np.asarray(self.y - (self.raw if self.fitted is None else self.fitted)))
        return np.asarray(residual > 3.0 * 1.4826 * float(np.median(residual)))

    def _outliers(self) -> dict[str, float]:
        if self.codes is not None:
            if self.probability is None:
                return {}
            share = float((self.probability < CONFIDENT).mean())
            allowed = CONFIDENT * (max(2, np.unique(self.codes).size) - 1)
            limit = 2.0 * allowed + 2.0 * math.sqrt(allowed / self.y.shape[0])
            return {"held.confident_mistakes": share, "held.confident_mistakes_limit": limit}
        size = np.sort(self._pull())[::-1]
        if size.size < 100:
            return {}
        total = float(size.sum())
        return {"held.top_pull": float(size[: size.size // 100].sum()) / total if total > 0 else 0.0}

    def _carried(self) -> dict[str, float]:
        """How much of the improvement over a constant does not carry over to held-out rows."""
        if not self.train_errors or self.trivial_error is None:
            return {}
        gaps = np.subtract(self.valid_errors, self.train_errors)
        room, gap = self.trivial_error - float(np.mean(self.train_errors)), float(gaps.mean())
        error = float(gaps.std(ddof=1) / math.sqrt(gaps.size)) if gaps.size > 1 else 0.0
        return {"held.lost_share": gap / room if room > 0 else 0.0, "held.gap": gap, "held.gap_error": error}
