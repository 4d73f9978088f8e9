"""What flows back: gradients that vanish, add up or underflow, and parameters that do not move."""

from __future__ import annotations

import math

import numpy as np

from .curves import Curve
from .found import Lacking, Seen, Verdict
from .rule import Rule
from .story import Story, story
from .units import dead_units
from .view import View

STILL = 1e-7  # relative change of parameters a step that float32 rounding alone explains
GREW = 3.0  # size of all parameters, last over first; healthy runs below 2.8 ...
EARLY_GREW = 1.8  # ... and most of it late
BURST = 1e4  # beyond it they explode
AT_HOME = 0.015  # of a layer's size, all steps together; healthy layers go .06 and more ...
APART = 0.02  # ... and at least .04 of the way of the fastest layer
SAME = 1e-6  # relative change of the held-out loss over all checks
VANISHED = 1e-2  # first over last layer's gradient; AutoTrainer takes 1e-3, healthy nets of five layers stay above .1
TINY_GRADIENT = 1e-7  # SageMaker Debugger: mean absolute gradient
GROWN = 4.0  # gradient norm, last fifth over first steps
JUMP = 0.06  # relative change from batch to batch; gradients of fresh batches differ by 9 % and more
SMOOTH = 0.2  # noise of the gradient norm over its whole spread
STUCK_SHARE = 0.01  # of the rows
UNDERFLOWN = 0.05  # of the steps with a gradient of exactly zero
ROUNDING = 2.0**-11  # half the distance between neighbours in half precision, relative
SUBNORMAL = 2.0**-14  # smallest normal number of half precision
HALVES = ("float16", "fp16", "half", "16", "16-mixed", "float16-mixed")


def frozen(view: View) -> Verdict:
    """Parameters do not move, or some layers' do not."""
    size, update = view.column("parameter_norm").finite, view.column("update_norm").finite
    held, layers = view.eval_loss.finite, view.layers("update_norm")
    if len(size) < 2 and len(update) < 2 and len(held) < 3 and not layers:
        return Lacking("no parameter or update norms, and fewer than three held-out losses")
    if len(update) >= 3 and len(size) >= 3:
        moved = float(update.values[1:].max()) / max(float(np.median(size.values)), 1e-300)
        if moved < STILL:
            numbers = {"relative_update": moved, "relative_update_limit": STILL}
            text = f"no step moves the parameters by more than {moved:.2g} of their size (threshold {STILL:g})"
            return Seen(text, numbers, int(update.steps[0]), "update_norm")
        return _frozen_layers(view)
    if len(held) >= 3:
        spread = float(np.ptp(held.values)) / max(abs(float(held.values.mean())), 1e-300)
        if spread < SAME:
            numbers = {"held_out_change": spread, "held_out_change_limit": SAME}
            text = f"held-out loss changed by {spread:.2g} of itself over {len(held)} checks (threshold {SAME:g})"
            return Seen(text, numbers, int(held.steps[0]), "eval_loss")
    return _frozen_layers(view)


def _frozen_layers(view: View) -> Verdict:
    """Layers that do not move at all, or whose steps together are nothing beside their size while others go far."""
    updates, sizes = view.layers("update_norm"), view.layers("parameter_norm")
    moved, gone = {}, {}
    for name, curve in updates.items():
        update, size = curve.finite, sizes[name].finite.values.max(initial=0.0) if name in sizes else 0.0
        if len(update) and size > 0.0:
            moved[name] = float(np.median(update.values)) / float(size)
            apart = float(update.steps[-1] - update.steps[0]) / max(1, len(update) - 1)
            gone[name] = float(update.values[1:].sum()) * max(1.0, apart) / float(size)
    still = [name for name, share in moved.items() if share < STILL]
    far = max(gone.values(), default=0.0)
    behind = [name for name, way in gone.items() if way < min(AT_HOME, APART * far)] if view.length >= 20 else []
    still = still or behind
    if not still or len(still) == len(moved):
        return None
    limit = (
        f"threshold: {STILL:g} of their size a step, or {AT_HOME:.1%} in all and {APART:.0%} of the farthest layer's"
    )
    numbers = {"frozen_layers": float(len(still)), "layers": float(len(moved)), "relative_update_limit": STILL}
    text = f"{len(still)} of {len(moved)} layers do not move ({limit} way): {', '.join(still[:4])}"
    return Seen(text, numbers, int(updates[still[0]].steps[0]), "update_norm")


def vanishing(view: View) -> Verdict:
    """No gradient reaches the first layers, or none at all, while the loss is still high."""
    layers, gradient = view.layers("gradient_norm"), view.column("grad_norm").finite
    stuck = view.numbers.get("held.stuck_share")
    if stuck is not None and stuck >= STUCK_SHARE:
        text = f"{stuck:.2%} of the held-out rows are clearly wrong and hardly pull (threshold {STUCK_SHARE:.0%})"
        return Seen(text, {"stuck_share": stuck, "stuck_share_limit": STUCK_SHARE})
    if stuck is None and len(layers) < 2 and len(gradient) < 3:
        return Lacking("no gradient norms")
    told = _told(view)
    if begun := _from_nothing(view, told):
        return begun
    if told is not None and told.gained > 0.5:
        return None
    if _cut_off(view):
        return None
    return _fading(layers) or _without(view) or _tiny(gradient)


def _from_nothing(view: View, told: Story | None) -> Seen | None:
    """Parameters that grow many times over in a run that learns: they began so small that next to nothing passed."""
    size = view.column("parameter_norm").finite
    if len(view.layers("parameter_norm")) < 2:
        return None  # a linear model may well begin at zero
    if len(size) < 8 or told is None or told.end > told.start or not size.values[0] > 0.0:
        return None
    grown, early = float(size.values[-1] / size.values[0]), float(size.level(0.2, 0.3) / size.values[0])
    if not GREW < grown < BURST or early < EARLY_GREW:
        return None
    text = (
        f"the parameters grew to {grown:.3g} times their first size (threshold {GREW:g}), {early:.3g} times in the "
        f"first quarter of the run (threshold {EARLY_GREW:g}): they began so small that hardly any signal passed"
    )
    numbers = {"grown": grown, "grown_limit": GREW, "early": early, "early_limit": EARLY_GREW}
    return Seen(text, numbers, int(size.steps[0]), "parameter_norm")


def _cut_off(view: View) -> bool:
    """Whether dead units, or layers that are held still, explain why no gradient arrives: those are other symptoms."""
    if isinstance(dead_units(view), Seen):
        return True
    gradients, updates = view.layers("gradient_norm"), view.layers("update_norm")
    zero = [name for name, curve in gradients.items() if len(curve) > 1 and not curve.values.any()]
    held = [name for name in zero if name in updates and not updates[name].values.any()]
    return bool(zero) and len(held) == len(zero)


def _told(view: View) -> Story | None:
    return story(view.main, view.facts) if len(view.main.finite) else None


def _fading(layers: dict[str, Curve]) -> Seen | None:
    curves = [curve.finite for curve in layers.values() if curve.finite.values.max(initial=0.0) > 0.0]
    if len(curves) < 2:
        return None
    first, last = (float(np.median(curve.values)) for curve in (curves[0], curves[-1]))
    ratio = first / max(last, 1e-300)
    if ratio >= VANISHED:
        return None
    numbers = {"first_over_last": ratio, "first_over_last_limit": VANISHED, "first_gradient": first}
    text = (
        f"gradient of the first layer is {ratio:.2g} of the last one's (threshold {VANISHED:g}; its norm {first:.2g})"
    )
    return Seen(text, numbers, int(curves[0].steps[0]), "grad_norm")


def _without(view: View) -> Seen | None:
    layers, sizes = view.layers("gradient_norm"), view.layers("parameter_norm")
    owners = [name for name in layers if name in sizes and sizes[name].finite.values.max(initial=0.0) > 0.0]
    zero = [name for name in owners if len(layers[name]) > 1 and not layers[name].values[1:].any()]
    if not zero or len(zero) == len(owners):
        return None
    numbers = {"layers_without_gradient": float(len(zero)), "layers": float(len(owners))}
    text = f"no gradient reaches {len(zero)} of {len(owners)} layers: {', '.join(zero[:4])}"
    return Seen(text, numbers, int(layers[zero[0]].steps[0]), "grad_norm")


def _tiny(gradient: Curve) -> Seen | None:
    if len(gradient) < 3:
        return None
    size = float(np.median(gradient.values[len(gradient) // 2 :]))
    if size >= TINY_GRADIENT:
        return None
    step = int(gradient.steps[np.argmax(gradient.values < TINY_GRADIENT)])
    text = f"gradient norm is {size:.2g} while the loss is still high (threshold {TINY_GRADIENT:g})"
    return Seen(text, {"gradient": size, "gradient_limit": TINY_GRADIENT}, step, "grad_norm")


def not_reset(view: View) -> Verdict:
    """The gradient adds up over steps: its norm wanders smoothly where it should jump from batch to batch."""
    gradient = view.column("grad_norm").finite
    if len(gradient) < 30:
        return Lacking(f"{len(gradient)} gradient norms; this takes at least 30")
    logs = np.log(np.maximum(gradient.values, 1e-300))
    jump = float(np.median(np.abs(np.diff(logs))))
    grown = math.exp(
        min(700.0, float(np.median(logs[-(logs.size // 5) :]) - np.median(logs[: max(3, logs.size // 20)])))
    )
    uneven = Curve(gradient.steps, logs).noise / max(float(logs.std()), 1e-12)
    if grown < GROWN or jump > JUMP or uneven > SMOOTH:
        return None
    numbers = {"grown": grown, "grown_limit": GROWN, "jump": jump, "jump_limit": JUMP}
    text = (
        f"gradient norm grew to {grown:.3g} times its start (threshold {GROWN:g}) and changes by only {jump:.1%} from "
        f"one batch to the next (threshold {JUMP:.0%}): it adds up"
    )
    return Seen(text, numbers, int(gradient.steps[0]), "grad_norm")


def underflow(view: View) -> Verdict:
    """Gradients are exactly zero although the loss is not."""
    gradient = view.column("grad_norm").finite
    if lost := _rounded_away(view):
        return lost
    if len(gradient) < 5:
        return Lacking("fewer than 5 gradient norms")
    low = (view.facts.precision or "").lower() in HALVES
    if view.facts.precision is not None and not low:
        return None
    told = _told(view)
    size = float(np.median(gradient.values))
    if low and 0.0 < size < SUBNORMAL and view.loss.finite.values.any():
        text = (
            f"the norm of the whole gradient is {size:.2g}, below the smallest normal number of half precision "
            f"(threshold {SUBNORMAL:.2g}): its entries lose digits or become zero"
        )
        return Seen(text, {"gradient": size, "gradient_limit": SUBNORMAL}, int(gradient.steps[0]), "grad_norm")
    zero = float((gradient.values == 0.0).mean())
    if zero < UNDERFLOWN or zero == 1.0 or (told is not None and told.gained > 0.98):
        return None
    numbers = {"zero_share": zero, "zero_share_limit": UNDERFLOWN}
    step = int(gradient.steps[np.argmax(gradient.values == 0.0)])
    text = f"gradient is exactly zero in {zero:.0%} of the steps (threshold {UNDERFLOWN:.0%})"
    return Seen(text, numbers, step, "grad_norm")


def _rounded_away(view: View) -> Seen | None:
    """Parameters kept in half precision, and steps smaller than what it can add to them."""
    update, size = view.column("update_norm").finite, view.column("parameter_norm").finite
    if view.facts.precision != "float16" or len(update) < 20 or not len(size):
        return None  # mixed precision keeps parameters in 32 bits
    step = float(np.median(update.values[1:])) / max(float(np.median(size.values)), 1e-300)
    if not 0.0 < step < ROUNDING:
        return None
    text = (
        f"steps move the parameters by {step:.2g} of their size, and half precision holds no difference below "
        f"{ROUNDING:.2g} of a number (threshold): most of each step is rounded away"
    )
    return Seen(text, {"step_size": step, "step_size_limit": ROUNDING}, int(update.steps[0]), "update_norm")


RULES = (
    Rule("LM-VANISH", "vanishing gradients", "warning", "Hardly any gradient arrives.", vanishing),
    Rule("LM-FROZEN", "parameters do not move", "error", "Steps leave parameters as they were.", frozen),
    Rule("LM-NOZERO", "gradient not reset", "error", "Gradients of earlier batches are still in the sum.", not_reset),
    Rule("LM-UNDERFLOW", "underflow", "warning", "Gradients are too small for the number format.", underflow),
)
