"""Losses made of two straight lines, for many rows: the few rows near their kinks decide, the others are one plane.

From the solution of a sample it is known, up to sampling, which rows lie far from their kink, and on which side. Those
contribute a linear function. The interior point method works on the others only. The problem so made lies below the
true one everywhere, so that its minimum bounds the true one: one look at all rows gives the gap, and names the rows
whose side was guessed wrong; they join the others. For the preprocessing of quantile regression that this is,
see Portnoy and Koenker (1997), The Gaussian hare and the Laplacian tortoise, Statistical Science 12.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .interior import Tilt, interior
from .objective import Objective, is_sparse
from .passes import Model, Passes
from .progress import Descent, Progress
from .shards.blocks import Block, Whole
from .smoothing import Kink, Smoothed, kinks
from .survey import Survey

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

# Standard errors of the sample's solution that rows must be away from their kink to be taken for sure.
_ERRORS = 4.0
# How far from the walls the interior point method starts, in widths of the strip: at first, and where few rows are new.
_MARGINS = (0.3, 0.1)
# Least width of the strip, relative to the mean distance from the kinks.
_THIN = 0.01
# Share of the memory that rows near their kink may take.
_SHARE = 0.25
# Smoothing shrinks by this factor where a sample is too small to tell the rows apart; each stage takes a few passes.
_SHRINK = 0.2
# How much wider the strip becomes where the rows in it do not bound the problem.
_WIDER = 3.0
# Rounds after which what was reached is returned with its gap.
_ROUNDS = 30


def sifting_pays(objective: Objective) -> bool:
    """Tell whether a sample is so much smaller than the whole that it saves time."""
    n = objective.share.size
    return not is_sparse(objective.X) and n >= 4000 and 6 * sample_rows(objective) <= n


def sample_rows(objective: Objective) -> int:
    """Return how many rows the sample has: with those near their kinks it is about the least to work on."""
    n, p = objective.share.size, objective.size
    return int(max(0.7 * (_ERRORS * n * np.sqrt(0.25 * p)) ** (2.0 / 3.0), 20 * p))


def sifted_here(objective: Objective, kink: Kink, theta: Array, progress: Progress) -> Descent:
    """Minimise an objective whose rows are all in memory; arguments as for :func:`.interior.interior`."""
    progress.begin(objective, theta)
    used = np.flatnonzero(objective.share > 0.0)
    chosen = np.sort(np.random.default_rng(0).choice(used, min(sample_rows(objective), used.size), replace=False))
    part = objective.rows(chosen)
    part = replace(part, share=part.share / part.share.sum())
    block = Block(part.X, part.y, part.share)
    seen = Survey(used.size, 1.0, np.zeros(0), np.zeros(0), block)
    quiet = Progress(1e-3, progress.limit, progress.deadline, unit=progress.unit)
    own = Kink(kink.place[chosen], kink.left[chosen], kink.jump[chosen])
    start = interior(part, own, theta, quiet).theta
    whole = Whole(Block(objective.X, objective.y, objective.share))
    model = Model(objective.loss, objective.intercept, None, 1.0)
    passes = Passes(whole, model, objective.penalty, 0, objective.tally, objective.share.size)
    progress.count(passes)
    return sifted(passes, start, seen, part, progress)


def sifted(passes: Passes, theta: Array, seen: Survey, sample: Objective, progress: Progress) -> Descent:
    """Minimise an objective whose loss is linear on both sides of one kink a row.

    Parameters
    ----------
    passes : Passes
        The objective.
    theta : ndarray
        The solution of a sample, or another good start.
    seen : Survey
        Of the rows.
    sample : Objective
        Of the sample's rows.
    progress : Progress
        Limits and history; the tolerance is on the duality gap, as for :func:`.interior.interior`.
    """
    band = _band(passes, theta, seen, sample)
    theta, width = _near_enough(passes, theta, band, progress)
    sieve = _Sieve.gather(passes, theta, width)
    if not progress.history:
        progress.record(theta, sieve.value(theta), sieve.tilt.slope)
    best = Descent(theta, "stalled", np.inf)
    for turn in range(_ROUNDS):
        found = sieve.solve(theta, progress, _MARGINS[min(turn, 1)])
        with np.errstate(over="ignore", invalid="ignore"):  # without the far rows a problem may have no lower bound
            value, wrong = sieve.check(found.theta)
        if not np.isfinite(value):
            theta, sieve = sieve.centre, _Sieve.gather(passes, sieve.centre, _WIDER * sieve.width)
            continue
        # Without wrong rows the two differ by rounding only.
        below = max(value - sieve.value(found.theta), 0.0) if wrong.any else 0.0
        gap = below + (found.gap or 0.0)
        optimality = max(below / max(abs(value), 1e-300), found.optimality)
        progress.record(found.theta, value, np.full(1, optimality * progress.unit), gap)
        if optimality < best.optimality:
            best = Descent(found.theta, found.status, optimality, gap)
        if optimality <= progress.tolerance:
            return replace(best, status="converged")
        if (limit := progress.exhausted()) is not None:
            return replace(best, status=limit)
        if not wrong.any and found.status == "converged":
            return replace(best, status="converged" if found.optimality <= progress.tolerance else "stalled")
        theta, sieve = found.theta, sieve.mended(found, wrong)
    return replace(best, status="stalled")


@dataclass(frozen=True)
class _Band:
    """How wide a strip about the kinks must be, the share of rows in it, and the width and share that can be held."""

    width: float
    share: float
    most: float
    narrow: float


def _band(passes: Passes, theta: Array, seen: Survey, sample: Objective) -> _Band:
    found = kinks(sample.loss, np.asarray(sample.y, np.float64))[0]
    away = sample.raw(theta) - found.place
    above = float(sample.share @ (away > 0.0))
    rows = away.size
    error = np.sqrt(passes.size * max(above * (1.0 - above), 1.0 / rows) / rows)
    share = min(2.0 * _ERRORS * error + 2.0 * passes.size / rows, 1.0)
    # Where many rows lie on their kink, as whole numbers do, the strip has some width nevertheless.
    width = max(float(np.quantile(np.abs(away), share)), _THIN * float(np.abs(away).mean()), 1e-12)
    held = _SHARE * passes.shards.memory / (8.0 * (passes.size + 2))
    most = min(held / seen.rows, 1.0)
    return _Band(width, share, most, width * min(most / share, 1.0))


def _near_enough(passes: Passes, theta: Array, band: _Band, progress: Progress) -> tuple[Array, float]:
    """Come so near to the solution that the rows which are not sure fit in memory; return the width of their strip."""
    from .newton_passes import newton_passes

    width, share = band.width, band.share
    while share > band.most and progress.exhausted() is None:
        rounded = Passes(passes.shards, replace(passes.model, loss=Rounded(passes.model.loss, width)), passes.penalty)
        quiet = Progress(0.02 * share / progress.unit, 8, progress.deadline, unit=progress.unit)
        theta = newton_passes(rounded, theta, _unused(), quiet).theta
        passes.count += rounded.count
        width, share = _SHRINK * width, _SHRINK * share
    return theta, width


def _unused() -> Any:
    """Up to 1000 coefficients no sample is asked which to work on."""
    return _Nothing()


class _Nothing:
    def bare(self) -> _Nothing:
        return self

    def value_and_gradient(self, theta: Array) -> tuple[float, Array]:
        return 0.0, theta


@dataclass(frozen=True)
class Rounded:
    """A loss whose kinks are rounded off, wherever its rows are."""

    loss: Any
    width: float

    @property
    def tier(self) -> str:
        """That of the loss."""
        return str(self.loss.tier)

    @property
    def traits(self) -> Any:
        """Those of the loss."""
        return self.loss.traits

    def _smoothed(self, y: Array) -> Smoothed:
        return Smoothed(self.loss, kinks(self.loss, np.asarray(y, np.float64)), self.width)

    def value_and_gradient(self, y: Array, f: Array) -> tuple[Array, Array]:
        """Per-sample values and slopes."""
        return self._smoothed(y).value_and_gradient(np.asarray(y, np.float64), f)

    def hessian(self, y: Array, f: Array) -> Array:
        """Per-sample curvatures."""
        return self._smoothed(y).hessian(np.asarray(y, np.float64), f)


@dataclass(frozen=True)
class _Wrong:
    """Rows whose side was guessed wrong: numbers within their blocks, and the rows."""

    places: tuple[Index, ...]
    blocks: tuple[Block, ...]

    @property
    def any(self) -> bool:
        return any(place.size for place in self.places)

    @property
    def count(self) -> int:
        return sum(place.size for place in self.places)


@dataclass(frozen=True)
class _Gather:
    """Work on a block: the rows in the strip, and value and gradient of the others."""

    model: Model
    theta: Array
    width: float

    def __call__(self, block: Block) -> tuple[float, Array, Block]:
        part = self.model.part(block)
        away = _away(part, part.raw(self.theta))
        near = (np.abs(away) <= self.width) & (part.share > 0.0)
        share = np.where(near, 0.0, part.share)
        value, gradient = replace(part, share=share).value_and_gradient(self.theta)
        inside = np.flatnonzero(near)
        return value, gradient, Block(part.X[inside], part.y[inside], part.share[inside])


@dataclass(frozen=True)
class _Check:
    """Work on a block: the mean loss, and the rows outside the strip that are on the other side now."""

    model: Model
    before: Array
    width: float
    theta: Array

    def __call__(self, block: Block) -> tuple[float, Index, Block]:
        part = self.model.part(block)
        raw, away = part.raw(self.theta), _away(part, part.raw(self.before))
        value = float(part.share @ part.loss.value_and_gradient(part.y, raw)[0])
        wrong = (np.abs(away) > self.width) & (away * _away(part, raw) < 0.0) & (part.share > 0.0)
        places = np.flatnonzero(wrong)
        return value, places, Block(part.X[places], part.y[places], part.share[places])


def _away(part: Objective, raw: Array) -> Array:
    return np.asarray(raw - kinks(part.loss, np.asarray(part.y, np.float64))[0].place)


@dataclass(frozen=True)
class _Sieve:
    """The rows near their kinks, and the plane that the others are.

    Attributes
    ----------
    passes : Passes
        The objective.
    centre : ndarray
        Parameters at which rows were judged.
    width : float
        Of the strip.
    near : Objective
        Of the rows that are worked on, with their shares of the whole.
    tilt : Tilt
        The sum of the others.
    known : dict
        Rows outside the strip that have joined, by block.
    """

    passes: Passes
    centre: Array
    width: float
    near: Objective
    tilt: Tilt
    known: dict[int, Index] = field(default_factory=dict)

    @classmethod
    def gather(cls, passes: Passes, theta: Array, width: float) -> _Sieve:
        passes.count += 1
        value, gradient, blocks = 0.0, np.zeros(passes.size), []
        for own, slope, block in passes.shards.each(_Gather(passes.model, theta, width)):
            value, gradient = value + own, gradient + slope
            blocks.append(block)
        model = replace(passes.model, total=1.0)  # the weights of gathered rows are shares already
        near = replace(model.part(_stacked(blocks)), penalty=passes.penalty, tally=passes.tally)
        return cls(passes, theta, width, near, Tilt(theta, value, gradient))

    def solve(self, theta: Array, progress: Progress, margin: float) -> Descent:
        kink = kinks(self.near.loss, np.asarray(self.near.y, np.float64))[0]
        return interior(self.near, kink, theta, progress, self.tilt, margin * self.width)

    def value(self, theta: Array) -> float:
        return self.near.value(theta) + self.tilt.at(theta)

    def check(self, theta: Array) -> tuple[float, _Wrong]:
        """Return the true objective, and the rows that must join."""
        self.passes.count += 1
        work = _Check(self.passes.model, self.centre, self.width, theta)
        total, places, blocks = 0.0, [], []
        for i, (value, wrong, block) in enumerate(self.passes.shards.each(work)):
            total += value
            fresh = np.flatnonzero(~np.isin(wrong, self.known.get(i, np.zeros(0, np.intp))))
            places.append(wrong[fresh])
            blocks.append(Block(block.X[fresh], block.y[fresh], block.weights[fresh]))
        penalty = self.passes.penalty
        total += 0.0 if penalty is None else penalty.value(theta[: self.passes.coefficients])
        return total, _Wrong(tuple(places), tuple(blocks))

    def mended(self, found: Descent, wrong: _Wrong) -> _Sieve:
        """Let wrong rows join; where they are many, judge all rows anew from where we are, or look further around."""
        near = self.near.share.size
        if found.status != "converged" or wrong.count > 0.5 * near:
            if found.status != "converged":
                return _Sieve.gather(self.passes, self.centre, _WIDER * self.width)
            return _Sieve.gather(self.passes, found.theta, self.width)
        model = replace(self.passes.model, total=1.0)
        fresh = model.part(_stacked(wrong.blocks))
        value, gradient = fresh.value_and_gradient(self.centre)
        tilt = Tilt(self.centre, self.tilt.value - value, self.tilt.slope - gradient)
        both = _stacked([Block(self.near.X, self.near.y, self.near.share), Block(fresh.X, fresh.y, fresh.share)])
        none = np.zeros(0, np.intp)
        known = {i: np.append(self.known.get(i, none), place) for i, place in enumerate(wrong.places)}
        return replace(self, near=replace(self.near, X=both.X, y=both.y, share=both.weights), tilt=tilt, known=known)


def _stacked(blocks: Any) -> Block:
    from scipy.sparse import vstack

    if len(blocks) == 1:
        return blocks[0]  # type: ignore[no-any-return]
    tables = [block.X for block in blocks]
    X = vstack(tables, format="csr") if is_sparse(tables[0]) else np.concatenate(tables)
    return Block(X, np.concatenate([b.y for b in blocks]), np.concatenate([b.weights for b in blocks]))
