"""What training and held-out rows share, and should not: units, rows, columns that hold the answer."""

from __future__ import annotations

import numpy as np

from lossmith.diagnose.probes.columns import flat, span
from lossmith.diagnose.probes.motion import TINY, Numbers, log10
from lossmith.diagnose.probes.patient import Array, Patient

BANDS = 16  # of a regression's target


def split(patient: Patient) -> Numbers:
    """Compare the rows learned from with those held out: other units, the same rows, a column that tells all.

    Parameters
    ----------
    patient : Patient
        Only its data matters.

    Returns
    -------
    dict of str to float
        Shift and ratio of columns, share of held-out rows seen in training, strength of the strongest column, and of
        the strongest that share nothing with the others but the target.
    """
    x, held = flat(patient.train[0]), flat(patient.valid[0])
    good = np.isfinite(x).all(1)
    x, y = x[good], np.asarray(patient.train[1], np.float64)[good]
    if len(x) < 8 or not np.isfinite(held).all():
        return {}
    # Medians and interquartile ranges: a few extreme rows are not a shift.
    spread, other = span(x), span(held)
    usable = (spread > 1e-9) & (other > 1e-9)
    found: Numbers = {"columns_gone": float(np.mean((x.std(0) > 1e-9) & (held.std(0) <= 1e-9)))}
    if usable.any():
        away = np.abs(np.median(held, 0) - np.median(x, 0))[usable] / spread[usable]
        ratio = np.abs(np.log10(other[usable] / spread[usable]))
        found |= {"shift_median": log10(float(np.median(away))), "shift_max": log10(float(away.max()))}
        found |= {"ratio_median": float(np.median(ratio)), "ratio_max": float(ratio.max())}
    found |= _apart(x, held)
    known = {row.tobytes() for row in np.round(x, 5)}
    found["seen_before"] = float(np.mean([row.tobytes() in known for row in np.round(held, 5)]))
    found |= _copies(x, held)
    strong = np.sort(strengths(x, y, patient.task))[::-1]
    found |= {
        "top_column": float(strong[0]),
        "top_column_lead": float(strong[0] - strong[min(1, len(strong) - 1)]),
    }
    found |= _told(x, y, patient.task)
    if patient.task == "regression":
        held_y = np.asarray(patient.valid[1], np.float64)
        found["target_ratio"] = abs(log10(float(span(held_y[:, None])[0] / (span(y[:, None])[0] + TINY))))
        found["target_shift"] = log10(abs(float(np.median(held_y) - np.median(y))) / (float(np.std(y)) + TINY))
    else:
        found["unknown_classes"] = float(np.mean(~np.isin(patient.valid[1], patient.train[1])))
    return found


def _apart(x: Array, held: Array) -> Numbers:
    """Largest difference of the distribution functions of training and held-out rows, column by column."""
    varies = x.std(0) > 1e-9
    if not varies.any():
        return {}
    away = []
    for own, other in zip(np.sort(x[:, varies], 0).T, np.sort(held[:, varies], 0).T, strict=True):
        at = np.concatenate([own, other])
        below = [np.searchsorted(part, at, "right") / len(part) for part in (own, other)]
        away.append(float(np.abs(below[0] - below[1]).max()))
    # By chance, the root of the number of rows times the difference is about 1.
    rows = np.sqrt(len(x) * len(held) / (len(x) + len(held)))
    return {
        "apart_median": float(np.median(away)),
        "apart_max": max(away),
        "apart_surely": log10(float(rows) * max(away)),
    }


def _copies(x: Array, held: Array, most: int = 600) -> Numbers:
    """Distance from held-out rows to their nearest training row, in the distance between training rows themselves."""
    unit = x.std(0) + TINY
    x, held = x[:most] / unit, held[:most] / unit
    if len(x) < 20 or len(held) < 10:
        return {}
    between = np.sqrt(_squares(x, x) + np.diag(np.full(len(x), np.inf))).min(1)
    to_held = np.sqrt(_squares(held, x)).min(1)
    usual = float(np.median(between))
    return {"copies_apart": log10(float(np.median(to_held)) / usual)} if usual > 1e-6 else {}


def _squares(a: Array, b: Array) -> Array:
    apart = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2.0 * a @ b.T
    return np.asarray(np.maximum(apart, 0.0))


def _told(x: Array, y: Array, task: str) -> Numbers:
    """Strength of the leading columns that are the target and noise of their own, and their lead over the others.

    What columns measure of the world they share beyond the target; what was made from the target they do not.
    """
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return {}
    strong = strengths(x, y, task)
    rest, lead, told = _beyond(x, y, task), 0.0, 0.0
    first = np.argsort(-strong)
    for k in range(min(3, len(first) - 1)):
        if _shared(rest, int(first[k])) > 0.03:
            break
        told = float(strong[first[0]])
        lead = max(lead, float(strong[first[k]] - strong[first[k + 1]]))
    return {"told_column": told, "told_lead": lead}


def _beyond(x: Array, y: Array, task: str) -> Array:
    """Columns less what the target explains of them."""
    x = (x - x.mean(0)) / (x.std(0) + TINY)
    if task == "regression":
        unit = (y - y.mean()) / (y.std() + TINY)
        powers = np.stack([np.ones_like(unit), unit, unit**2], 1)
        x = x - powers @ np.linalg.lstsq(powers, x, rcond=None)[0]
        # A column may tell the target by steps: then by bands of it.
        edges = np.quantile(y, np.linspace(0.0, 1.0, min(BANDS, len(y) // 12 + 1) + 1)[1:-1])
        y = np.searchsorted(edges, y)
    for code in np.unique(y):
        x[y == code] -= x[y == code].mean(0)
    return x


def _shared(x: Array, at: int) -> float:
    """Share of a column's spread that the others explain by a ridge regression, on rows that it was not fitted to."""
    others, own = np.delete(x, at, 1), x[:, at]
    wrong, half = 0.0, np.arange(len(x)) % 2 == 0
    for part in (half, ~half):
        a = others[part]
        slope = np.linalg.solve(a.T @ a + 0.02 * len(a) * np.eye(a.shape[1]), a.T @ own[part])
        wrong += float(((own[~part] - others[~part] @ slope) ** 2).sum())
    return 1.0 - wrong / (float((own**2).sum()) + TINY)


def strengths(x: Array, y: Array, task: str) -> Array:
    """Share of the target's spread that each column explains by itself.

    Parameters
    ----------
    x : ndarray, shape (n, p)
        Columns.
    y : ndarray, shape (n,)
        Targets.
    task : str
        "regression", or of classes.

    Returns
    -------
    ndarray, shape (p,)
        From 0 to 1.
    """
    return np.array([_strength(column, y, task) for column in x.T])


def _strength(column: Array, y: Array, task: str) -> float:
    """Share of the target's spread that one column explains: R2 of a line, or between classes."""
    total = float(np.var(column))
    if total <= 1e-18:
        return 0.0
    if task == "regression":
        return float(np.corrcoef(column, y)[0, 1] ** 2) if np.var(y) > 0 else 0.0
    inside = sum(float(np.var(column[y == c])) * float(np.mean(y == c)) for c in np.unique(y))
    return 1.0 - inside / total
