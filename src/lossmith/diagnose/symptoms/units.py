"""What happens inside the network: dead and saturated units."""

from __future__ import annotations

import numpy as np

from .curves import Curve
from .found import Lacking, Seen, Verdict
from .rule import Rule
from .view import View

DEAD = 0.7  # of a layer's units: AutoTrainer's share for dying ReLU
SATURATED = 0.7  # of a layer's activations at the flat ends


def dead_units(view: View) -> Verdict:
    """Most units of a layer are zero for every sample."""
    layers = view.layers("dead_share")
    if not layers:
        return Lacking("no share of dead units was recorded")
    return _worst(layers, DEAD, "dead_share", "units of layer {layer} are zero for every sample")


def saturated_units(view: View) -> Verdict:
    """Most activations of a layer sit at the flat ends of their function."""
    layers = view.layers("saturated_share")
    if not layers:
        return Lacking("no share of saturated activations was recorded")
    return _worst(layers, SATURATED, "saturated_share", "activations of layer {layer} sit at its flat ends")


def _worst(layers: dict[str, Curve], limit: float, name: str, text: str) -> Verdict:
    shares = {layer: curve.finite.level(0.5, 1.0) for layer, curve in layers.items() if len(curve.finite)}
    if not shares:
        return None
    layer = max(shares, key=shares.__getitem__)
    if shares[layer] < limit:
        return None
    curve = layers[layer].finite
    first = int(curve.steps[np.argmax(curve.values >= limit)])
    evidence = f"{shares[layer]:.0%} of the {text.format(layer=layer)} (threshold {limit:.0%})"
    return Seen(evidence, {name: shares[layer], f"{name}_limit": limit}, first)


RULES = (
    Rule("LM-DEAD", "dead units", "warning", "Most units of a layer never fire.", dead_units),
    Rule("LM-SATURATED", "saturated units", "warning", "Most activations are at the flat ends.", saturated_units),
)
