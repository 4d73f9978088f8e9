"""Training mode against evaluation mode."""

from __future__ import annotations

import numpy as np

from lossmith.diagnose.probes.motion import TINY, Numbers, log10
from lossmith.diagnose.probes.patient import Patient


def modes(patient: Patient) -> Numbers:
    """Compare the loss in both modes, ask for chance in evaluation, and hold running statistics against the data's.

    Parameters
    ----------
    patient : Patient
        The model; given back as it was.

    Returns
    -------
    dict of str to float
        Gaps between the modes, relative difference of two evaluations, and distance of batch normalisations' memory.
    """
    x, y = patient.sample(patient.train)
    with patient.undisturbed():
        quiet, loud = patient.outputs(x), patient.outputs(x, "train")
        own, again, still = patient.outputs(x, "own"), patient.outputs(x, "own"), patient.outputs(x)
        losses = [float(patient.losses(out, y).mean()) for out in (quiet, loud, own)]
        norms = patient.normalisers(x)
    gaps = [_gap(n.kept_mean, n.mean, n.variance) for n in norms]
    spreads = [float(np.median(np.abs(np.log10((n.kept_variance + 1e-5) / (n.variance + 1e-5))))) for n in norms]
    size = float(np.std(quiet)) + TINY
    return {
        "mode_gap": _log_ratio(losses[1], losses[0]),
        "own_mode_gap": _log_ratio(losses[2], losses[0]),
        "training_noise": log10(float(np.abs(loud - quiet).mean()) / size),
        "own_apart": log10(float(np.abs(own - quiet).mean()) / size),
        "chance_in_own": log10(float(np.abs(own - again).mean()) / size),
        "chance_in_eval": log10(float(np.abs(still - quiet).mean()) / size),
        "evaluates_in_training": float(patient.evaluates_in_training()),
        "norm_mean_gap": log10(max(gaps, default=0.0)),
        "norm_spread_gap": max(spreads, default=0.0),
        "norm_forgets": max((n.forgets for n in norms), default=0.0),
        "norms": float(len(gaps)),
    }


def _gap(kept: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> float:
    return float(np.median(np.abs(kept - mean) / np.sqrt(variance + 1e-5)))


def _log_ratio(a: float, b: float) -> float:
    return float(np.clip(log10(a / b), -6, 6)) if a > 0 and b > 0 else float("nan")
