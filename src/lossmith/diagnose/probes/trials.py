"""Short trainings by the book: can this model, loss and data learn at all."""

from __future__ import annotations

import time

import numpy as np

from lossmith.diagnose.probes.motion import TINY, Numbers, log10
from lossmith.diagnose.probes.patient import Array, Patient

STEPS = 40
STARTS, FEWEST, SECONDS, LONGER = 6, 3, 0.6, 120
"""Of `starts`: how many, how many at least, after which time no more are begun, and their steps."""


def memorise(patient: Patient) -> Numbers:
    """Overfit 16 rows, from the present parameters and from new ones: a sound model and loss can.

    Parameters
    ----------
    patient : Patient
        The model; given back as it was.

    Returns
    -------
    dict of str to float
        log10 of the last loss over the first, and the share of rows (of the spread) that was learned.
    """
    x, y = patient.sample(patient.train, 16)
    found: Numbers = {}
    for name in ("memorised", "fresh_memorised"):
        with patient.undisturbed():
            if name.startswith("fresh"):
                patient.reinitialise(1)
            before = patient.mean_loss(x, y)
            patient.rehearse(x, y, STEPS, 1e-2)
            after = patient.mean_loss(x, y)
            found[name] = log10(after / before) if before > 0 and after > 0 else float("nan")
            found[f"{name}_right"] = _right(patient, x, y)
    return found


def _right(patient: Patient, x: Array, y: Array) -> float:
    out = patient.outputs(x)
    if patient.task == "regression":
        return float(np.clip(1.0 - np.mean((out.reshape(-1) - y) ** 2) / (np.var(y) + TINY), -1.0, 1.0))
    said = out.argmax(1) if out.ndim == 2 and out.shape[1] > 1 else out.reshape(-1) > 0
    return float(np.mean(said == y))


def restarts(patient: Patient) -> Numbers:
    """Train anew from two starts by the book, and compare with where the training ended.

    Parameters
    ----------
    patient : Patient
        The model; given back as it was.

    Returns
    -------
    dict of str to float
        log10 of the training's loss over that of the best restart (above 0: the restart is better), the spread over
        starts, and the same comparison for going on from here.
    """
    x, y = patient.train
    now = patient.mean_loss(x, y)
    ends, skills = [], []
    for seed in (1, 2):
        with patient.undisturbed():
            patient.reinitialise(seed)
            patient.rehearse(x, y, STEPS, 5e-3, 64)
            ends.append(patient.mean_loss(x, y))
            skills.append(_right(patient, *patient.valid))
    with patient.undisturbed():
        patient.rehearse(x, y, STEPS, 3e-3, 64)
        onward = patient.mean_loss(x, y)
    best = min(ends)
    return {
        "restart_gain": _ratio(now, best),
        "restart_spread": float(np.std(ends) / (abs(np.mean(ends)) + TINY)),
        "onward_gain": _ratio(now, onward),
        "restart_skill": max(skills),
        "own_skill": _right(patient, *patient.valid),
        "own_skill_train": _right(patient, x, y),
    }


def starts(patient: Patient) -> Numbers:
    """Train briefly by the book from several new initialisations: on a landscape with traps they end apart.

    Parameters
    ----------
    patient : Patient
        The model; given back as it was.

    Returns
    -------
    dict of str to float
        How many starts; the spread of their last losses, largest less smallest, and the median's distance from the
        best, both over the way that the best one went down; share of starts that did not get a tenth of that way;
        log10 of the training's own loss over the best's.
    """
    x, y = patient.train
    begun, now = time.perf_counter(), patient.mean_loss(x, y)
    before, ends = [], []
    for seed in range(11, 11 + STARTS):
        with patient.undisturbed():
            patient.reinitialise(seed)
            before.append(patient.mean_loss(x, y))
            patient.rehearse(x, y, LONGER, 2e-2, 64)
            ends.append(patient.mean_loss(x, y))
        if len(ends) >= FEWEST and time.perf_counter() - begun > SECONDS:
            break
    best = min(ends)
    way = float(np.mean(before)) - best
    found = {"starts": float(len(ends)), "starts_own": _ratio(now, best)}
    if not way > 0.0:
        return found
    return found | {
        "starts_spread": (max(ends) - best) / way,
        "starts_median": (float(np.median(ends)) - best) / way,
        "starts_trapped": float(np.mean([way + best - end < 0.1 * way for end in ends])),
    }


def _ratio(now: float, other: float) -> float:
    if not np.isfinite(now):
        return 6.0
    return float(np.clip(log10(now / other), -6, 6)) if now > 0 and other > 0 and np.isfinite(other) else float("nan")
