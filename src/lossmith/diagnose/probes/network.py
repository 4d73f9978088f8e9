"""The network: symmetry, activations, the way of the gradient, sizes of weights."""

from __future__ import annotations

import numpy as np

from lossmith.diagnose.probes.motion import TINY, Numbers, log10
from lossmith.diagnose.probes.patient import Activation, Array, Patient


def symmetry(patient: Patient) -> Numbers:
    """Tell whether hidden units are copies of each other, or zero.

    Parameters
    ----------
    patient : Patient
        The model.

    Returns
    -------
    dict of str to float
        Largest share of twin units in a hidden layer, and largest share of weights that are exactly 0.
    """
    hidden = patient.weights()[:-1]
    everything = patient.weights()
    return {
        "twin_units": max((_twins(w.matrix) for w in hidden if len(w.matrix) > 1), default=0.0),
        "zero_weights": max((float(np.mean(w.matrix == 0.0)) for w in everything), default=0.0),
    }


def _twins(matrix: Array) -> float:
    if matrix.shape[1] < 2 or not np.isfinite(matrix).all():
        return 0.0  # one input: all units are parallel by nature
    lengths = np.linalg.norm(matrix, axis=1)
    unit = matrix / np.maximum(lengths, TINY)[:, None]
    near = np.abs(unit @ unit.T) > 0.9999
    near[lengths < TINY] = True
    return float((near.sum(1) > 1).mean())


def activity(patient: Patient) -> Numbers:
    """Look at activations: dead, zero or saturated units, and how their spread changes with depth.

    Parameters
    ----------
    patient : Patient
        The model.

    Returns
    -------
    dict of str to float
        The worst layer's shares, and the decay of the spread from the first to the last hidden layer.
    """
    x, _ = patient.sample(patient.train)
    out = patient.outputs(x)
    flat = out.reshape(len(out), -1)
    found = {"output_spread": log10(float(flat.std(0).mean())), "output_varies": log10(_relative_spread(flat))}
    layers = patient.activations(x)
    layers = [layer for layer in layers if layer.values.shape != flat.shape or not np.array_equal(layer.values, flat)]
    if not layers or not all(np.isfinite(layer.values).all() for layer in layers):
        return found
    spreads = [float(layer.values.std(0).mean()) for layer in layers]
    return found | {
        "dead_max": max(float((layer.values == 0.0).all(0).mean()) for layer in layers),
        "zero_max": max(float((layer.values == 0.0).mean()) for layer in layers),
        "saturated_max": max(_saturated(layer) for layer in layers),
        "squashing_layers": float(sum(layer.low == 0.0 and layer.high == 1.0 for layer in layers)),
        "spread_decay": log10(spreads[-1]) - log10(spreads[0]),
        "spread_last": log10(spreads[-1]),
        "spread_first": log10(spreads[0]),
    }


def _relative_spread(flat: Array) -> float:
    return float(flat.std(0).mean() / (np.abs(flat).mean() + TINY)) if np.isfinite(flat).all() else float("nan")


def _saturated(layer: Activation) -> float:
    if not (np.isfinite(layer.low) and np.isfinite(layer.high)):
        return 0.0
    edge = 0.02 * (layer.high - layer.low)
    return float(((layer.values < layer.low + edge) | (layer.values > layer.high - edge)).mean())


def depth(patient: Patient) -> Numbers:
    """Follow the gradient's size from layer to layer, now and at new parameters.

    Parameters
    ----------
    patient : Patient
        The model; given back as it was.

    Returns
    -------
    dict of str to float
        Slope of log10 of the root mean square gradient against depth, and the first layer's relative to the last's.
    """
    now = _slope(patient)
    with patient.undisturbed():
        patient.reinitialise(1)
        fresh = {f"fresh_{name}": value for name, value in _slope(patient).items()}
    return now | fresh


def _slope(patient: Patient) -> Numbers:
    g = patient.gradient(*patient.sample(patient.train))
    names = {f"{w.name}.weight" if w.name else "weight" for w in patient.weights()}
    sizes = [float(np.sqrt(np.mean(g[place] ** 2))) for name, place in patient.pieces() if name in names]
    if len(sizes) < 2 or not np.isfinite(sizes).all():
        return {}
    logs = np.array([log10(s) for s in sizes])
    return {
        "gradient_slope": float(np.polyfit(np.arange(len(logs)), logs, 1)[0]),
        "gradient_first_last": float(logs[0] - logs[-1]),
    }


def sizes(patient: Patient) -> Numbers:
    """Compare weights with what their fan-in asks for, and count what the network can hold.

    Parameters
    ----------
    patient : Patient
        The model.

    Returns
    -------
    dict of str to float
        log10 of the largest and smallest spread times the root of the fan-in (about -0.2 to 0.2 when well drawn),
        largest bias, narrowest layer, parameters a row, depth, dropout.
    """
    weights = patient.weights()
    vector = patient.vector()
    found = {"finite_parameters": float(np.isfinite(vector).all()), "dropout": patient.settings().dropout}
    if not weights:
        return found
    spreads = [log10(float(np.sqrt(np.mean(w.matrix**2) * w.matrix.shape[1]))) for w in weights]
    biases = [float(np.abs(w.bias).max()) for w in weights if w.bias is not None and w.bias.size]
    hidden = [len(w.matrix) for w in weights[:-1]]
    with patient.undisturbed():
        patient.reinitialise(1)
        found["fresh_size"] = log10(float(np.linalg.norm(patient.vector())))
        found["fresh_size_min"] = log10(min(float(np.linalg.norm(w.matrix)) for w in patient.weights()))
    return found | {
        "weight_scale_max": max(spreads),
        "weight_scale_min": min(spreads),
        "bias_max": log10(max(biases, default=0.0)),
        "narrowest": float(np.log2(min(hidden))) if hidden else float("nan"),
        "parameters_per_row": log10(len(vector) / max(1, len(patient.train[1]))),
        "depth": float(len(weights)),
    }
