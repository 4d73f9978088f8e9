"""Verifiers of the shape of an elementwise loss: convexity, bounds of its derivatives, kinks, symmetry."""

from __future__ import annotations

import numpy as np

from ..domain import UNIT, Labels
from .curves import Curves, Extreme, Floats
from .scan import Scan

Finding = tuple[bool, str]
# A bound may be passed by rounding only, and must be attained within one percent.
_ROUNDING = 1e-9
_TIGHT = 1e-2


def bound(what: str, found: Extreme, claimed: float, scale: float, sign: float = 1.0) -> Finding:
    """Compare a supremum (sign 1) or infimum (-1) with the claim: never passed, and nearly attained.

    ``found.value`` is the supremum of sign times the quantity.
    """
    top, limit = found.value, sign * claimed
    if top == np.inf:
        return limit == top, f"{what} is unbounded (towards {found.place})"
    text = f"{what} = {sign * top + 0.0:.8g} at {found.place}"
    size = max(abs(limit), 0.1 * scale)
    if limit == np.inf:
        return False, f"{text}: bounded"
    if top > limit + _ROUNDING * size:
        return False, f"{text} is beyond the claim"
    if top < limit - _TIGHT * size:
        return False, f"{text} is all there is: the claim is not tight"
    return True, text


def lipschitz(scan: Scan, claimed: float) -> Finding:
    """Supremum of |gradient|, infinite where the value itself jumps."""
    if scan.value_jumps:
        jump = scan.value_jumps[0]
        where = f"y={jump.target:g}, f={jump.prediction:g}"
        return claimed == np.inf, f"the value jumps from {jump.before:.6g} to {jump.after:.6g} at {where}"
    found = scan.supremum(1, absolute=True)
    return bound("sup|gradient|", found, claimed, scan.scale(scan.triple[1]))


def smooth(scan: Scan, claimed: float) -> Finding:
    """Supremum of the curvature, infinite where the gradient or the value jumps."""
    for jump in (*scan.value_jumps, *scan.slope_jumps):
        where = f"y={jump.target:g}, f={jump.prediction:g}"
        return claimed == np.inf, f"a jump from {jump.before:.6g} to {jump.after:.6g} at {where}"
    return bound("sup curvature", scan.supremum(2), claimed, scan.scale(scan.triple[2]))


def strong(scan: Scan, claimed: float) -> Finding:
    """Infimum of the curvature."""
    lowest = scan.supremum(2, sign=-1.0)
    return bound("inf curvature", lowest, claimed, scan.scale(scan.triple[2]), sign=-1.0)


def convex(scan: Curves, claimed: bool) -> Finding:
    """No negative curvature, no falling gradient, no chord below the curve, across kinks and all scales."""
    found = _negative_curvature(scan) or _falling_gradient(scan) or _low_chord(scan)
    if found:
        return not claimed, found
    points = scan.grid[1].size
    return claimed, f"curvature >= 0, gradient rising and chords above the curve at {points} points"


def _negative_curvature(scan: Curves) -> str:
    y, f = scan.grid
    curvature = np.where(np.isfinite(scan.triple[2]), scan.triple[2], 0.0)
    worst = np.unravel_index(int(np.argmin(curvature)), f.shape)
    if curvature[worst] >= -_ROUNDING * scan.scale(scan.triple[2]):
        return ""
    return f"curvature = {curvature[worst]:.6g} at y={y[worst]:.6g}, f={f[worst]:.6g}"


def _falling_gradient(scan: Curves) -> str:
    y, f = scan.grid
    slope = scan.triple[1]
    with np.errstate(invalid="ignore"):
        fall = np.nan_to_num(slope[:, :-1] - slope[:, 1:], nan=0.0, posinf=0.0, neginf=0.0)
    size = np.minimum(np.abs(slope[:, 1:]), np.abs(slope[:, :-1])) + scan.scale(slope)
    excess = fall - _ROUNDING * size
    worst = np.unravel_index(int(np.argmax(excess)), excess.shape)
    if excess[worst] <= 0:
        return ""
    return f"gradient falls by {fall[worst]:.6g} after f={f[worst]:.6g} (y={y[worst]:.6g})"


def _low_chord(scan: Curves) -> str:
    y, f = scan.grid
    value = scan.triple[0]
    for stride in (1, 16, 128, 400):
        a, b = f[:, :-stride:3], f[:, stride::3]
        middle = 0.5 * a + 0.5 * b
        targets = np.broadcast_to(y[:, :1], a.shape)
        ends, center = (value[:, :-stride:3], value[:, stride::3]), scan.evaluate(targets, middle)[0]
        with np.errstate(invalid="ignore"):
            excess = center - 0.5 * ends[0] - 0.5 * ends[1]
            allowed = 1e-12 * (np.abs(ends[0]) + np.abs(ends[1])) + 1e-13 * scan.scale(value)
        excess = np.where(np.isfinite(excess), excess - allowed, 0.0)
        worst = np.unravel_index(int(np.argmax(excess)), excess.shape)
        if excess[worst] > 0:
            return f"the curve lies {excess[worst]:.3g} above its chord over f=[{a[worst]:.6g}, {b[worst]:.6g}]"
    return ""


def kinks(scan: Scan, claimed: tuple[float, ...]) -> Finding:
    """The gradient jumps at the claimed places, for every target, and nowhere else."""
    found = {float(_coordinate(scan, jump.target, jump.prediction)): jump for jump in scan.slope_jumps}
    for place, jump in found.items():
        if not any(_same(place, known, jump.target) for known in claimed):
            heights = f"{jump.before:.6g} to {jump.after:.6g}"
            return False, f"gradient jumps from {heights} at {place:.6g} (y={jump.target:g}), which is not claimed"
    for known in claimed:
        missing = _targets_without(scan, known)
        if missing:
            return False, f"no jump of the gradient at {known:g} for y={missing[0]:g}"
    if not claimed:
        return True, "no jump of the gradient found"
    return True, f"{len(scan.slope_jumps)} jumps found for {scan.targets.size} targets, all at {claimed}"


def _targets_without(scan: Scan, known: float) -> list[float]:
    missing = []
    for target in scan.targets:
        place = known / target if _by_margin(scan) else target + known
        if not scan.accepts(np.array([place]))[0]:
            continue
        near = [j for j in scan.slope_jumps if j.target == target and _same(j.prediction, place, target)]
        if not near:
            missing.append(float(target))
    return missing


def _by_margin(scan: Scan) -> bool:
    return isinstance(scan.loss.domain, Labels)


def _coordinate(scan: Scan, y: float, f: float) -> float:
    return y * f if _by_margin(scan) else f - y


def _same(a: float, b: float, target: float) -> bool:
    return abs(a - b) <= 1e-9 * (1e-3 + abs(a) + abs(b) + abs(target))


def symmetric(scan: Scan, claimed: bool) -> Finding:
    """Compare l(y, y + r) with l(y, y - r), or a sample with the one whose label is the other class."""
    y, f, other_y, other_f = _mirrored(scan)
    keep = scan.accepts(f) & scan.accepts(other_f)
    y, f, other_y, other_f = y[keep], f[keep], other_y[keep], other_f[keep]
    here, there = scan.evaluate(y, f)[0], scan.evaluate(other_y, other_f)[0]
    with np.errstate(invalid="ignore"):
        gap = np.where(here == there, 0.0, np.abs(here - there) / (np.abs(here) + np.abs(there)))
    gap = np.where(np.isnan(gap), np.inf, gap)
    worst = int(np.argmax(gap))
    if gap[worst] > 1e-11:
        pair = f"l({y[worst]:g}, {f[worst]:g}) = {here[worst]:.6g}"
        return not claimed, f"{pair} but l({other_y[worst]:g}, {other_f[worst]:g}) = {there[worst]:.6g}"
    return claimed, f"{f.size} mirrored pairs are equal"


def _mirrored(scan: Scan) -> tuple[Floats, Floats, Floats, Floats]:
    # Dyadic numbers, so that y + r and y - r are exact.
    sizes = np.concatenate([np.arange(1, 129) / 64.0, 2.0 ** np.arange(-12, 12)])
    if isinstance(scan.loss.domain, Labels):
        f = np.concatenate([sizes, -sizes])
        return np.full_like(f, 1.0), f, np.full_like(f, -1.0), -f
    if scan.loss.domain == UNIT:
        y, f = np.meshgrid([0.0, 1.0, 0.25, 0.5], np.concatenate([sizes, -sizes, [0.0]]))
        swapped = 1.0 - f if scan.inputs == "probabilities" else -f
        return y.ravel(), f.ravel(), 1.0 - y.ravel(), swapped.ravel()
    whole = np.array([0.0, 1.0, -1.0, 2.5, 64.0])
    y, r = np.meshgrid(whole[scan.loss.domain.contains(whole)], sizes)
    return y.ravel(), (y + r).ravel(), y.ravel(), (y - r).ravel()


def robust(scan: Scan, claimed: str) -> Finding:
    """Follow |gradient| while the residual grows, or the score says the wrong class ever louder."""
    sizes = 10.0 ** np.linspace(-4, 8, 49)
    largest = final = 0.0
    for y, f in _rays(scan, sizes):
        size = np.abs(scan.evaluate(y, f)[1])
        tops = [float(size[sizes <= level].max()) for level in (1e4, 1e6, 1e8)]
        if not tops[2] < np.inf or (tops[2] > 1.2 * tops[1] > 1.44 * tops[0]):
            where = f"{size[-1]:.3g} at y={y[-1]:.3g}, f={f[-1]:.3g}"
            return claimed == "no", f"|gradient| grows without bound, {where}"
        largest, final = max(largest, tops[2]), max(final, float(size[-1]))
    kind = "redescending" if final <= 0.01 * largest and largest > 0 else "bounded"
    return claimed == kind, f"{kind}: |gradient| reaches {largest:.6g} and ends at {final:.3g}"


def _rays(scan: Scan, sizes: Floats) -> list[tuple[Floats, Floats]]:
    still = np.ones_like(sizes)
    if isinstance(scan.loss.domain, Labels):
        return [(still, -sizes), (-still, sizes)]
    if scan.loss.domain == UNIT:
        if scan.inputs == "probabilities":
            wrong = 0.5 / (1.0 + sizes)
            return [(still, wrong), (0 * still, 1.0 - wrong)]
        return [(still, -sizes), (0 * still, sizes)]
    rays = [(y * still, s * sizes) for y in scan.targets if abs(y) <= 10 for s in (1, -1)]
    rays += [(s * sizes, f * still) for f in (0.0, 1.0) for s in (1, -1)]
    accepted = [(scan.loss.domain.contains(y) & scan.accepts(f)).all() for y, f in rays]
    return [ray for ray, good in zip(rays, accepted, strict=True) if good]


def constant_hessian(scan: Scan, claimed: bool) -> Finding:
    """One curvature for all targets and predictions, kinks apart."""
    curvature = scan.triple[2]
    finite = np.isfinite(curvature)
    low, high = float(curvature[finite].min()), float(curvature[finite].max())
    same = bool(finite.all()) and high - low <= _ROUNDING * max(abs(low), abs(high))
    return same == claimed, f"curvature from {low:.6g} to {high:.6g} over {curvature.size} points"
