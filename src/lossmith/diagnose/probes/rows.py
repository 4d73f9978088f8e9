"""What the rows say by themselves: scale, order, neighbours."""

from __future__ import annotations

import numpy as np

from lossmith.diagnose.probes.columns import flat, span
from lossmith.diagnose.probes.motion import TINY, Numbers, log10
from lossmith.diagnose.probes.patient import Array, Patient


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
    x, y = flat(patient.train[0]), np.asarray(patient.train[1], np.float64)
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
    wide, centre = span(x) / 1.349, np.median(x, 0)
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
    rows = {row.tobytes(): k for k, row in enumerate(np.ascontiguousarray(flat(x)))}
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
    x, held = flat(x), flat(held)
    good = np.isfinite(x).all(1)
    x, y = x[good], y[good]
    if len(x) < 4 * k or len(held) < 4 * k or not np.isfinite(held).all():
        return {}
    centre, spread = np.median(x, 0), np.maximum(span(x), 1e-9)
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
