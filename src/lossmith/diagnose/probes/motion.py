"""Parameters: do they move, by the right amount, along the right gradient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lossmith.diagnose.probes.patient import Array, Patient, Stride

Numbers = dict[str, float]
TINY = 1e-12
ENTRIES = 16  # of a tensor; single numbers move by any share of their size


def log10(value: float) -> float:
    """Logarithm that ends at -12; NaN and infinities pass."""
    return float(np.log10(max(value, TINY))) if np.isfinite(value) else float(value)


def movement(patient: Patient) -> Numbers:
    """Take two steps of the user's own and see what moved, and along which gradient.

    Parameters
    ----------
    patient : Patient
        The model; given back as it was.

    Returns
    -------
    dict of str to float
        log10 of how many steps momentum remembers, how far parameters moved, which did not, whether the step's
        gradient is that of its batch, whether the second gradient still holds the first, and what half precision does
        to it.
    """
    settings = patient.settings()
    found = {"covered": settings.covered, "frozen": settings.frozen, "decay": log10(settings.weight_decay)}
    found["rate_left"] = log10(settings.learning_rate / (settings.peak_rate + TINY))
    found["memory"] = -log10(1.0 - settings.momentum)
    with patient.undisturbed():
        if not np.isfinite(patient.vector()).all():
            patient.reinitialise(1)  # what a step does to gradients shows from anywhere
        patient.settle()
        first = patient.stride(*patient.batches[0])
        if first is None:
            return found
        second = patient.stride(*patient.batches[1 % len(patient.batches)])
    assert second is not None
    places = [place for _, place in patient.pieces()]
    found |= _moved(first, patient.pieces()) | _fidelity(first) | _accumulation(first, second, places)
    found["step_in_training"] = float("nan") if first.training is None else float(first.training)
    return found


def _moved(stride: Stride, pieces: Sequence[tuple[str, slice]]) -> Numbers:
    places = [place for _, place in pieces]
    change, size = stride.after - stride.before, float(np.linalg.norm(stride.before))
    still = [not np.any(change[place]) for place in places]
    silent = [not np.any(stride.reference[place]) for place in places]
    return {
        "moved": log10(float(np.linalg.norm(change)) / (size + TINY)),
        "unmoved_share": float(np.mean(still)),
        "no_gradient_share": float(np.mean(silent)),
        "unmoved_although_pulled": float(np.mean([s and not z for s, z in zip(still, silent, strict=True)])),
        "gradient_size": log10(float(np.linalg.norm(stride.reference))),
        "left_behind": _left_behind(stride.before, change, [place for name, place in pieces if not _offset(name)]),
        "shrinks": log10(-float(change @ stride.before) / (size**2 + TINY)),
    }


def _offset(name: str) -> bool:
    """Biases start at or near zero, so that they move by any multiple of their size."""
    return "bias" in name or "beta" in name


def _left_behind(before: Array, change: Array, places: list[slice]) -> float:
    """Share of the parameters whose tensors move by less than a hundredth of what the fastest tensor moves."""
    large = [place for place in places if place.stop - place.start >= ENTRIES and np.any(before[place])]
    if len(large) < 2:
        return 0.0
    ways = np.array([np.linalg.norm(change[place]) / np.linalg.norm(before[place]) for place in large])
    counts = np.array([place.stop - place.start for place in large])
    return float(counts[ways < 0.01 * ways.max()].sum() / counts.sum())


def _fidelity(stride: Stride) -> Numbers:
    own, right = stride.gradient, stride.reference
    size = float(np.linalg.norm(right))
    alive = right != 0.0
    extra, here = own - right, stride.before
    pull = float(extra @ here) / (float(here @ here) + TINY)
    kept = own[own != 0.0].astype(np.float32)
    moved = stride.after.astype(np.float32)
    with np.errstate(over="ignore"):
        half = float(np.mean(kept == kept.astype(np.float16).astype(np.float32))) if kept.size else 0.0
        half_here = float(np.mean(moved == moved.astype(np.float16).astype(np.float32)))
    return {
        "gradient_ratio": log10(float(np.linalg.norm(own)) / (size + TINY)) if size else float("nan"),
        "gradient_cosine": float(own @ right) / (float(np.linalg.norm(own)) * size + TINY),
        "lost_share": float(np.mean(own[alive] == 0.0)) if alive.any() else float("nan"),
        "overflow": float(np.mean(~np.isfinite(own)) > 0 and bool(np.isfinite(right).all())),
        "half_gradients": half,
        "half_parameters": half_here,
        "penalty_pull": log10(abs(pull) * float(np.linalg.norm(here)) / (size + TINY)),
    }


def _accumulation(first: Stride, second: Stride, places: list[slice]) -> Numbers:
    """Of all parameters, and of the tensor that keeps most: some may be cleared and others not."""
    carried, own = second.gradient - second.reference, first.gradient
    whole = float(own @ own)
    if not whole > TINY:
        return {}
    kept = [
        float(carried[p] @ own[p]) / float(own[p] @ own[p]) for p in places if float(own[p] @ own[p]) > 1e-6 * whole
    ]
    return {"accumulates": float(carried @ own) / whole, "accumulates_somewhere": max(kept)}


def line_search(patient: Patient) -> Numbers:
    """Try steps of many sizes along minus the gradient, and compare the best with the step that training takes.

    Parameters
    ----------
    patient : Patient
        The model; given back as it was.

    Returns
    -------
    dict of str to float
        At the present parameters, and (``fresh_``) at newly drawn ones: log10 of the best relative step, of the
        training's own, their difference, and what each does to the loss.
    """
    with patient.undisturbed():
        now = _search(patient)
        patient.reinitialise(1)
        patient.settle()
        fresh = {f"fresh_{name}": value for name, value in _search(patient).items()}
    return now | fresh


def _search(patient: Patient) -> Numbers:
    x, y = patient.sample(patient.train)
    start = patient.vector()
    if not np.isfinite(start).all():
        return {}
    g = patient.gradient(x, y)
    size, pull, before = float(np.linalg.norm(start)), float(np.linalg.norm(g)), patient.mean_loss(x, y)
    if not np.isfinite(pull) or not np.isfinite(before):
        return {}
    found: Numbers = {}
    exponents = np.arange(-6.0, 1.1, 0.5)
    if pull > 0.0:
        falls = []
        for k in exponents:
            patient.put(start - g * (10.0**k * size / pull))
            falls.append((before - patient.mean_loss(x, y)) / (abs(before) + TINY))
        table = np.nan_to_num(np.array(falls), nan=-1e9, neginf=-1e9, posinf=0.0)
        found |= {
            "best_fall": float(np.clip(table.max(), 0.0, 1.0)),
            "best_step": float(exponents[int(table.argmax())]),
        }
    patient.put(start)
    return found | _own_step(patient, start, before, found.get("best_step"), (x, y))


def _own_step(patient: Patient, start: Array, before: float, best: float | None, rows: tuple[Array, Array]) -> Numbers:
    """Five of the training's own steps: how far, and what they do to the loss."""
    lengths = []
    for number in range(5):
        here = patient.vector()
        stride = patient.stride(*patient.batches[number % len(patient.batches)])
        if stride is None:
            return {}
        lengths.append(float(np.linalg.norm(patient.vector() - here)))
    after = patient.mean_loss(*rows)
    own = log10(float(np.mean(lengths)) / (float(np.linalg.norm(start)) + TINY))
    change = (before - after) / (abs(before) + TINY) if np.isfinite(after) else -10.0
    found = {"own_step": own, "own_fall": float(np.clip(change, -10.0, 1.0))}
    return found | ({} if best is None else {"step_excess": own - best})
