"""Numbers of a record that speak for or against a cause."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lossmith.diagnose.record import Record

Array = np.ndarray[Any, Any]
Numbers = dict[str, float]
TINY = 1e-12
ADAPTIVE = ("adam", "rmsprop", "adagrad", "adadelta", "lamb", "lion", "adafactor", "adan")
STANDARD = {
    "regression": ("mse", "squared", "l2"),
    "binary": ("logistic", "bce"),
    "multiclass": ("softmax", "cross_entropy"),
}


def log10(value: float) -> float:
    """Logarithm that ends at -12 and 30; NaN passes."""
    return float(np.log10(min(max(value, TINY), 1e30))) if not math.isnan(value) else value


@np.errstate(all="ignore")
def curve_numbers(record: Record) -> Numbers:
    """Numbers of what every log has: loss, held-out loss, learning rate, gradient norm.

    Parameters
    ----------
    record : Record
        What happened.

    Returns
    -------
    dict of str to float
        The finite ones; what was not recorded gives none.
    """
    steps, loss = record.column("loss")
    # A run that broke off was not meant to be so short.
    found = {"steps": log10(float(steps[-1] + 1)) if len(steps) and not broke_off(record) else math.nan}
    found |= _shape("loss", loss)
    found |= _shape("eval", record.column("eval_loss")[1])
    found |= _gap(record)
    found |= _gradients(record.column("grad_norm")[1])
    found |= _rates(record.column("learning_rate")[1], record.facts.optimizer)
    return finite(found)


def broke_off(record: Record) -> bool:
    """Whether the last loss or gradient is not finite: the run ended there, whether or not steps went on.

    Parameters
    ----------
    record : Record
        What happened.

    Returns
    -------
    bool
    """
    ends = [record.column(name)[1][-1:] for name in ("loss", "grad_norm")]
    return not all(np.isfinite(end).all() for end in ends)


def finite(numbers: Numbers) -> Numbers:
    """Keep the numbers that are numbers.

    Parameters
    ----------
    numbers : dict of str to float
        Any.

    Returns
    -------
    dict of str to float
        Without NaN and infinities.
    """
    return {name: float(value) for name, value in numbers.items() if math.isfinite(value)}


def _shape(name: str, values: Array) -> Numbers:
    if len(values) < 2:
        return {}
    good = np.isfinite(values)
    found: Numbers = {
        "bad_share": float(1 - good.mean()),
        "bad_from": float(np.argmin(good)) / len(good) if not good.all() else 1.0,
    }
    v = values[good]
    if len(v) >= 4:
        found |= _falls(v) | _noise(v)
    return {f"{name}_{key}": value for key, value in found.items()}


def _falls(v: Array) -> Numbers:
    tenth = max(1, len(v) // 10)
    first, last, least = float(v[: max(1, tenth // 3)].mean()), float(np.median(v[-tenth:])), float(v.min())
    smooth = np.convolve(v, np.ones(tenth) / tenth, "valid")
    whole = float(smooth[0] - smooth.min())
    late = float(smooth[int(0.8 * (len(smooth) - 1))] - smooth[-1])
    half = float(smooth[0] - smooth[len(smooth) // 2])
    ending = float(smooth[int(0.9 * (len(smooth) - 1))] - smooth[-1])
    size = abs(first) + TINY
    return {
        "first": log10(first),
        "last": log10(last),
        "negative": float(np.mean(v < -1e-9)),
        "fall": log10(last / size) if last > 0 else -12.0,
        "best_fall": log10(least / size) if least > 0 else -12.0,
        "last_over_min": log10((last + TINY) / (least + TINY)) if least > 0 else 0.0,
        "min_at": float(np.argmin(smooth)) / len(smooth),
        "late_share": float(np.clip(late / whole, -5, 5)) if whole > 1e-9 * size else 0.0,
        "half_share": float(np.clip(half / whole, -5, 5)) if whole > 1e-9 * size else 0.0,
        "ending": log10(ending / (abs(float(smooth[-1])) + TINY)) if ending > 0 else -12.0,
        "peak": log10(float(np.abs(v).max()) / size),
        "peak_over_last": log10(float(np.abs(v).max()) / (abs(last) + TINY)),
    }


def _noise(v: Array) -> Numbers:
    late = v[len(v) // 2 :]
    window = max(3, len(v) // 20)
    kernel = np.ones(window) / window
    rest = late - np.convolve(np.pad(late, (window // 2, window - 1 - window // 2), "edge"), kernel, "valid")
    level = abs(float(np.median(late))) + TINY
    power = float((rest**2).mean())
    lagged = [float((rest[k:] * rest[:-k]).mean()) / (power + TINY**2) for k in range(1, min(40, len(rest) // 2))]
    return {
        "noise": log10(float(rest.std()) / level),
        "spike": log10(float(np.abs(rest).max()) / (float(np.median(np.abs(rest))) + TINY)),
        "echo": max(lagged, default=0.0),
        "next": lagged[0] if lagged else 0.0,
        "jump": log10(float(np.abs(np.diff(v)).max()) / level),
        "constant": float(np.mean(np.abs(np.diff(v)) <= 1e-9 * level)),
    }


def _gap(record: Record) -> Numbers:
    train, held = record.column("loss")[1], record.column("eval_loss")[1]
    if len(train) < 10 or len(held) < 2 or np.isnan(train).all() or np.isnan(held).all():
        return {}
    tenth = max(1, len(train) // 10)
    last, first = float(np.median(train[-tenth:])), float(np.median(train[: max(1, tenth // 3)]))
    return {
        "gap_last": log10(float(held[-1]) / (abs(last) + TINY)),
        "gap_first": log10(float(held[0]) / (abs(first) + TINY)),
        "gap_best": log10(float(np.nanmin(held)) / (abs(float(np.nanmin(train))) + TINY))
        if np.isfinite(train).any()
        else math.nan,
    }


def _gradients(g: Array) -> Numbers:
    v = g[np.isfinite(g)]
    if len(v) < 4:
        return {"gradient_bad": 1.0} if len(g) >= 4 else {}
    tenth = max(1, len(v) // 10)
    first, last, middle = float(np.median(v[: max(1, tenth // 2)])), float(np.median(v[-tenth:])), float(np.median(v))
    return {
        "gradient_bad": 1.0 - len(v) / len(g),
        "gradient_first": log10(first),
        "gradient_last": log10(last),
        "gradient_growth": log10((last + TINY) / (first + TINY)),
        "gradient_peak": log10((float(v.max()) + TINY) / (middle + TINY)),
        "gradient_peak_first": log10((float(v.max()) + TINY) / (first + TINY)),
        "gradient_zero": float(np.mean(v == 0.0)),
        "gradient_noise": log10(float(np.std(np.diff(v))) / (middle + TINY)),
    }


def _rates(lr: Array, optimizer: str | None) -> Numbers:
    if len(lr) < 2:
        return {}
    top = float(lr.max())
    found = {f"rate_{_family(optimizer)}": log10(top)}
    if np.ptp(lr) <= 1e-9 * top:
        return found
    return found | {
        "rate_last": log10((float(lr[-1]) + 1e-12 * top) / (top + 1e-300)),
        "rate_first": log10((float(lr[0]) + 1e-12 * top) / (top + 1e-300)),
        "rate_gone": float(np.mean(lr < 1e-2 * top)),
    }


def _family(optimizer: str | None) -> str:
    """The same rate is a small step for one kind of optimiser and a huge one for another."""
    name = (optimizer or "").lower()
    if any(word in name for word in ADAPTIVE):
        return "adaptive"
    return "descent" if "sgd" in name or "descent" in name else "top"


@np.errstate(all="ignore")
def log_numbers(record: Record) -> Numbers:
    """Numbers of a full log: those of the curves, and facts, updates, layers, samples and metrics.

    Parameters
    ----------
    record : Record
        What happened.

    Returns
    -------
    dict of str to float
        The finite ones.
    """
    found = curve_numbers(record)
    return finite(found | _facts(record) | _updates(record) | _layers(record) | _samples(record) | _metrics(record))


def _facts(record: Record) -> Numbers:
    facts = record.facts
    found: Numbers = {}
    theory = _theory(record)
    first, held = record.column("loss")[1], record.column("eval_loss")[1]
    if theory and len(first):
        found["first_over_theory"] = log10(float(first[0]) / theory)
        good = held[np.isfinite(held)]
        if len(good):
            found["held_over_theory"] = log10(float(good[-1]) / theory)
            found["held_best_over_theory"] = log10(float(good.min()) / theory)
    for name, value in (
        ("target_mean", facts.target_mean and abs(facts.target_mean)),
        ("target_std", facts.target_std),
        ("input_mean", facts.input_mean_max),
        ("input_std_max", facts.input_std_max),
        ("input_std_min", facts.input_std_min),
        ("rows", facts.rows),
    ):
        if value is not None:
            found[f"fact_{name}"] = log10(float(value)) if math.isfinite(value) else 30.0
    if facts.input_std_max is not None and not math.isfinite(facts.input_std_max):
        found["fact_input_bad"] = 1.0
    if facts.batch_size:
        found["fact_batch"] = math.log2(facts.batch_size)
    if facts.class_counts and min(facts.class_counts) > 0:
        found["fact_class_ratio"] = log10(max(facts.class_counts) / min(facts.class_counts))
    if facts.precision:
        found["fact_half"] = float("16" in facts.precision)
    if facts.loss and facts.task in STANDARD:
        found["fact_usual_loss"] = float(any(word in facts.loss for word in STANDARD[facts.task]))
    return found


def _theory(record: Record) -> float | None:
    facts = record.facts
    if facts.classes:
        return math.log(max(2, facts.classes))
    return None if facts.target_std is None else float(facts.target_std**2) + TINY


def _updates(record: Record) -> Numbers:
    at, update = record.column("update_norm")
    size = _beside(record, "parameter_norm", at)
    if len(update) < 2:
        return {}
    relative = update / (size + TINY)
    good = relative[np.isfinite(relative)]
    if len(good) < 2:
        return {}
    typical, sizes = float(np.median(good)), size[np.isfinite(size)]
    found = {
        "update_median": log10(typical),
        "update_first": log10(_start(good)),
        "update_last": log10(_end(good)),
        "update_fade": log10(_end(good) / (_start(good) + TINY)),
        "update_zero": float(np.mean(good == 0.0)),
        "size_change": log10(float(sizes[-1]) / (float(sizes[0]) + TINY)),
        "size_first": log10(float(sizes[0])),
        "path": log10(float(good.mean()) * (float(at[-1]) + 1.0)),
    }
    if not broke_off(record):
        found["moving_steps"] = max(0.0, log10(float(np.mean(good > 0.0)) * (float(at[-1]) + 1.0)))
    lr, g = _beside(record, "learning_rate", at), _beside(record, "grad_norm", at)
    ratio = update / (lr * g)
    kept = ratio[np.isfinite(ratio) & (ratio > 0)]
    if np.isfinite(lr).any() and np.isfinite(g).any():
        found["update_over_step"] = log10(float(np.median(kept))) if len(kept) else -12.0
    return found


def _start(values: Array) -> float:
    return float(np.median(values[: max(1, len(values) // 20)]))


def _end(values: Array) -> float:
    return float(np.median(values[-max(1, len(values) // 10) :]))


def _beside(record: Record, name: str, at: Array) -> Array:
    """Values of a column at given steps; NaN where there are none."""
    steps, values = record.column(name)
    known = dict(zip(steps.tolist(), values.tolist(), strict=True))
    return np.array([known.get(step, math.nan) for step in at.tolist()])


def _layers(record: Record) -> Numbers:
    rich = [step for step in record.steps if step.layers]
    if not rich:
        return {}
    found: Numbers = {}
    for when, step in (("start", rich[min(1, len(rich) - 1)]), ("end", rich[-1])):
        layers = list(step.layers.values())
        hidden = layers[:-1] or layers
        for name in ("dead_share", "zero_share", "saturated_share"):
            values = [v for v in (getattr(layer, name) for layer in hidden) if v is not None and math.isfinite(v)]
            if values:
                found[f"{when}_{name}"] = max(values)
        spreads = [
            layer.activation_std
            for layer in hidden
            if layer.activation_std is not None and math.isfinite(layer.activation_std)
        ]
        if spreads:
            found[f"{when}_spread_first"], found[f"{when}_spread_last"] = log10(spreads[0]), log10(spreads[-1])
            found[f"{when}_spread_decay"] = log10(spreads[-1]) - log10(spreads[0])
        last = layers[-1]
        for name in ("zero_share", "activation_mean", "activation_std", "dead_share"):
            value = getattr(last, name)
            if value is not None and math.isfinite(value):
                found[f"{when}_output_{name}"] = value if name.endswith("share") else log10(abs(value))
        found |= {f"{when}_{k}": v for k, v in _depth(layers).items()}
    return found


def _depth(layers: list[Any]) -> Numbers:
    g = [
        layer.gradient_norm / (layer.parameter_norm + TINY)
        for layer in layers
        if layer.gradient_norm is not None and layer.parameter_norm is not None
    ]
    u = [
        layer.update_norm / (layer.parameter_norm + TINY)
        for layer in layers
        if layer.update_norm is not None and layer.parameter_norm is not None
    ]
    found: Numbers = {}
    if len(g) >= 2 and np.isfinite(g).all():
        logs = np.array([log10(v) for v in g])
        found["depth_slope"] = float(np.polyfit(np.arange(len(logs)), logs, 1)[0])
        found["depth_first_last"] = float(logs[0] - logs[-1])
    if u and np.isfinite(u).all():
        found["still_layers"] = float(np.mean([v == 0.0 for v in u]))
        found["slowest_layer"] = log10(min(u) / (max(u) + TINY))
        found["still_hidden"] = float(np.mean([v == 0.0 for v in u[:-1]])) if len(u) > 1 else 0.0
        found["weight_size_max"] = max(
            log10(layer.parameter_norm) for layer in layers if layer.parameter_norm is not None
        )
        found["weight_size_min"] = min(
            log10(layer.parameter_norm) for layer in layers if layer.parameter_norm is not None
        )
    return found


def _samples(record: Record) -> Numbers:
    found: Numbers = {}
    for name in ("top1_share", "reservoir_top1_share"):
        values = record.column(f"samples.{name}")[1]
        values = values[np.isfinite(values)]
        if len(values):
            found[f"{name}_last"], found[f"{name}_median"] = float(values[-1]), float(np.median(values))
    top, middle = record.column("samples.max")[1], record.column("samples.median")[1]
    if len(top) and len(top) == len(middle):
        ratio = top / (np.abs(middle) + TINY)
        good = ratio[np.isfinite(ratio)]
        if len(good):
            found["worst_over_median"] = log10(float(np.median(good)))
    return found


def _metrics(record: Record) -> Numbers:
    accuracy = record.column("eval_accuracy")[1]
    found: Numbers = {}
    if len(accuracy):
        found |= {
            "accuracy_last": float(accuracy[-1]),
            "accuracy_best": float(accuracy.max()),
            "accuracy_first": float(accuracy[0]),
        }
        found["accuracy_noise"] = (
            float(np.abs(np.diff(accuracy[len(accuracy) // 2 :])).mean()) if len(accuracy) > 5 else 0.0
        )
        counts = record.facts.class_counts
        if counts:
            found["accuracy_over_constant"] = float(accuracy[-1]) - max(counts) / sum(counts)
    last = {name: record.column(name)[1] for name in record.names if name.startswith("eval_recall_")}
    recalls = [float(values[-1]) for values in last.values() if len(values)]
    if len(recalls) > 1:
        found |= {"recall_low": min(recalls), "recall_high": max(recalls), "recall_spread": float(np.std(recalls))}
        counts = record.facts.class_counts
        if len(counts) == len(recalls) and np.ptp(counts) > 0:
            found["recall_with_size"] = float(np.polyfit(np.log(np.maximum(counts, 1)), recalls, 1)[0])
    rmse = record.column("eval_rmse")[1]
    if len(rmse) and record.facts.target_std:
        found["rmse_over_std"] = log10(float(rmse[-1]) / record.facts.target_std)
    return found
