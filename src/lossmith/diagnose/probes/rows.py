"""What the rows say by themselves: scale, order, split, leaks, neighbours."""

from __future__ import annotations

import numpy as np

from lossmith.diagnose.probes.motion import TINY, Numbers, log10
from lossmith.diagnose.probes.patient import Array, Patient


def _flat(x: Array) -> Array:
    return np.asarray(x.reshape(len(x), -1), dtype=np.float64)


def scale(patient: Patient) -> Numbers:
    """Sizes of inputs and targets, extreme rows, cells that are not numbers.

    Parameters
    ----------
    patient : Patient
        Only its data matters.

    Returns
    -------
    dict of str to float
        log10 of means, spreads and their ratio; log10 distances of the farthest row and target from the middle.
    """
    x, y = _flat(patient.train[0]), np.asarray(patient.train[1], np.float64)
    found = {
        "bad_inputs": log10(float(np.mean(~np.isfinite(x)))),
        "bad_targets": log10(float(np.mean(~np.isfinite(y)))),
    }
    x = np.where(np.isfinite(x), x, 0.0)
    spread = x.std(0)
    spread = spread[spread > 0]
    lengths = np.linalg.norm(x - np.median(x, 0), axis=1)
    found |= _middles(x)
    found |= {
        "input_mean": log10(float(np.abs(x.mean(0)).max())),
        "input_offset": log10(float(np.median(np.abs(x.mean(0)) / (x.std(0) + TINY)))),
        "input_std_max": log10(float(spread.max(initial=0.0))),
        "input_std_median": log10(float(np.median(spread))) if spread.size else -12.0,
        "input_std_ratio": log10(float(np.quantile(spread, 0.9) / np.quantile(spread, 0.1))) if spread.size else 0.0,
        "far_row": log10(float(lengths.max() / (np.median(lengths) + TINY))),
        "far_rows_share": float(np.mean(lengths > 8 * np.median(lengths))),
        "rows": log10(float(len(y))),
    }
    if patient.task == "regression" and np.isfinite(y).all():
        middle = np.median(np.abs(y - np.median(y))) * 1.4826 + TINY
        found |= {
            "target_mean": log10(abs(float(y.mean()))),
            "target_std": log10(float(y.std())),
            "far_target": log10(float(np.abs(y - np.median(y)).max() / middle)),
            "target_gap": _gap(np.abs(y - np.median(y)) / middle),
        }
    return found


def _middles(x: Array) -> Numbers:
    """Scale of the columns by medians and quartiles: a few extreme rows are no scale, nor do they hide one."""
    wide, centre = _range(x) / 1.349, np.median(x, 0)
    used = wide > 1e-12
    if not used.any():
        return {}
    unit = (x[:, used] - centre[used]) / wide[used]
    low, middle, high = np.quantile(wide[used], [0.1, 0.5, 0.9])
    far = np.linalg.norm(unit, axis=1)
    return {
        "column_spread": log10(float(middle)),
        "column_spread_ratio": log10(float(high / low)),
        "column_spread_max": log10(float(wide.max() / middle)),
        "column_offset": log10(float(np.median(np.abs(centre[used]) / wide[used]))),
        "column_offset_max": log10(float((np.abs(centre[used]) / wide[used]).max())),
        "far_cell": log10(float(np.abs(unit).max())),
        "far_cells_share": log10(float((np.abs(unit) > 30.0).mean())),
        "far_unit_row": log10(float(far.max() / (np.median(far) + TINY))),
        "cell_gap": _ring(np.abs(unit).ravel()),
        "row_gap": _ring(far / (np.median(far) + TINY)),
    }


def _ring(sizes: Array) -> float:
    """log10 of the widest step between cells far out: what was put in lies apart, a heavy tail has no steps."""
    edge = max(3.0, float(np.quantile(sizes, 0.9)))
    far = np.sort(np.append(sizes[sizes > edge], edge))
    far = far[: len(far) - max(4, len(sizes) // 1000)] if len(far) > 5 else far[:0]
    return log10(float((far[1:] / far[:-1]).max(initial=1.0)))


def _gap(distances: Array) -> float:
    """Widest empty ring with 1 to 10 % of the rows beyond: what was mistaken lies apart, heavy tails thin out."""
    far = np.sort(distances)[int(0.9 * len(distances)) : len(distances) - max(2, len(distances) // 100)]
    beyond = np.sort(distances)[int(0.9 * len(distances)) + 1 :][: len(far)]
    return log10(float((beyond / (far + TINY)).max(initial=1.0)))


def order(patient: Patient) -> Numbers:
    """Tell whether batches are fair samples, or sorted.

    Parameters
    ----------
    patient : Patient
        Only its batches matter.

    Returns
    -------
    dict of str to float
        1 minus the spread of targets within batches over that of all, and over that of all rows drawn, log2 of the
        batch size, log2 of how many different rows a batch holds, and how the share of a class in batches goes with
        its size.
    """
    different = [_different(x, y) for x, y in patient.batches]
    sizes = [len(y) for y in different]
    found = {
        "batch_size": float(np.log2(np.mean([len(y) for _, y in patient.batches]))),
        "batch_different": float(np.log2(np.mean(sizes))),
        **_drawn_classes(patient),
    }
    whole = _spread(patient.train[1], patient.task)
    if len(sizes) < 4 or min(sizes) < 4 or whole <= 0:
        return found
    inside = [_spread(y, patient.task) * len(y) / (len(y) - 1) for y in different]
    together = _spread(np.concatenate(different), patient.task)
    return found | {
        "batch_order": float(np.clip(1.0 - np.mean(inside) / whole, -0.5, 1.0)),
        "batch_mixed": float(np.clip(np.mean(inside) / (together + TINY), 0.0, 1.5)),
    }


def _different(x: Array, y: Array) -> Array:
    """Targets of the rows of a batch, each row once."""
    rows = {row.tobytes(): k for k, row in enumerate(np.ascontiguousarray(_flat(x)))}
    return np.asarray(y[sorted(rows.values())])


def _drawn_classes(patient: Patient) -> Numbers:
    """Slope of the log share of classes in batches, beyond that in the rows, against the log of their size."""
    if patient.task == "regression":
        return {}
    codes, counts = np.unique(patient.train[1], return_counts=True)
    drawn = np.concatenate([y for _, y in patient.batches])
    share = np.array([(np.sum(drawn == code) + 0.5) / (len(drawn) + 0.5 * len(codes)) for code in codes])
    sizes = np.log(counts / counts.sum())
    if np.ptp(sizes) < 0.3 or len(drawn) < 32:
        return {}
    return {"drawn_slope": float(np.clip(np.polyfit(sizes, np.log(share) - sizes, 1)[0], -3.0, 3.0))}


def _spread(y: Array, task: str) -> float:
    if task == "regression":
        return float(np.var(y))
    _, counts = np.unique(y, return_counts=True)
    return float(1.0 - np.sum((counts / counts.sum()) ** 2))


def split(patient: Patient) -> Numbers:
    """Compare the rows learned from with those held out: other units, the same rows, a column that tells all.

    Parameters
    ----------
    patient : Patient
        Only its data matters.

    Returns
    -------
    dict of str to float
        Shift and ratio of columns, share of held-out rows seen in training, strength of the strongest column, and of
        the strongest that share nothing with the others but the target.
    """
    x, held = _flat(patient.train[0]), _flat(patient.valid[0])
    good = np.isfinite(x).all(1)
    x, y = x[good], np.asarray(patient.train[1], np.float64)[good]
    if len(x) < 8 or not np.isfinite(held).all():
        return {}
    # Medians and interquartile ranges: a few extreme rows are not a shift.
    spread, other = _range(x), _range(held)
    usable = (spread > 1e-9) & (other > 1e-9)
    found: Numbers = {"columns_gone": float(np.mean((x.std(0) > 1e-9) & (held.std(0) <= 1e-9)))}
    if usable.any():
        away = np.abs(np.median(held, 0) - np.median(x, 0))[usable] / spread[usable]
        ratio = np.abs(np.log10(other[usable] / spread[usable]))
        found |= {"shift_median": log10(float(np.median(away))), "shift_max": log10(float(away.max()))}
        found |= {"ratio_median": float(np.median(ratio)), "ratio_max": float(ratio.max())}
    found |= _apart(x, held)
    known = {row.tobytes() for row in np.round(x, 5)}
    found["seen_before"] = float(np.mean([row.tobytes() in known for row in np.round(held, 5)]))
    strong = np.sort(strengths(x, y, patient.task))[::-1]
    found |= {
        "top_column": float(strong[0]),
        "top_column_lead": float(strong[0] - strong[min(1, len(strong) - 1)]),
    }
    found |= _told(x, y, patient.task)
    if patient.task == "regression":
        held_y = np.asarray(patient.valid[1], np.float64)
        found["target_ratio"] = abs(log10(float(_range(held_y[:, None])[0] / (_range(y[:, None])[0] + TINY))))
        found["target_shift"] = log10(abs(float(np.median(held_y) - np.median(y))) / (float(np.std(y)) + TINY))
    else:
        found["unknown_classes"] = float(np.mean(~np.isin(patient.valid[1], patient.train[1])))
    return found


def _apart(x: Array, held: Array) -> Numbers:
    """Largest difference of the distribution functions of training and held-out rows, column by column."""
    varies = x.std(0) > 1e-9
    if not varies.any():
        return {}
    away = []
    for own, other in zip(np.sort(x[:, varies], 0).T, np.sort(held[:, varies], 0).T, strict=True):
        at = np.concatenate([own, other])
        below = [np.searchsorted(part, at, "right") / len(part) for part in (own, other)]
        away.append(float(np.abs(below[0] - below[1]).max()))
    # By chance, the root of the number of rows times the difference is about 1.
    rows = np.sqrt(len(x) * len(held) / (len(x) + len(held)))
    return {
        "apart_median": float(np.median(away)),
        "apart_max": max(away),
        "apart_surely": log10(float(rows) * max(away)),
    }


def _told(x: Array, y: Array, task: str) -> Numbers:
    """Strength of the leading columns that are the target and noise of their own, and their lead over the others.

    What columns measure of the world they share beyond the target; what was made from the target they do not.
    """
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return {}
    strong = strengths(x, y, task)
    rest, lead, told = _beyond(x, y, task), 0.0, 0.0
    first = np.argsort(-strong)
    for k in range(min(3, len(first) - 1)):
        if _shared(rest, int(first[k])) > 0.03:
            break
        told = float(strong[first[0]])
        lead = max(lead, float(strong[first[k]] - strong[first[k + 1]]))
    return {"told_column": told, "told_lead": lead}


def _beyond(x: Array, y: Array, task: str) -> Array:
    """Columns less what the target explains of them."""
    x = (x - x.mean(0)) / (x.std(0) + TINY)
    if task == "regression":
        unit = (y - y.mean()) / (y.std() + TINY)
        powers = np.stack([np.ones_like(unit), unit, unit**2], 1)
        return np.asarray(x - powers @ np.linalg.lstsq(powers, x, rcond=None)[0])
    for code in np.unique(y):
        x[y == code] -= x[y == code].mean(0)
    return x


def _shared(x: Array, at: int) -> float:
    """Share of a column's spread that the others explain by a ridge regression, on rows that it was not fitted to."""
    others, own = np.delete(x, at, 1), x[:, at]
    wrong, half = 0.0, np.arange(len(x)) % 2 == 0
    for part in (half, ~half):
        a = others[part]
        slope = np.linalg.solve(a.T @ a + 0.02 * len(a) * np.eye(a.shape[1]), a.T @ own[part])
        wrong += float(((own[~part] - others[~part] @ slope) ** 2).sum())
    return 1.0 - wrong / (float((own**2).sum()) + TINY)


def _range(x: Array) -> Array:
    low, high = np.quantile(x, [0.25, 0.75], axis=0)
    wide = high - low
    return np.asarray(np.where(wide > 1e-9, wide, x.std(0)))


def strengths(x: Array, y: Array, task: str) -> Array:
    """Share of the target's spread that each column explains by itself.

    Parameters
    ----------
    x : ndarray, shape (n, p)
        Columns.
    y : ndarray, shape (n,)
        Targets.
    task : str
        "regression", or of classes.

    Returns
    -------
    ndarray, shape (p,)
        From 0 to 1.
    """
    return np.array([_strength(column, y, task) for column in x.T])


def _strength(column: Array, y: Array, task: str) -> float:
    """Share of the target's spread that one column explains: R2 of a line, or between classes."""
    total = float(np.var(column))
    if total <= 1e-18:
        return 0.0
    if task == "regression":
        return float(np.corrcoef(column, y)[0, 1] ** 2) if np.var(y) > 0 else 0.0
    inside = sum(float(np.var(column[y == c])) * float(np.mean(y == c)) for c in np.unique(y))
    return 1.0 - inside / total


def neighbours(patient: Patient, k: int = 5) -> Numbers:
    """Ask nearest neighbours whether labels agree within the training rows, within held-out rows, and between them.

    Parameters
    ----------
    patient : Patient
        Only its data matters.
    k : int
        Neighbours.

    Returns
    -------
    dict of str to float
        Errors relative to a constant's (1: nothing can be learned), a mapping of labels that would mend them, and the
        same for a ridge regression.
    """
    (x, y), (held, held_y) = patient.sample(patient.train, 400), patient.sample(patient.valid, 300)
    x, held = _flat(x), _flat(held)
    good = np.isfinite(x).all(1)
    x, y = x[good], y[good]
    if len(x) < 4 * k or len(held) < 4 * k or not np.isfinite(held).all():
        return {}
    centre, spread = np.median(x, 0), np.maximum(_range(x), 1e-9)
    x, held = np.clip((x - centre) / spread, -5, 5), np.clip((held - centre) / spread, -5, 5)
    inner, own, cross = _near(x, x, y, k, True), _near(held, held, held_y, k, True), _near(held, x, y, k, False)
    found = {
        "neighbours_train": _error(inner, y, y, patient.task),
        "neighbours_held": _error(own, held_y, held_y, patient.task),
        "neighbours_cross": _error(cross, held_y, y, patient.task),
        "line_cross": _line(x, y, held, held_y, patient.task),
        "line_train": _line(x, y, x, y, patient.task),
        "line_held": _line(held, held_y, held, held_y, patient.task),
    }
    found["neighbours_doubt"] = found["neighbours_train"] - found["neighbours_held"]
    return found | _mapping(cross, held_y, patient)


def _near(ask: Array, x: Array, y: Array, k: int, leave_out: bool) -> Array:
    distances = (ask**2).sum(1)[:, None] + (x**2).sum(1)[None] - 2 * ask @ x.T
    if leave_out:
        np.fill_diagonal(distances, np.inf)
    return np.asarray(y[np.argpartition(distances, k, axis=1)[:, :k]])


def _error(near: Array, truth: Array, base: Array, task: str) -> float:
    if task == "regression":
        return float(min(3.0, np.mean((near.mean(1) - truth) ** 2) / (np.mean((base.mean() - truth) ** 2) + TINY)))
    said = _vote(near)
    trivial = 1.0 - np.max(np.unique(truth, return_counts=True)[1]) / len(truth)
    return float(min(3.0, np.mean(said != truth) / (trivial + TINY)))


def _vote(near: Array) -> Array:
    classes = int(near.max()) + 1
    return np.asarray(np.stack([(near == c).sum(1) for c in range(classes)], 1).argmax(1))


def _line(x: Array, y: Array, held: Array, held_y: Array, task: str) -> float:
    """Error of ridge regression (on indicators of the classes), relative to a constant's."""
    ones = np.hstack([x, np.ones((len(x), 1))])
    target = (
        np.asarray(y, np.float64)[:, None]
        if task == "regression"
        else np.eye(int(max(y.max(), held_y.max())) + 1)[y.astype(int)]
    )
    gram = ones.T @ ones + 0.03 * len(x) * np.eye(ones.shape[1])
    said = np.hstack([held, np.ones((len(held), 1))]) @ np.linalg.solve(gram, ones.T @ target)
    near = said if task == "regression" else said.argmax(1)[:, None]
    return _error(near, held_y, np.asarray(y), task)


def _mapping(cross: Array, truth: Array, patient: Patient) -> Numbers:
    """Tell whether other names of labels, or another unit, would make training and held-out rows agree."""
    if patient.task == "regression":
        said, y = cross.mean(1), np.asarray(truth, np.float64)
        c = float(np.corrcoef(said, y)[0, 1]) if np.std(said) > 0 and np.std(y) > 0 else 0.0
        slope = float(np.std(y) / (np.std(said) + TINY))
        return {"cross_correlation": c, "cross_slope": log10(slope)}
    said = _vote(cross)
    size = max(patient.classes, int(said.max()) + 1)
    table = np.zeros((size, size))
    np.add.at(table, (said, truth.astype(int)), 1.0)
    return {"renaming_gain": float((table.max(1).sum() - np.trace(table)) / table.sum())}
