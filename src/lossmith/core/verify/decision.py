"""Verifiers of what an elementwise loss asks for: minimise its expectation and look at the minimiser."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..domain import Labels
from .curves import Floats
from .scan import Scan
from .shape import Finding

Link = Callable[[Floats], Floats]


def _sigmoid(f: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-f)))


def _identity(f: Floats) -> Floats:
    return f


# From what a loss's ``inputs`` are called to the scale of the target.
_LINKS: dict[str, Link] = {"logits": _sigmoid, "log_rate": lambda f: np.exp(f)}
_CHANCES = (0.05, 0.2, 0.35, 0.45, 0.55, 0.7, 0.8, 0.95)
_CLASSES = ("binary",)
# A loss with a scale of its own looks like the square, or like the absolute value, on another scale.
_SCALES = (0.01, 1.0, 100.0)
_SKEWED: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...] = (
    ((1, 2, 3, 10), (0.31, 0.24, 0.26, 0.19)),
    ((1, 2, 4, 5, 20), (0.13, 0.11, 0.33, 0.26, 0.17)),
    ((1, 9, 10, 12), (0.22, 0.19, 0.36, 0.23)),
    ((-3, -1, 0, 4, 5, 6), (0.21, 0.13, 0.12, 0.17, 0.04, 0.33)),
)


@dataclass(frozen=True)
class Mixture:
    """A distribution of the target on few points, and the expected loss under it."""

    scan: Scan
    atoms: Floats
    weights: Floats

    def risk(self, f: Floats) -> Floats:
        """Return the expected loss of constant predictions."""
        y, all_f = np.meshgrid(self.atoms, f)
        value = self.scan.evaluate(y, all_f)[0]
        with np.errstate(invalid="ignore"):
            expected = np.where(self.weights > 0, value * self.weights, 0.0).sum(axis=1)
        return np.where(np.isnan(expected), np.inf, expected)

    @functools.cached_property
    def candidates(self) -> Floats:
        """Predictions among which the minimiser is looked for first."""
        wide = self.scan.around(0.0)[::6]
        between = np.linspace(self.atoms.min(), self.atoms.max(), 301)
        found = np.unique(np.concatenate([wide, between, self.atoms]))
        return found[self.scan.accepts(found)]

    @functools.cached_property
    def minimiser(self) -> float:
        """The prediction of smallest expected loss."""
        f = self.candidates
        for _ in range(9):
            place = int(np.argmin(self.risk(f)))
            best, low, high = f[place], f[max(place - 1, 0)], f[min(place + 1, f.size - 1)]
            f = np.unique(np.append(np.linspace(low, high, 41), best))
        return float(best)


def _chance(scan: Scan, eta: float) -> Mixture:
    """Two classes, the second with probability eta."""
    domain = scan.loss.domain
    codes = domain.codes if isinstance(domain, Labels) else (0.0, 1.0)
    return Mixture(scan, np.array(codes), np.array([1.0 - eta, eta]))


def _mixtures(scan: Scan) -> list[Mixture]:
    if scan.loss.traits.task in _CLASSES:
        return [_chance(scan, eta) for eta in _CHANCES]
    spread = np.arange(43)
    # Unequal gaps and weights tell mean, median and mode apart.
    many = (-8.0 * np.log1p(-(spread + 0.5) / 43), 1.0 + 0.3 * np.sin(spread) + 2.0 * (spread == 17))
    pairs = [(scale * np.array(a), np.array(w)) for a, w in (*_SKEWED, many) for scale in _SCALES]
    return [Mixture(scan, a, w / w.sum()) for a, w in pairs if scan.loss.domain.contains(a).all()]


def _on_target_scale(scan: Scan, f: float) -> float:
    return float(_LINKS.get(scan.inputs, _identity)(np.array(f)))


# --- proper and calibrated ------------------------------------------------------------------------------


def proper(scan: Scan, claimed: bool) -> Finding:
    """Compare the minimiser, through the link, with the true probability or rate."""
    task = scan.loss.traits.task
    if task == "count":
        mixtures = [_poisson(scan, rate) for rate in (0.5, 3.0, 9.0)]
        return _proper(claimed, [(mixture, float(mixture.atoms @ mixture.weights)) for mixture in mixtures])
    if task not in _CLASSES:
        return not claimed, f"a {task} prediction is no probability, so nothing is proper about it"
    if isinstance(scan.loss.domain, Labels):
        # A margin loss has no link of its own; the logistic one is the one its users would apply.
        pairs = [(float(_sigmoid(np.array(_chance(scan, eta).minimiser))), eta) for eta in _CHANCES]
        return _closeness(claimed, pairs)
    return _proper(claimed, [(_chance(scan, eta), eta) for eta in _CHANCES])


def _proper(claimed: bool, truths: list[tuple[Mixture, float]]) -> Finding:
    return _closeness(claimed, [(_on_target_scale(m.scan, m.minimiser), truth) for m, truth in truths])


def _closeness(claimed: bool, pairs: list[tuple[float, float]]) -> Finding:
    worst = max(pairs, key=lambda pair: abs(pair[0] - pair[1]))
    gap = abs(worst[0] - worst[1])
    held = (gap <= 1e-4 * max(1.0, worst[1])) == claimed
    return held, f"truth {worst[1]:g} is forecast as {worst[0]:.6g} (gap {gap:.2g}, worst of {len(pairs)})"


def _poisson(scan: Scan, rate: float) -> Mixture:
    """Poisson's distribution on those counts that the loss accepts."""
    counts = np.arange(80.0)
    logs = counts * np.log(rate) - np.cumsum(np.log(np.maximum(counts, 1.0)))
    weights = np.exp(logs - logs.max()) * scan.loss.domain.contains(counts)
    counts, weights = counts[weights > 0], weights[weights > 0]
    return Mixture(scan, counts, weights / weights.sum())


def calibrated(scan: Scan, claimed: bool) -> Finding:
    """Demand that predictions of the wrong sign cost more than the best, for many class probabilities."""
    task = scan.loss.traits.task
    if task not in _CLASSES:
        return not claimed, f"a {task} prediction names no class, so there is no sign to be calibrated"
    middle = 0.5 if scan.inputs == "probabilities" else 0.0
    for eta in _CHANCES:
        mixture = _chance(scan, eta)
        f = np.append(mixture.candidates, mixture.minimiser)
        risk = mixture.risk(f)
        wrong = (f - middle) * (eta - 0.5) <= 0
        excess = float(risk[wrong].min() - risk.min())
        if excess <= 1e-9 * abs(float(risk.min())):
            at = float(f[wrong][np.argmin(risk[wrong])])
            return not claimed, f"at probability {eta} the prediction {at:.4g} of the wrong sign is optimal"
    return claimed, f"predictions of the wrong sign cost more for all {len(_CHANCES)} probabilities"


# --- elicits ---------------------------------------------------------------------------------------------


def elicits(scan: Scan, claimed: str) -> Finding:
    """Compare minimisers under skewed distributions with every functional that has a name."""
    mixtures = _mixtures(scan)
    points = [_on_target_scale(scan, mixture.minimiser) for mixture in mixtures]
    tests = _sign_tests if scan.loss.traits.task in _CLASSES else _functional_tests
    matches = [name for name, gap in tests(scan, mixtures, points).items() if gap <= 1e-4]
    shown = ", ".join(f"{point:.5g}" for point in points[:4])
    means = ", ".join(f"{float(m.atoms @ m.weights):.5g}" for m in mixtures[:4])
    found = " and ".join(matches) or "no functional with a name"
    text = f"{len(points)} minimisers {shown} ... (means {means} ...) are: {found}"
    return (claimed in matches) if claimed else not matches, text


def _sign_tests(scan: Scan, mixtures: list[Mixture], points: list[float]) -> dict[str, float]:
    means = [float(m.atoms @ m.weights) for m in mixtures]
    middle = float(mixtures[0].atoms.mean())
    majority = [float(m.atoms[int(np.argmax(m.weights))]) for m in mixtures]
    sides = [(point - middle) * (label - middle) > 0 for point, label in zip(points, majority, strict=True)]
    spread = max(_spread(points, majority, label) for label in set(majority))
    return {"mean": _largest_gap(points, means, mixtures), "sign": spread if all(sides) else np.inf}


def _spread(points: list[float], majority: list[float], label: float) -> float:
    """How much a minimiser depends on more than the sign of the Bayes rule."""
    same = [point for point, other in zip(points, majority, strict=True) if other == label]
    return max(same) - min(same)


def _functional_tests(scan: Scan, mixtures: list[Mixture], points: list[float]) -> dict[str, float]:
    level = dataclasses.asdict(scan.loss).get("q")
    gaps = {
        "mean": _largest_gap(points, [float(m.atoms @ m.weights) for m in mixtures], mixtures),
        "median": _largest_gap(points, [_quantile(m, 0.5) for m in mixtures], mixtures),
        "mode": _largest_gap(points, [float(m.atoms[np.argmax(m.weights)]) for m in mixtures], mixtures),
        "quantile": _largest_gap(points, [_quantile(m, level or 0.5) for m in mixtures], mixtures),
    }
    expectile_levels = [_expectile_level(m, point) for m, point in zip(mixtures, points, strict=True)]
    wanted = [level] if level else []
    gaps["expectile"] = float(np.ptp([*expectile_levels, *wanted]))
    return gaps


def _largest_gap(points: list[float], truths: list[float], mixtures: list[Mixture]) -> float:
    pairs = zip(points, truths, mixtures, strict=True)
    return max(abs(point - truth) / float(np.ptp(m.atoms)) for point, truth, m in pairs)


def _quantile(mixture: Mixture, level: float) -> float:
    order = np.argsort(mixture.atoms)
    place = np.searchsorted(np.cumsum(mixture.weights[order]), level)
    return float(mixture.atoms[order][place])


def _expectile_level(mixture: Mixture, point: float) -> float:
    """The level at which a point is the expectile."""
    above = float(mixture.weights @ np.maximum(mixture.atoms - point, 0.0))
    below = float(mixture.weights @ np.maximum(point - mixture.atoms, 0.0))
    return below / (above + below)


# --- task ------------------------------------------------------------------------------------------------

_ACCEPTED: dict[str, tuple[tuple[float, ...], ...]] = {
    "regression": ((0.5, 2.5, 1e6),),
    "count": ((0.0, 1.0, 7.0), (0.5, 1.0, 7.0)),
    "binary": ((0.0, 1.0), (-1.0, 1.0)),
}
_REFUSED: dict[str, tuple[float, ...]] = {"regression": (), "count": (-1.0,), "binary": (2.0, -2.0)}


def task(scan: Scan, claimed: str) -> Finding:
    """Offer targets of the claimed task, which must be accepted, and others, which must be refused."""
    if claimed not in _ACCEPTED:
        return False, f"elementwise losses serve {', '.join(_ACCEPTED)}"
    domain = scan.loss.domain
    if not any(domain.contains(np.array(codes)).all() for codes in _ACCEPTED[claimed]):
        return False, f"its targets are {domain}: no targets of a {claimed} task"
    taken = [code for code in _REFUSED[claimed] if domain.contains(np.array([code]))[0]]
    if taken:
        return False, f"its targets are {domain}: {taken[0]:g} is no target of a {claimed} task"
    return True, f"its targets are {domain}"
