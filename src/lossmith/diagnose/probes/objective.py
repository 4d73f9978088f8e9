"""The loss: does it ask for the right thing, and whom does it listen to."""

from __future__ import annotations

import numpy as np

from lossmith.diagnose.probes.motion import TINY, Numbers, log10
from lossmith.diagnose.probes.patient import Array, Patient


def reference_gradient(task: str, outputs: Array, y: Array) -> Array:
    """Slope of the loss that suits a task: squared error, logistic, or softmax cross-entropy on logits.

    Parameters
    ----------
    task : str
        "regression", "binary" or "multiclass".
    outputs : ndarray, shape (n,) or (n, k)
        Of the model.
    y : ndarray, shape (n,)
        Targets.

    Returns
    -------
    ndarray
        With the shape of ``outputs``.
    """
    if task == "multiclass":
        return np.asarray(_softmax(outputs) - np.eye(outputs.shape[1])[y.astype(int)])
    y = y.reshape(outputs.shape)
    said = outputs if task == "regression" else 1.0 / (1.0 + np.exp(-np.clip(outputs, -500, 500)))
    return np.asarray(said - y)


def _softmax(outputs: Array) -> Array:
    e = np.exp(outputs - outputs.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


def _rows(a: Array) -> Array:
    return np.asarray(a.reshape(len(a), -1))


def loss_shape(patient: Patient) -> Numbers:
    """Ask the loss about made-up outputs: whether it pulls where the right loss for the task pulls.

    Parameters
    ----------
    patient : Patient
        Only its loss and its targets matter.

    Returns
    -------
    dict of str to float
        Cosine with the right slope, its scale, share of flat and of negative losses, how it weighs the classes, or the
        sides of a numeric target, and how fast it grows for large mistakes.
    """
    _, y = patient.sample(patient.train)
    probe = patient.outputs(patient.sample(patient.train)[0])
    rng = np.random.default_rng(3)
    centre, unit = (y.mean(), y.std() + TINY) if patient.task == "regression" else (0.0, 1.0)
    made = np.asarray(centre + 1.5 * unit * rng.normal(size=probe.shape))
    own, right = _rows(patient.output_gradient(made, y)), _rows(reference_gradient(patient.task, made, y))
    size, expected = np.linalg.norm(own, axis=1), np.linalg.norm(right, axis=1)
    if not np.isfinite(size).all():
        return {}
    cosine = (own * right).sum(1) / (size * expected + TINY)
    far = np.median(np.linalg.norm(_rows(patient.output_gradient(centre + 20 * (made - centre), y)), axis=1))
    values = patient.losses(made, y)
    return {
        "loss_cosine": float(cosine.mean()),
        "loss_cosine_low": float(np.quantile(cosine, 0.05)),
        "loss_scale": log10(float(np.median(size / (expected + TINY)))),
        "loss_flat_share": float(np.mean(size < 1e-6 * (np.median(size) + TINY)) if size.any() else 1.0),
        "loss_negative_share": float(np.mean(values < -1e-9)),
        "loss_growth": log10(float(far) / (float(np.median(size)) + TINY)),
        "loss_sum_of_slopes": float(np.mean(np.abs(own.sum(1)) / (np.abs(own).sum(1) + TINY))),
        **_sides(patient, y, float(unit), probe.shape),
        **_ladder(patient, y, float(unit), probe.shape),
        **_class_weights(patient, size / (expected + TINY), y),
    }


def _sides(patient: Patient, y: Array, unit: float, shape: tuple[int, ...]) -> Numbers:
    """log10 of how much harder the loss pulls on one side of the target than on the other, equally far from it."""
    if patient.task != "regression":
        return {}
    above, below = (
        np.abs([patient.output_gradient((y + side * far * unit).reshape(shape), y) for far in (0.5, 1.0, 2.0)])
        for side in (1.0, -1.0)
    )
    with np.errstate(all="ignore"):
        return {"loss_asymmetry": float(np.clip(np.nanmedian(np.abs(np.log10(above / below))), 0.0, 6.0))}


def _ladder(patient: Patient, y: Array, unit: float, shape: tuple[int, ...]) -> Numbers:
    """Climb from outputs that are far wrong to outputs that are right and sure: where is the loss least, and how low.

    Numbers: the way goes past the target, so the least loss should lie on it. Classes: the surer the better, and for
    each class alike.
    """
    if patient.task == "regression":
        return _least_on_the_way(patient, y, unit, shape)
    right = np.eye(shape[-1])[y.astype(int)] if patient.task == "multiclass" else (2.0 * y - 1.0).reshape(shape)
    rungs = np.array([-20.0, -5.0, -1.0, 0.0, 0.25, 0.5, 1.0, 2.0, 5.0, 20.0])
    each = np.stack([patient.losses(rung * right, y) for rung in rungs])
    mean = each.mean(1)
    if not np.isfinite(mean).all():
        return {"ladder_broken": 1.0}
    falls = np.array([np.ptp(each[:, y == code].mean(1)) for code in np.unique(y)])
    start = abs(float(mean[3])) + TINY
    return {
        "ladder_broken": 0.0,
        "ladder_best": float(rungs[int(mean.argmin())]),
        "ladder_floor": max(-4.0, log10(float(mean.min()) / start)) if mean.min() > -1e-9 else -5.0,
        "ladder_top": log10(float(mean[0]) / start),
        "ladder_uneven": float(np.clip(log10(float(falls.min()) / (float(falls.max()) + TINY)), -4.0, 0.0)),
    }


def _least_on_the_way(patient: Patient, y: Array, unit: float, shape: tuple[int, ...]) -> Numbers:
    rungs = np.array([-5.0, -2.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0, 5.0])
    each = np.stack([patient.losses((y + rung * unit).reshape(shape), y) for rung in rungs])
    broken = float(np.mean(~np.isfinite(each)))
    off = np.abs(rungs[np.where(np.isfinite(each), each, np.inf).argmin(0)])
    return {"ladder_broken": broken, "ladder_off": float(np.mean(off > 0.1)), "ladder_far": float(np.mean(off))}


def _class_weights(patient: Patient, ratio: Array, y: Array) -> Numbers:
    if patient.task == "regression":
        return {}
    codes, counts = np.unique(y, return_counts=True)
    pull = np.array([np.median(ratio[y == code]) for code in codes])
    if not np.isfinite(pull).all():
        return {}
    logs, sizes = np.log(pull + TINY), np.log(counts)
    spread = float(logs.max() - logs.min())
    slope = float(np.polyfit(sizes, logs, 1)[0]) if np.ptp(sizes) > 0.1 else 0.0
    return {"class_weight_spread": spread, "class_weight_slope": float(np.clip(slope, -5, 5))}


def outputs_fit(patient: Patient) -> Numbers:
    """Compare the outputs' range with what the loss expects, and the rows' pull with what their mistakes deserve.

    Parameters
    ----------
    patient : Patient
        The model.

    Returns
    -------
    dict of str to float
        Whether outputs look squashed, one-sided or like probabilities; rows that are wrong and hardly pull.
    """
    x, y = patient.sample(patient.train)
    out = patient.outputs(x)
    flat = _rows(out)
    if not np.isfinite(flat).all():
        return {}
    own = np.linalg.norm(_rows(patient.output_gradient(out, y)), axis=1)
    right = np.linalg.norm(_rows(reference_gradient(patient.task, out, y)), axis=1)
    sums = flat.sum(1)
    wrong = right > (0.5 if patient.task != "regression" else float(np.std(y)))
    typical = float(np.median(own)) + TINY
    found = {
        "outputs_within_unit": float(np.mean((flat >= -1e-6) & (flat <= 1 + 1e-6))),
        "outputs_within_one": float(np.mean(np.abs(flat) <= 1 + 1e-6)),
        "outputs_nonnegative": float(np.mean(flat >= 0.0)),
        "outputs_zero": float(np.mean(flat == 0.0)),
        "outputs_sum_to_one": float(np.mean(np.abs(sums - 1.0) < 1e-4)) if flat.shape[1] > 1 else 0.0,
        "outputs_outside_unit": float(np.mean((flat < 0) | (flat > 1))),
        "wrong_and_still": float(np.mean(own[wrong] < 0.01 * max(typical, float(right.mean()))))
        if wrong.any()
        else 0.0,
        "wrong_share": float(wrong.mean()),
    }
    found |= _head(patient, x, out)
    if patient.task == "regression":
        found["outputs_cover"] = log10(float(np.ptp(flat)) / (float(np.ptp(y)) + TINY))
        found["outputs_outside"] = abs(float(np.mean(flat)) - float(np.mean(y))) / (float(np.std(y)) + TINY)
        found["outputs_outside"] = log10(found["outputs_outside"])
    return found


def _head(patient: Patient, x: Array, out: Array) -> Numbers:
    """Take the last layer's parameters times -2: outputs without an activation follow exactly.

    Share of outputs at the ends of their range, too: a clamp keeps many there.
    """
    flat = _rows(out)
    pieces = patient.pieces()
    last = pieces[-1][0].rpartition(".")[0]
    vector = patient.vector()
    for name, place in pieces:
        if name.rpartition(".")[0] == last:
            vector[place] *= -2.0
    with patient.undisturbed():
        patient.put(vector)
        turned = _rows(patient.outputs(x))
    size = float(np.abs(flat).mean())
    ends = (flat == flat.min()) | (flat == flat.max())
    found = {"outputs_at_ends": float(ends.mean()) if np.ptp(flat) > 0 else float("nan")}
    found["outputs_one_sided"] = max(float(np.mean(flat >= 0.0)), float(np.mean(flat <= 0.0)))
    return found | ({"head_bend": log10(float(np.abs(turned + 2.0 * flat).mean()) / size)} if size > TINY else {})


def initial_loss(patient: Patient) -> Numbers:
    """Hold the loss of newly drawn parameters against theory: ln k, or the target's spread.

    Parameters
    ----------
    patient : Patient
        The model; given back as it was.

    Returns
    -------
    dict of str to float
        log10 of their ratio.
    """
    x, y = patient.sample(patient.train)
    theory = float(np.var(y)) if patient.task == "regression" else float(np.log(patient.classes))
    with patient.undisturbed():
        patient.reinitialise(1)
        mean = float(patient.losses(patient.outputs(x), y).mean())
    return {"initial_loss": log10(mean / (theory + TINY))} if mean > 0 else {"initial_loss_negative": 1.0}


def carriers(patient: Patient) -> Numbers:
    """Who carries the loss: the top 1 % of rows, and each class.

    Parameters
    ----------
    patient : Patient
        The model.

    Returns
    -------
    dict of str to float
        Shares of loss and gradient of the top 1 %, recalls, and how they go with the size of the class.
    """
    x, y = patient.train
    out = patient.outputs(x)
    each, pull = np.abs(patient.losses(out, y)), np.linalg.norm(_rows(patient.output_gradient(out, y)), axis=1)
    if not (np.isfinite(each).all() and np.isfinite(pull).all()):
        return {}
    found = {"top_loss_share": _top(each), "top_gradient_share": _top(pull)}
    return found if patient.task == "regression" else found | _recalls(patient, out, y, pull)


def _top(values: Array) -> float:
    total = float(values.sum())
    return float(np.sort(values)[-max(1, len(values) // 100) :].sum()) / total if total > 0 else 0.0


def _recalls(patient: Patient, out: Array, y: Array, pull: Array) -> Numbers:
    said = _decide(out)
    codes, counts = np.unique(y, return_counts=True)
    recalls = np.array([float(np.mean(said[y == code] == code)) for code in codes])
    share = np.array([float(np.mean(said == code)) for code in codes])
    rare = int(counts.argmin())
    held_x, held_y = patient.valid
    held = _decide(patient.outputs(held_x))
    held_recalls = [float(np.mean(held[held_y == c] == c)) for c in codes if (held_y == c).any()]
    return {
        "class_ratio": log10(counts.max() / counts.min()),
        "recall_low": float(recalls.min()),
        "recall_gap": float(recalls[int(counts.argmax())] - recalls[rare]),
        "held_recall_low": min(held_recalls, default=float("nan")),
        "rare_missed": _rare_missed(codes, counts, held, held_y),
        "favourite": float((share - counts / counts.sum()).max()),
        "rare_gradient": float(pull[y == codes[rare]].sum() / (pull.sum() + TINY)) / (counts[rare] / counts.sum()),
    }


def _rare_missed(codes: Array, counts: Array, held: Array, held_y: Array) -> float:
    """What the rarest classes lack of the recall of the commonest ones, as a share of it, on held-out rows."""
    rare, common = codes[counts <= 1.5 * counts.min()], codes[counts >= 0.5 * counts.max()]
    of_rare, of_common = (
        float(np.mean([np.mean(held[held_y == code] == code) for code in group if (held_y == code).any()] or [np.nan]))
        for group in (rare, common)
    )
    return 1.0 - of_rare / of_common if of_common > 0.0 else float("nan")


def _decide(out: Array) -> Array:
    return np.asarray(out.argmax(1) if out.ndim == 2 and out.shape[1] > 1 else (out.reshape(-1) > 0).astype(int))
