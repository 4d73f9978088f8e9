"""Compare a loss's gradient and Hessian with differences of its value, on given data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..loss import Loss
from .curves import Floats
from .paths import Paths, paths_of
from .verdict import Verdict, unchecked

_EPS = float(np.finfo(np.float64).eps)
_UNDERFLOW = 1e-322
# Steps shrink from about the size of the prediction to where rounding leaves nothing.
_STEPS = 0.25 * 4.0 ** -np.arange(18.0)
_STENCIL = np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])
_SIXTH = np.array([-1.0, 9.0, -45.0, 45.0, -9.0, 1.0]) / 60.0
_FOURTH = np.array([0.0, 1.0, -8.0, 8.0, -1.0, 0.0]) / 12.0
# Vanishes on parabolas; scaled to three times the standard deviation of noise.
_ROUGHNESS = np.array([3.0, -8.0, 5.0, 5.0, -8.0, 3.0]) / 5.0
# Differences that are less sure than this say nothing; a trusted one may be off by ten error estimates, and
# derivatives that are differences themselves (SciPy distributions) by what those are good for.
_SURE = 1e-4
_TRUST = 10.0
_AGREES = {"gradient": 1e-6, "hessian": 1e-4}
# Sums over pairs and triplets bend almost everywhere.
_AGREES_WHOLE = 1e-4


def check_derivatives(loss: Loss, y: Any, f: Any) -> tuple[Verdict, ...]:
    """Compare gradient and Hessian with sixth-order differences, on given targets and predictions.

    The gradient is compared with differences of the value, the Hessian with differences of that gradient.
    Each sample uses the step at which rounding and curvature together disturb least, and is counted as
    undecided when that is still too much. On a kink the gradient must lie between its neighbours. Rows and
    structured losses are followed along random directions.

    Parameters
    ----------
    loss : Loss
        The loss.
    y, f : array_like
        Targets and predictions as in the call; of more than 2000 samples an even selection is used.

    Returns
    -------
    tuple of Verdict
        One named "gradient" and one named "hessian"; the evidence names the worst discrepancy and its place.

    Examples
    --------
    >>> import lossmith as lm
    >>> from lossmith.core.verify import check_derivatives
    >>> [v.held for v in check_derivatives(lm.Huber(), [0.0, 1.0, 2.0], [0.3, 5.0, 2.0])]
    [True, True]
    """
    paths = paths_of(loss, y, f)
    gradient = _compare(paths, "gradient", paths.value, paths.slope)
    if not paths.has_curvature:
        why = f"the Hessian of a {loss.tier} loss is not followed"
        return gradient, unchecked("hessian", "derivative", why)
    return gradient, _compare(paths, "hessian", paths.slope, paths.curvature)


# --- the comparison -------------------------------------------------------------------------------------


def _compare(paths: Paths, name: str, lower: Callable[[Floats], Floats], given: Callable[[Floats], Floats]) -> Verdict:
    with np.errstate(all="ignore"):
        stated = given(np.zeros((len(paths.size), 1)))[:, 0]
        estimate, error, usual = _differences(paths, lower, paths.unrest(0 if name == "gradient" else 1))
        kinked, impossible = _on_kink(paths, given, lower, stated)
        gap = np.abs(stated - estimate)
        size = np.fmax(np.abs(stated), np.abs(estimate))
        undecided = ~(error <= _SURE * np.fmax(size, usual)) | np.isinf(stated) | ~np.isfinite(error)
        slack = np.where(impossible, 0.0, _slack(paths, given))
        agrees = _AGREES[name] if paths.has_curvature else _AGREES_WHOLE
        wrong = (gap > _TRUST * error + agrees * size + slack) & ~undecided
        wrong |= np.isnan(stated) & np.isfinite(estimate)
        relative = np.where(gap == 0.0, 0.0, gap / np.fmax(size, usual))
    wrong &= ~kinked
    return _verdict(paths, name, relative, wrong, kinked, undecided & ~kinked & ~wrong)


def _slack(paths: Paths, given: Callable[[Floats], Floats]) -> Floats:
    """What a few roundings of the prediction change, which says nothing about the formula."""
    near = np.minimum(8.0 * _EPS * paths.size, 0.5 * paths.room)
    around = given(near[:, None] * np.array([-1.0, 1.0]))
    return np.nan_to_num(np.abs(around[:, 1] - around[:, 0]), posinf=0.0)


def _differences(paths: Paths, lower: Callable[[Floats], Floats], unrest: Floats) -> tuple[Floats, Floats, Floats]:
    """Differences at the best step, their error, and the size a derivative usually has there."""
    reach = np.minimum(paths.size, np.nextafter(paths.room, 0.0))
    step = reach[:, None] * _STEPS
    t = (step[:, :, None] * _STENCIL).reshape(len(step), -1)
    values = lower(t).reshape(*step.shape, _STENCIL.size)
    sixth, fourth = values @ _SIXTH / step, values @ _FOURTH / step
    # Rounding of the value itself and of the place at which it is taken; underflow.
    largest, spread = np.abs(values).max(axis=2), np.ptp(values, axis=2)
    noise = _EPS * (4.0 * (largest + unrest[:, None]) + spread * paths.size[:, None] / step) + _UNDERFLOW
    # The finest steps show what else is uncertain: to a smooth function they are all but a straight line.
    rough = np.abs(values[:, -3:] @ _ROUGHNESS).max(axis=1, keepdims=True)
    rounding = (noise + np.nan_to_num(rough, posinf=0.0)) / step
    error = np.abs(sixth - fourth) + rounding
    error = np.where(np.isnan(error) | _contradicted(sixth, error), np.inf, error)
    best = np.argmin(error, axis=1)[:, None]
    found = (np.take_along_axis(array, best, 1)[:, 0] for array in (sixth, error, largest))
    estimate, uncertainty, usual = found
    return estimate, uncertainty, usual / paths.size


def _contradicted(estimate: Floats, error: Floats) -> npt.NDArray[np.bool_]:
    """Coarse steps that jump over something small: a finer step disagrees beyond both errors."""
    bad = np.zeros(estimate.shape, bool)
    for finer in range(1, estimate.shape[1]):
        gap = np.abs(estimate[:, :finer] - estimate[:, finer : finer + 1])
        bad[:, :finer] |= gap > 3.0 * (error[:, :finer] + error[:, finer : finer + 1])
    return bad


def _on_kink(
    paths: Paths, given: Callable[[Floats], Floats], lower: Callable[[Floats], Floats], stated: Floats
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Samples on a kink whose derivative lies between its neighbours, and those where it does not."""
    reach = np.minimum(3e-8 * paths.size, 0.5 * paths.room)[:, None]
    # A sixteenth of it still exceeds the stencils by which roughness is judged.
    near = reach * np.array([-1.0, -1.0 / 16, 1.0 / 16, 1.0])
    sides = given(near)
    low, high = sides.min(axis=1), sides.max(axis=1)
    slack = 1e-9 * (np.abs(low) + np.abs(high))
    between = (stated >= low - slack) & (stated <= high + slack)
    here, below = _jumps(sides), _jumps(lower(near))
    return (here & between) | below, here & ~between & ~below


def _jumps(sides: Floats) -> npt.NDArray[np.bool_]:
    """A smooth change shrinks with the distance; a jump stays."""
    far, near = np.abs(sides[:, 3] - sides[:, 0]), np.abs(sides[:, 2] - sides[:, 1])
    return np.asarray((near > 0.5 * far) & (near > 1e-6 * np.abs(sides).max(axis=1)))


def _verdict(paths: Paths, name: str, relative: Floats, wrong: Any, kinked: Any, undecided: Any) -> Verdict:
    decided = ~kinked & ~undecided
    shown = wrong if wrong.any() else decided
    if not shown.any():
        return unchecked(name, "derivative", f"all {relative.size} samples lie on kinks or beyond differences")
    worst = int(np.argmax(np.where(shown, np.nan_to_num(relative, nan=np.inf), -1.0)))
    text = f"worst relative discrepancy {relative[worst]:.2g} at {paths.place(worst)}"
    text += f"; {int(decided.sum())} samples decided"
    for count, what in ((kinked.sum(), "on a kink"), (undecided.sum(), "undecided"), (wrong.sum(), "wrong")):
        text += f", {int(count)} {what}" if count else ""
    return Verdict(name, "derivative", not wrong.any(), text, error=float(relative[worst]))
