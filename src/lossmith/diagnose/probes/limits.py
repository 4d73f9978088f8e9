"""What the model can say at all, and what the loss makes of outputs that are as right as can be."""

from __future__ import annotations

import numpy as np

from lossmith.diagnose.probes.motion import TINY, Numbers, log10
from lossmith.diagnose.probes.patient import Array, Patient

SEEDS = (21, 22, 23, 24)
FACTORS = (1.0, 4.0, 16.0)  # parameters are taken so many times as large: free outputs grow with them
MARGINS = (0.5, 1.0, 2.0, 4.0, 8.0, 32.0)  # of raw scores, from doubt to certainty
SLACK = 0.02  # of the targets' spread


def reach(patient: Patient) -> Numbers:
    """Ask which outputs the model can make: new parameters, and the same many times as large.

    A free output takes both signs and grows with the parameters; behind a sigmoid, a clamp, a ReLU it does not.

    Parameters
    ----------
    patient : Patient
        The model; given back as it was.

    Returns
    -------
    dict of str to float
        log10 of how far the largest output grows where parameters grow fourfold, share of outputs on the commoner
        side of zero, share of targets (of numbers) that no output can reach, share of rows whose outputs are
        logarithms of probabilities.
    """
    x, y = patient.sample(patient.train, 64)
    seen: dict[float, list[Array]] = {factor: [] for factor in FACTORS}
    with patient.undisturbed():
        for seed in SEEDS:
            patient.reinitialise(seed)
            new = patient.vector()
            for factor in FACTORS:
                patient.put(factor * new)
                seen[factor].append(patient.outputs(x).reshape(len(x), -1))
    _, middle, large = (np.concatenate(seen[factor]) for factor in FACTORS)
    everything = np.concatenate([part for parts in seen.values() for part in parts])
    if not np.isfinite(everything).all() or not np.abs(middle).max() > 0.0:
        return {}
    found = {
        "reach_growth": log10(float(np.abs(large).max() / np.abs(middle).max())),
        "reach_one_side": float(max(np.mean(large >= 0.0), np.mean(large <= 0.0))),
        "reach_normalised": float(np.mean(np.abs(np.exp(np.clip(middle, -700, 50)).sum(1) - 1.0) < 1e-3)),
    }
    if patient.task == "regression":
        slack = SLACK * float(np.std(y))
        found["targets_beyond"] = float(np.mean((y > everything.max() + slack) | (y < everything.min() - slack)))
    return found


def straight(patient: Patient) -> Numbers:
    """Tell whether the model is one straight line through its inputs, however many layers it has.

    Parameters
    ----------
    patient : Patient
        The model.

    Returns
    -------
    dict of str to float
        log10 of how far the output half-way between two rows lies from the middle of theirs, over the outputs' spread.
    """
    x, _ = patient.sample(patient.train)
    x = np.asarray(x, np.float64)
    x = x[np.isfinite(x.reshape(len(x), -1)).all(1)]
    half = len(x) // 2
    if half < 4:
        return {}
    a, b = x[:half], x[half : 2 * half]
    one, other, between = (patient.outputs(part).reshape(half, -1) for part in (a, b, 0.5 * (a + b)))
    spread = float(np.concatenate([one, other]).std(0).mean())
    if not np.isfinite(between).all() or not spread > 1e-6 * (float(np.abs(one).mean()) + TINY):
        return {}
    return {"bend": log10(float(np.sqrt(np.mean((between - 0.5 * (one + other)) ** 2))) / spread)}


def asked(patient: Patient) -> Numbers:
    """Ask the loss about outputs that are right and wrong on purpose: what certainty costs, and which rows it hears.

    Parameters
    ----------
    patient : Patient
        Only its loss and its targets matter.

    Returns
    -------
    dict of str to float
        Of classes: the least that right outputs cost, as a share of what guessing costs, and log10 of how much more
        sure mistakes cost than unsure ones. Of numbers: log10 of how unevenly the loss pulls rows that are equally
        far off, and the share of targets on the commoner side of zero.
    """
    x, y = patient.sample(patient.train)
    shape = patient.outputs(x).shape
    if patient.task == "regression":
        unit = float(np.std(y)) + TINY
        return {
            "loss_uneven": max(_uneven(patient, y, side * unit, shape) for side in (1.0, -1.0)),
            "targets_one_side": float(max(np.mean(y >= 0.0), np.mean(y <= 0.0))),
        }
    right = _codes(y, shape)
    costs = [float(np.mean(patient.losses(margin * right, y))) for margin in MARGINS]
    wrong = [float(np.mean(patient.losses(-margin * right, y))) for margin in MARGINS[-2:]]
    if not np.isfinite([*costs, *wrong]).all():
        return {}
    found = {"right_cost": min(costs) / float(np.log(patient.classes))}
    return found | ({"wrong_growth": log10(wrong[1] / wrong[0])} if min(wrong) > 0.0 else {})


def _codes(y: Array, shape: tuple[int, ...]) -> Array:
    """Raw scores that are right: 1 for the true class, -1 for others."""
    if len(shape) > 1 and shape[1] > 1:
        return np.asarray(2.0 * np.eye(shape[1])[y.astype(int)] - 1.0).reshape(shape)
    return np.asarray(2.0 * y - 1.0).reshape(shape)


def _uneven(patient: Patient, y: Array, away: float, shape: tuple[int, ...]) -> float:
    spreads = []
    for far in (0.5, 1.0, 2.0):
        pull = np.abs(patient.output_gradient((y + far * away).reshape(shape), y)).reshape(-1)
        low, high = np.quantile(pull, [0.1, 0.9])
        spreads.append(log10(float(high / low)) if low > 0.0 and np.isfinite(high) else 0.0)
    return float(np.median(spreads))
