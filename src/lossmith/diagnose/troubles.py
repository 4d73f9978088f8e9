"""The seven troubles of the common table, each tested on what training left behind."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lossmith.diagnose import table
from lossmith.diagnose.evidence import Array, Evidence, Finding, Training
from lossmith.diagnose.table import Row

# Thresholds. Where one is a convention, the reason stands beside it.
LATE_SHARE = 0.02  # of the whole decrease, in the last fifth of the iterations
STUCK_SHARE = 0.01  # of the rows
DEAD_GRADIENT = 1e-7  # mean |gradient| relative to the loss's natural size (SageMaker Debugger's rule)
GROWTH = 70.0  # gradient against its start (AutoTrainer's explosion ratio)
RATIO = 3.0  # largest class over smallest
RECALL_GAP = 0.2
TOP_SHARE = 0.10  # of the gradient carried by 1 % of the rows; 3.6 % for squared error under normal noise
CONFIDENT = 0.01  # a calibrated model gives the true class less than this in at most (k - 1) of 100 rows
SPREAD = 0.01  # relative spread of final objectives
LOST_SHARE = 0.5  # of the improvement over a constant that does not carry over
RISE = 1.05  # last held-out loss over its minimum


def diagnose(evidence: Evidence) -> tuple[Finding, ...]:
    """Test the seven rows of the troubleshooting table.

    Parameters
    ----------
    evidence : Evidence
        A trained model and how it was trained.

    Returns
    -------
    tuple of Finding
        Seven, in the table's order. A test without what it needs says so; it never passes silently.

    Examples
    --------
    >>> import numpy as np, lossmith as lm
    >>> rng = np.random.default_rng(0)
    >>> y = rng.normal(size=1000)
    >>> y[:5] += 200.0
    >>> found = diagnose(Evidence(lm.MeanSquaredError(), "linear", y, np.zeros(1000)))
    >>> [finding.name for finding in found if finding.seen]
    ['outlier sensitivity']
    """
    tests: tuple[tuple[Row, Callable[[Evidence], tuple[bool | None, str]]], ...] = (
        (table.SLOW, _slow),
        (table.VANISHING, _vanishing),
        (table.EXPLODING, _exploding),
        (table.IMBALANCE, _imbalance),
        (table.OUTLIERS, _outliers),
        (table.MINIMA, _minima),
        (table.OVERFITTING, _overfitting),
    )
    return tuple(_finding(row, *test(evidence)) for row, test in tests)


def _finding(row: Row, seen: bool | None, text: str) -> Finding:
    ran = seen is not None
    return Finding(row.name, seen, text if ran else "", row.cause, row.remedy, "" if ran else text, row.article)


def _slow(evidence: Evidence) -> tuple[bool | None, str]:
    trainings = [training for training in evidence.trainings if training.train]
    if not trainings:
        return None, "no training curve"
    late = float(np.mean([_late_share(training) for training in trainings]))
    limited = sum(training.hit_limit for training in trainings)
    longest = max(len(training.train) for training in trainings)
    text = (
        f"{late:.2%} of the whole decrease came in the last fifth of at most {longest} iterations (threshold "
        f"{LATE_SHARE:.0%}), and {limited} of {len(trainings)} trainings ended at the iteration limit (threshold: "
        "half); both are needed"
    )
    return late > LATE_SHARE and 2 * limited >= len(trainings), text


def _late_share(training: Training) -> float:
    """Share of the decrease that came late, on held-out rows if there are any: there it is worth something."""
    if len(training.train) < 5:
        return 0.0
    curve = np.asarray(training.valid or training.train)
    whole = curve[0] - curve.min()
    late = curve[int(0.8 * (len(curve) - 1))] - curve[-1]
    return max(0.0, float(late / whole)) if whole > 0 else 0.0


def _vanishing(evidence: Evidence) -> tuple[bool | None, str]:
    size, wrong = _pull(evidence), _wrong(evidence)
    typical = float(np.median(size[~wrong])) if (~wrong).any() else float(size.mean())
    # Among wrong rows: fewer than a hundredth of what rows that are right pull counts as none.
    stuck = int((wrong & (size <= 0.01 * typical)).sum())
    share = stuck / size.size
    first = [t.gradient_norm[0] for t in evidence.trainings if t.gradient_norm]
    text = f"{share:.2%} of the rows are clearly wrong and hardly pull (threshold {STUCK_SHARE:.0%})"
    if first:
        text += f"; gradient at the start {min(first):.3g} (threshold {DEAD_GRADIENT:g})"
    return share >= STUCK_SHARE or (bool(first) and min(first) < DEAD_GRADIENT), text


def _pull(evidence: Evidence) -> Array:
    slopes = np.abs(np.asarray(evidence.loss.gradient(evidence.y, evidence.raw), dtype=np.float64))
    return slopes if slopes.ndim == 1 else np.asarray(np.sqrt(np.square(slopes).sum(axis=1)))


def _wrong(evidence: Evidence) -> Array:
    """Rows that are clearly wrong: the other class with probability above 0.9, or beyond 3 robust deviations."""
    if evidence.codes is not None:
        if evidence.probability is not None:
            return np.asarray(evidence.probability < 0.1)
        return np.asarray(evidence.decided != evidence.codes)
    residual = np.abs(_residual(evidence))
    scale = 1.4826 * float(np.median(residual))
    return np.asarray(residual > 3.0 * scale)


def _residual(evidence: Evidence) -> Array:
    return np.asarray(evidence.y - (evidence.raw if evidence.fitted is None else evidence.fitted))


def _exploding(evidence: Evidence) -> tuple[bool | None, str]:
    curves = [np.asarray(t.train) for t in evidence.trainings if len(t.train) >= 2]
    norms = [np.asarray(t.gradient_norm) for t in evidence.trainings if len(t.gradient_norm) >= 2]
    if not curves:
        return None, "no training curve of two iterations or more"
    broken = sum(not np.isfinite(curve).all() for curve in (*curves, *norms))
    growth = max((_growth(norm) for norm in norms), default=float("nan"))
    rises = sum(bool(np.isfinite(c).all() and c[-1] > c[0] + 1e-9 * abs(c[0])) for c in curves)
    text = (
        f"{broken} curves with NaN or infinity (threshold 1), {rises} of {len(curves)} objectives ended above their "
        f"start (threshold 1), gradient at most {growth:.3g} times its start (threshold {GROWTH:g})"
    )
    return bool(broken or rises or growth > GROWTH), text


def _growth(norm: Array) -> float:
    finite = norm[np.isfinite(norm)]
    return float(finite.max() / finite[0]) if finite.size and finite[0] > 0 else 0.0


def _imbalance(evidence: Evidence) -> tuple[bool | None, str]:
    if evidence.codes is None or evidence.decided is None:
        return None, "the target is numeric"
    codes, counts = np.unique(evidence.codes, return_counts=True)
    recalls = [float((evidence.decided[evidence.codes == code] == code).mean()) for code in codes]
    rare, common = int(counts.argmin()), int(counts.argmax())
    ratio, gap = counts[common] / counts[rare], recalls[common] - recalls[rare]
    text = (
        f"classes are {ratio:.1f} : 1 (threshold {RATIO:g}); recall {recalls[common]:.2f} of the largest and "
        f"{recalls[rare]:.2f} of the smallest class (threshold: a gap of {RECALL_GAP})"
    )
    return bool(ratio >= RATIO and gap >= RECALL_GAP), text


def _outliers(evidence: Evidence) -> tuple[bool | None, str]:
    if evidence.codes is not None:
        return _confident_mistakes(evidence)
    size = np.sort(_pull(evidence))[::-1]
    if size.size < 100:
        return None, f"{size.size} held-out rows; one in a hundred cannot be looked at below 100"
    top = max(1, size.size // 100)
    total = float(size.sum())
    share = float(size[:top].sum()) / total if total > 0 else 0.0
    text = f"{share:.1%} of the gradient comes from 1 % of the rows (threshold {TOP_SHARE:.0%})"
    return share > TOP_SHARE, text


def _confident_mistakes(evidence: Evidence) -> tuple[bool | None, str]:
    if evidence.probability is None:
        return None, "the model gives no probabilities"
    share = float((evidence.probability < CONFIDENT).mean())
    classes = np.unique(evidence.codes).size if evidence.codes is not None else 2
    allowed = CONFIDENT * (classes - 1)
    limit = 2.0 * allowed + 2.0 * math.sqrt(allowed / evidence.y.shape[0])
    text = f"{share:.2%} of the rows have a true class called less than {CONFIDENT:.0%} likely (threshold {limit:.2%})"
    return share > limit, text


def _minima(evidence: Evidence) -> tuple[bool | None, str]:
    if evidence.loss.traits.convex:
        return False, f"{evidence.loss.name} is convex in the score: the objective has no local minima in the scores"
    if len(evidence.restarts) < 2:
        return None, f"{evidence.loss.name} is not convex and no second start was tried"
    low, high = min(evidence.restarts), max(evidence.restarts)
    spread = (high - low) / max(abs(low), 1e-12)
    text = (
        f"final objectives from {len(evidence.restarts)} starts differ by {spread:.2%} of the lowest "
        f"(threshold {SPREAD:.0%})"
    )
    return spread > SPREAD, text


def _overfitting(evidence: Evidence) -> tuple[bool | None, str]:
    if not evidence.train_errors or evidence.trivial_error is None:
        return None, "no scores on the rows trained on"
    train, valid = float(np.mean(evidence.train_errors)), float(np.mean(evidence.valid_errors))
    room = evidence.trivial_error - train
    lost = (valid - train) / room if room > 0 else 0.0
    gaps = np.subtract(evidence.valid_errors, evidence.train_errors)
    error = float(gaps.std(ddof=1) / math.sqrt(gaps.size)) if gaps.size > 1 else 0.0
    rise = _rise(evidence.trainings)
    text = (
        f"{lost:.0%} of the improvement over a constant does not carry over to held-out rows (threshold "
        f"{LOST_SHARE:.0%}); gap {valid - train:.4g} +- {error:.2g}; last held-out loss {rise:.3f} times its minimum "
        f"(threshold {RISE})"
    )
    return (lost > LOST_SHARE and valid - train > 2.0 * error) or rise > RISE, text


def _rise(trainings: tuple[Training, ...]) -> float:
    ratios = [t.valid[-1] / min(t.valid) for t in trainings if t.valid and min(t.valid) > 0]
    return float(np.mean(ratios)) if ratios else 1.0
