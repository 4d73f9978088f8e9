"""Runs that break: not a number, exploding, diverging, oscillating, spikes."""

from __future__ import annotations

import math

import numpy as np

from .curves import Array, Curve, smooth
from .found import Lacking, Seen, Verdict
from .rule import Rule
from .story import Story, story
from .view import View

EXPLOSION = 70.0  # gradient over its own early size: AutoTrainer's ratio
BLOW_UP = 10.0  # loss over its start; a loss of 1e3, AutoTrainer's "bad loss", passes it from any usual start
GIVEN_BACK = 0.3  # of all that was gained; a healthy curve gives back its noise only
SPIKE_SIGMAS = 8.0  # above the running median, in robust deviations, and ...
SPIKE_SHARE = 0.75  # ... this share of the whole fall at once: converged runs have tiny jumps of many sigmas
SINGLE = 5.0  # times the first loss: high enough to be one alone, if it is as many deviations beside single losses
SPIKES_AT_MOST = 0.05  # of the steps; more are not spikes but the run's noise
ROUGH = 0.20  # held-out loss jumping by this share of its level from one check to the next; healthy below .1
LITTLE = 0.05  # of what knowing nothing costs; below it jumps are large only beside what is left
LOTTERY = 0.9  # typical step from loss to loss, of logarithms; about .25 for 32 rows, healthy runs below .85 ...
LARGE = 16  # ... where a batch has so many rows
TURNED = 0.35  # of the whole fall, climbed and lost again in all; healthy runs below .12, one of 300 at .29
CLEAR = 6.0  # errors of a part's median
CLIMBED = 0.15  # ... and of the first loss
CROSSINGS = 0.25  # of the block steps that go up by more than their error and by a share of the level


def not_a_number(view: View) -> Verdict:
    """NaN or infinity in any recorded number; the first one and its layer are named."""
    columns = {name: view.column(name) for name in ("loss", "eval_loss", "grad_norm", "parameter_norm", "update_norm")}
    places = {name: _first_odd(curve) for name, curve in columns.items() if len(curve)}
    if not places:
        return Lacking("no loss and no norm was recorded")
    layer = _first_layer(view)
    odd = {name: step for name, step in places.items() if step is not None}
    if not odd and layer is None:
        return None
    first = min([*odd.values(), *([layer[1]] if layer else [])])
    column = next((name for name, step in odd.items() if step == first), "")
    where = f"; first layer: {layer[0]} ({layer[2]}, step {layer[1]})" if layer and layer[1] <= first else ""
    what = f"{column} is {_odd_value(columns[column])}" if column else f"{layer[2]} of a layer is not finite"  # type: ignore[index]
    share = 1.0 - len(view.main.finite) / max(1, len(view.main))
    many = f"; {share:.0%} of the recorded losses are not finite" if share else ""
    text = f"{what} at step {first}{where}{many} (threshold: one number)"
    return Seen(text, {"step": float(first), "share": share, "share_limit": 0.0}, first, column)


def _first_odd(curve: Curve) -> int | None:
    odd = np.flatnonzero(~np.isfinite(curve.values))
    return int(curve.steps[odd[0]]) if odd.size else None


def _odd_value(curve: Curve) -> float:
    return float(curve.values[~np.isfinite(curve.values)][0])


def _first_layer(view: View) -> tuple[str, int, str] | None:
    """Forward order breaks ties within a step for activations; for gradients any layer will do."""
    found = [
        (step, rank, layer, what)
        for rank, what in enumerate(("activation_mean", "activation_std", "parameter_norm", "gradient_norm"))
        for layer, curve in view.layers(what).items()
        if (step := _first_odd(curve)) is not None
    ]
    if not found:
        return None
    step, _, layer, what = min(found, key=lambda f: (f[0], f[1]))
    return layer, step, what.replace("_", " ")


def exploding(view: View) -> Verdict:
    """The gradient or the loss outgrows its start by far, or starts far above chance."""
    curve, gradient = view.main.finite, view.column("grad_norm").finite
    if len(curve) < 2 and len(gradient) < 2:
        return Lacking("fewer than two finite losses or gradient norms")
    numbers = {"loss_growth_limit": BLOW_UP, "gradient_growth_limit": EXPLOSION}
    told = story(curve, view.facts) if len(curve) else None
    steep = _outgrown(gradient, EXPLOSION)
    if steep is not None and (told is None or told.gained_from_start < 0.3):
        numbers["gradient_growth"] = steep[0]
        text = f"gradient norm reached {steep[0]:.3g} times its early size (threshold {EXPLOSION:g})"
        return Seen(text, numbers, steep[1], "grad_norm")
    high = _outgrown(Curve(curve.steps, smooth(curve.values, 3)), BLOW_UP)
    if high is not None and told is not None and told.start > 0:
        numbers["loss_growth"] = high[0]
        return Seen(f"loss reached {high[0]:.3g} times its start (threshold {BLOW_UP:g})", numbers, high[1], "loss")
    return None


def _outgrown(curve: Curve, limit: float) -> tuple[float, int] | None:
    """Return the largest value over the early median, and the first step above the limit."""
    v = curve.values
    if v.size < 2:
        return None
    early = float(np.median(v[: max(1, min(5, v.size // 4))]))
    if early <= 0.0:
        return None
    above = np.flatnonzero(v > limit * early)
    return (float(v.max()) / early, int(curve.steps[above[0]])) if above.size else None


def diverging(view: View) -> Verdict:
    """The training loss went down and came back up to stay."""
    curve = view.loss.finite
    if len(curve) < 8:
        return Lacking(f"{len(curve)} training losses; a return takes at least 8 to see")
    told, blocks = story(curve, view.facts), curve.blocks()
    if len(blocks) < 4 or told.best_step >= int(curve.steps[int(0.85 * (len(curve) - 1))]):
        return None
    tail = blocks.medians[-max(2, len(blocks) // 10) :]
    back, error = float(np.median(tail)) - told.best, float(blocks.errors[-3:].max())
    share = back / max(told.span, 1e-300)
    numbers = {"given_back": share, "given_back_limit": GIVEN_BACK, "best": told.best, "end": told.end}
    lost = share > GIVEN_BACK and back > 4.0 * max(error, told.noise / math.sqrt(max(1, len(curve) // len(blocks))))
    above = told.start > 0 and told.end > 1.2 * told.start and back > 4.0 * error
    if not (lost or above) or (told.span <= 3.0 * told.noise / math.sqrt(len(curve) / 4) and not above):
        return None
    step = int(told.best_step)
    text = (
        f"loss rose from {told.best:.4g} (around step {step}) to {told.end:.4g}: {min(share, 99):.0%} of what had been "
        f"gained is lost (threshold {GIVEN_BACK:.0%})"
    )
    return Seen(text, numbers, step, "loss")


def oscillating(view: View) -> Verdict:
    """The loss swings instead of falling; noise of single batches does not count."""
    if len(view.main.finite) < 8:
        return Lacking(f"{len(view.main.finite)} losses; swings take at least 8 to see")
    told = story(view.main, view.facts)
    checked = _rough(view.eval_loss.finite, told)
    if checked is not None and checked > ROUGH:
        numbers = {"roughness": checked, "roughness_limit": ROUGH}
        text = f"the held-out loss jumps by {checked:.0%} of its level from check to check (threshold {ROUGH:.0%})"
        return Seen(text, numbers, int(view.eval_loss.steps[0]), "eval_loss")
    swings = _swings(view.loss.finite, told)
    if swings is None or swings[0] < CROSSINGS:
        return _turns(view.loss.finite, told) or _lottery(view, told)
    numbers = {"rising_share": swings[0], "rising_share_limit": CROSSINGS}
    text = (
        f"of 20 or fewer equal parts of the run, {swings[0]:.0%} have a training loss well above that of the part "
        f"before (threshold {CROSSINGS:.0%}): it swings, and not by chance of single batches"
    )
    return Seen(text, numbers, swings[1], "loss")


def _lottery(view: View, told: Story) -> Seen | None:
    """Losses of batches that differ by more than means of so many rows can: few different rows are in them."""
    curve, size = view.loss.finite, view.facts.batch_size
    if size is None or size < LARGE:
        return None  # small batches jump, and a small rate makes up for it
    v = curve.values[curve.values.size // 4 :]
    if v.size < 60 or v.min() <= 0.0 or np.median(v) < LITTLE * abs(told.reference):
        return None
    jump = Curve(np.arange(v.size), np.log(v)).noise
    if jump < LOTTERY:
        return None
    text = (
        f"losses of neighbouring batches differ {math.exp(jump):.2g} times (threshold {math.exp(LOTTERY):.2g}; 1.3 is "
        f"usual for 32 rows), though a batch has {size} rows: so few of them differ that chance decides where it goes"
    )
    return Seen(text, {"jump": jump, "jump_limit": LOTTERY}, int(curve.steps[curve.values.size // 4]), "loss")


def _rough(curve: Curve, told: Story) -> float | None:
    """Typical jump between two checks over the level, the trend taken off; the rougher of the whole and the end."""
    v = curve.values
    if v.size < 6 or v.min() <= 0:
        return None
    parts = [v[v.size // 4 :]] + ([v[-(v.size // 4) :]] if v.size >= 24 else [])
    rough = [Curve(np.arange(p.size), np.log(p)).noise for p in parts if np.median(p) > LITTLE * told.reference]
    return max(rough, default=None)


def _swings(curve: Curve, told: Story) -> tuple[float, int] | None:
    """Share of the block-to-block steps that rise by more than four errors and a tenth of the start."""
    blocks = curve.blocks(most=20, least=6)
    if len(blocks) < 6:
        return None
    rises = np.diff(blocks.medians)
    errors = np.hypot(blocks.errors[1:], blocks.errors[:-1])
    clear = (rises > 4.0 * errors) & (rises > 0.15 * abs(told.start))
    return float(clear.mean()), int(blocks.steps[1:][clear][0]) if clear.any() else 0


def _turns(curve: Curve, told: Story) -> Seen | None:
    """Slow swings: parts of the run that climb and fall again, clear of the noise of single losses."""
    blocks = curve.blocks(most=20, least=20)
    if len(blocks) < 10:
        return None
    error = 1.2533 * curve.noise / math.sqrt(len(curve) / len(blocks))
    error = max(error, float(np.quantile(blocks.errors, 0.75)))  # noise that grows with the level, or heavy tails
    fall = float(blocks.medians[0] - blocks.medians.min())
    up, first = _climbed(blocks.medians, max(CLEAR * error, 0.05 * fall))
    if up <= TURNED * fall or up <= CLIMBED * abs(told.start):
        return None
    share, part = up / max(fall, 1e-300), up / max(abs(told.start), 1e-300)
    text = (
        f"the training loss climbs and falls again, part by part, in all by {min(share, 99):.0%} of its fall "
        f"(threshold {TURNED:.0%}) and {min(part, 99):.0%} of its start (threshold {CLIMBED:.0%}): it swings"
    )
    numbers = {"turned": share, "turned_limit": TURNED, "climbed": part, "climbed_limit": CLIMBED}
    return Seen(text, numbers, int(blocks.steps[first]), "loss")


def _climbed(levels: Array, clear: float) -> tuple[float, int]:
    """Sum of the rises that end in a fall, both larger than ``clear``; and where the first begins."""
    total, first, low, high, start, rising = 0.0, 0, float(levels[0]), float(levels[0]), 0, False
    for place, value in enumerate(map(float, levels)):
        if not rising and value < low:
            low, start = value, place
        elif not rising and value - low > clear:
            rising, high = True, value
        elif rising and value > high:
            high = value
        elif rising and high - value > clear:
            total, first = total + high - low, first or start
            rising, low, start = False, value, place
    return total, first


def spikes(view: View) -> Verdict:
    """Single losses that leap out of the curve and come back."""
    curve = view.main.finite
    if len(curve) < 20:
        return Lacking(f"{len(curve)} losses; spikes take at least 20 to tell from noise")
    told = story(curve, view.facts)
    # A spike of training takes some steps to come down from; a single high loss is a hard or a small batch.
    broad = smooth(curve.values, 3)
    rest = broad - smooth(curve.values, max(9, min(51, len(curve) // 10 | 1)))
    limit = SPIKE_SHARE * max(told.span, abs(told.start) * 0.5)
    tall = np.flatnonzero((_in_deviations(broad) > SPIKE_SIGMAS) & (rest > limit))
    # Means of few rows with heavy tails leap by themselves: what is usual for single losses does not count.
    high = curve.values > SINGLE * max(abs(told.start), abs(told.reference), limit)
    lone = np.flatnonzero(high & (_in_deviations(curve.values) > SPIKE_SIGMAS))
    places = np.union1d(tall, lone)
    places = places[places >= max(2, len(curve) // 50)]
    if not places.size or places.size > SPIKES_AT_MOST * len(curve):
        return None
    top = int(places[np.argmax(curve.values[places])])
    height = float(curve.values[top])
    numbers = {"spikes": float(places.size), "height": height, "height_limit": limit}
    text = (
        f"{places.size} of {len(curve)} losses leap out and come back, the highest to {height:.4g} at step "
        f"{int(curve.steps[top])} (threshold: {SPIKE_SIGMAS:g} deviations and {limit:.3g} above the others around)"
    )
    return Seen(text, numbers, int(curve.steps[places[0]]), view.main_name)


def _in_deviations(values: Array) -> Array:
    """Distance from the running median in robust deviations; of logarithms, for noise grows with the level."""
    scaled = np.log(values) if values.min() > 0.0 else values
    rest = scaled - smooth(scaled, max(9, min(51, values.size // 10 | 1)))
    sigma = 1.4826 * float(np.median(np.abs(rest)))
    return np.asarray(rest / max(sigma, 1e-9 * float(np.abs(scaled).max()) + 1e-300))


RULES = (
    Rule("LM-NAN", "not a number", "error", "A recorded number is NaN or infinite.", not_a_number),
    Rule("LM-EXPLODE", "exploding gradients", "error", "Gradient or loss grows out of bounds.", exploding),
    Rule("LM-DIVERGE", "divergence", "error", "The training loss rises again and stays up.", diverging),
    Rule("LM-OSCILLATE", "oscillation", "warning", "The loss swings up and down instead of falling.", oscillating),
    Rule("LM-SPIKE", "loss spikes", "warning", "Single losses leap out of the curve and come back.", spikes),
)
