"""A learner of another kind on the same rows: what they hold, whatever the model made of them."""

from __future__ import annotations

import numpy as np

from lossmith.diagnose.probes.motion import TINY, Numbers
from lossmith.diagnose.probes.patient import Array, Patient

FEATURES, MOST = 300, 1500
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


def yardstick(patient: Patient) -> Numbers:
    """Fit least squares on random rectified features of the training rows, and judge it on the held-out ones.

    The penalty is chosen by leaving out one training row after the other, in closed form; nothing is trained.

    Parameters
    ----------
    patient : Patient
        Only its data matters.

    Returns
    -------
    dict of str to float
        Share of held-out rows that are right, or of their variance that is explained, and the same of training rows.
    """
    (x, y), (held, held_y) = patient.sample(patient.train, MOST), patient.sample(patient.valid, MOST)
    x, held = (np.asarray(part, np.float64).reshape(len(part), -1) for part in (x, held))
    good = np.isfinite(x).all(1) & np.isfinite(np.asarray(y, np.float64))
    x, y = x[good], y[good]
    if len(y) < 20 or not np.isfinite(held).all() or not np.ptp(y) > 0.0:
        return {}
    centre, spread = x.mean(0), x.std(0) + 1e-9
    x, held = (np.clip((part - centre) / spread, -4.0, 4.0) for part in (x, held))
    numeric = patient.task == "regression"
    codes = np.asarray(y, np.float64)[:, None] if numeric else np.eye(patient.classes)[y.astype(int)]
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(x.shape[1], FEATURES)) / np.sqrt(x.shape[1])
    turns = rng.uniform(-1.0, 1.0, FEATURES)
    made, other = (np.hstack([part, np.maximum(part @ weights + turns, 0.0)]) for part in (x, held))
    said = _ridge(made, codes, other)
    if numeric:
        return {"yardstick": float(np.clip(1 - np.mean((said[:, 0] - held_y) ** 2) / (np.var(held_y) + TINY), -1, 1))}
    return {"yardstick": float(np.mean(said.argmax(1) == held_y))}


def _ridge(x: Array, y: Array, held: Array) -> Array:
    """Ridge regression with the penalty that predicts left-out rows best."""
    middle, level = x.mean(0), y.mean(0)
    u, s, vt = np.linalg.svd(x - middle, full_matrices=False)
    turned = u.T @ (y - level)
    best, chosen = np.inf, np.zeros_like(s)
    for penalty in PENALTIES:
        keep = s**2 / (s**2 + penalty * len(x))
        rest = (y - level) - u @ (keep[:, None] * turned)
        left = 1.0 - (u**2 @ keep) - 1.0 / len(x)
        cost = float(np.mean((rest / np.maximum(left, 1e-3)[:, None]) ** 2))
        if cost < best:
            best, chosen = cost, s / (s**2 + penalty * len(x))
    return np.asarray((held - middle) @ (vt.T @ (chosen[:, None] * turned)) + level)
