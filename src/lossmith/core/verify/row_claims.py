"""Verifiers for row-wise losses: norms of gradients, eigenvalues of Hessians, minimisers on the simplex."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np

from .curves import Extreme, Floats
from .rows import SIMPLEX, Lines, Rows
from .shape import Finding, bound
from .shape import convex as convex_on_lines

_TRUTHS = ((0.2, 0.5, 0.3), (0.7, 0.2, 0.1), (0.05, 0.35, 0.6), (0.32, 0.36, 0.32), (0.4, 0.35, 0.25))


# --- shape ----------------------------------------------------------------------------------------------


def lipschitz(rows: Rows, claimed: float) -> Finding:
    """Supremum of the gradient's norm."""
    return bound("sup|gradient|", rows.supremum(rows.norm, rows.norms), claimed, rows.scale(rows.norms))


def _largest(rows: Rows) -> list[Floats]:
    return [part[:, -1] for part in rows.spectra]


def smooth(rows: Rows, claimed: float) -> Finding:
    """Supremum of the Hessian's largest eigenvalue, infinite where the gradient jumps."""
    jumps = [place for line in _lines(rows) for place in _jumps(line)]
    if jumps:
        return claimed == np.inf, f"the gradient jumps at f={jumps[0][1]}"
    found = rows.supremum(lambda y, f: rows.eigenvalues(y, f)[:, -1], _largest(rows))
    return bound("sup eigenvalue", found, claimed, rows.scale(_largest(rows)))


def _lowest(rows: Rows) -> Extreme:
    return rows.supremum(lambda y, f: -rows.eigenvalues(y, f)[:, 0], [-part[:, 0] for part in rows.spectra])


def strong(rows: Rows, claimed: float) -> Finding:
    """Infimum of the Hessian's smallest eigenvalue."""
    return bound("inf eigenvalue", _lowest(rows), claimed, rows.scale(_largest(rows)), sign=-1.0)


@functools.lru_cache(maxsize=2)
def _lines(rows: Rows) -> list[Lines]:
    return [Lines(rows, k) for k in ((2,) if rows.space == "columns" else rows.class_counts[:2])]


def convex(rows: Rows, claimed: bool) -> Finding:
    """No negative eigenvalue, and convex along lines."""
    worst = _lowest(rows)
    if worst.value > 1e-9 * rows.scale(_largest(rows)):
        return not claimed, f"eigenvalue {-worst.value:.6g} at {worst.place}"
    found = [convex_on_lines(lines, True) for lines in _lines(rows)]
    refuted = [text for good, text in found if not good]
    return (not refuted) == claimed, refuted[0] if refuted else f"eigenvalues >= 0; on lines: {found[-1][1]}"


def kinks(rows: Rows, claimed: tuple[float, ...]) -> Finding:
    """Where the gradient jumps on lines through the domain, the label leads a rival by one of the claimed numbers."""
    lines = _lines(rows)
    jumps = [place for line in lines for place in _jumps(line)]
    if not jumps:
        return not claimed, f"no jump of the gradient on {sum(len(line.bundle[0]) for line in lines)} lines"
    if not claimed or rows.space == "columns":
        return False, f"the gradient jumps at y={jumps[0][0]}, f={jumps[0][1]}"
    leads = [np.delete(f[int(np.argmax(y))] - f, int(np.argmax(y))) for y, f in jumps]
    gaps = [float(np.abs(np.subtract.outer(lead, claimed)).min()) for lead in leads]
    if max(gaps) > 1e-4:
        return False, f"the gradient jumps where the label's leads are {leads[int(np.argmax(gaps))]}"
    reached = [min(float(np.abs(lead - kink).min()) for lead in leads) for kink in claimed]
    return max(reached) <= 1e-4, f"the gradient jumps at {len(jumps)} places, where a lead is one of {claimed}"


def _jumps(line: Lines) -> list[tuple[Floats, Floats]]:
    """Return targets and predictions where the gradient jumps on lines."""
    y, start, step = line.bundle
    at = [(int(jump.target), jump.prediction) for jump in line.slope_jumps]
    return [(y[number], start[number] + place * step[number]) for number, place in at]


def symmetric(rows: Rows, claimed: bool) -> Finding:
    """Swap two classes in targets and predictions; or mirror the first column at the target."""
    gaps = []
    for batch in rows.batches:
        keep = batch.extremity <= 1.5
        y, f = batch.y[keep], rows.predictions(batch.z[keep])
        if rows.space == "columns":
            other_y, other_f = y, np.stack([2 * y - f[:, 0], f[:, 1]], axis=1)
        else:
            other_y, other_f = np.roll(y, 1, axis=1), np.roll(f, 1, axis=1)
        here, there = rows.value(y, f), rows.value(other_y, other_f)
        with np.errstate(invalid="ignore"):
            gaps.append(np.where(here == there, 0.0, np.abs(here - there) / (1e-9 + np.abs(here))))
    gap = float(np.max(np.concatenate(gaps)))
    return (gap <= 1e-6) == claimed, f"mirrored samples differ by up to {gap:.3g} of the value"


def robust(rows: Rows, claimed: str) -> Finding:
    """Follow the gradient's norm while the right class is given ever less, or the residual grows."""
    sizes = 10.0 ** np.linspace(-2, 8, 41)
    largest = final = 0.0
    for y, f in _rays(rows, sizes):
        norm = rows.norm(y, f)
        tops = [float(norm[sizes <= level].max()) for level in (1e4, 1e6, 1e8)]
        if not tops[2] < np.inf or tops[2] > 1.2 * tops[1] > 1.44 * tops[0]:
            return claimed == "no", f"|gradient| grows without bound, {norm[-1]:.3g} at f={f[-1]}"
        largest, final = max(largest, tops[2]), max(final, float(norm[-1]))
    kind = "redescending" if final <= 0.01 * largest and largest > 0 else "bounded"
    return claimed == kind, f"{kind}: |gradient| reaches {largest:.6g} and ends at {final:.3g}"


def _rays(rows: Rows, sizes: Floats) -> list[tuple[Floats, Floats]]:
    if rows.space == "columns":
        still = np.ones_like(sizes)
        return [(s * sizes, rows.predictions(np.stack([still, 0 * still], axis=1))) for s in (1.0, -1.0)]
    rays = []
    for k in rows.class_counts:
        for label in range(min(k, 3)):
            y = np.tile(np.eye(k)[label], (sizes.size, 1))
            if rows.space == "logits":
                f = -sizes[:, None] * y
                rays.append((y, sizes[:, None] * np.roll(y, 1, axis=1)))
            else:
                share = 1.0 / (k + sizes)
                p = np.where(y == 1, share[:, None], ((1 - share) / (k - 1))[:, None])
                f = p if rows.space == "probabilities" else np.where(y == 1, -sizes[:, None], np.log(p))
            rays.append((y, f))
    return rays


def constant_hessian(rows: Rows, claimed: bool) -> Finding:
    """One matrix for all targets and predictions."""
    spread = 0.0
    for batch in rows.batches:
        keep = batch.extremity <= 1.5
        matrices = rows.loss.hessian(batch.y[keep], rows.predictions(batch.z[keep]))
        spread = max(spread, float(np.abs(matrices - matrices[0]).max()))
    return (spread <= 1e-12) == claimed, f"entries of the Hessian vary by {spread:.6g}"


# --- minimisers -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """The expected loss when classes have given probabilities."""

    rows: Rows
    truth: Floats

    def risk(self, z: Floats) -> Floats:
        """Return the expected loss of rows of coordinates."""
        risk = self._risk(self.rows.predictions(z))
        if self.rows.loss.inputs != "logits":
            return risk
        # Every shift of the logits stands for the same distribution; a loss may prefer the one that is normalised.
        level = np.log(np.exp(z - z.max(-1, keepdims=True)).sum(-1, keepdims=True)) + z.max(-1, keepdims=True)
        return np.minimum(risk, self._risk(z - level))

    def _risk(self, f: Floats) -> Floats:
        total = np.zeros(len(f))
        for label, weight in enumerate(self.truth):
            y = np.tile(np.eye(len(self.truth))[label], (len(f), 1))
            total = total + weight * self.rows.value(y, f)
        return total

    @functools.cached_property
    def lattice(self) -> Floats:
        """Coordinates of distributions all over the simplex."""
        k = len(self.truth)
        axis = np.arange(-8.0, 8.01, 0.5) if k <= 3 else np.arange(-6.0, 6.1, 2.0)
        return np.array([(0.0, *rest) for rest in itertools.product(axis, repeat=k - 1)])

    @functools.cached_property
    def minimiser(self) -> Floats:
        """The predicted distribution of smallest expected loss."""
        z = self.lattice
        steps = np.array([(0.0, *rest) for rest in itertools.product((-1, -0.5, 0, 0.5, 1), repeat=z.shape[1] - 1)])
        best, reach = z[int(np.argmin(self.risk(z)))], 1.0
        while reach > 1e-8:
            near = best + reach * steps
            risk = self.risk(near)
            at = int(np.argmin(risk))
            moved = risk[at] < self.risk(best[None])[0]
            best, reach = (near[at], reach) if moved else (best, 0.5 * reach)
        return distribution(best)


def distribution(z: Floats) -> Floats:
    """Softmax along the last axis."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def _draws(rows: Rows) -> list[Draw]:
    k = 3 if 3 in rows.class_counts else rows.class_counts[0]
    if k == 3:
        return [Draw(rows, np.array(truth)) for truth in _TRUTHS]
    return [Draw(rows, row) for row in np.random.default_rng(k).dirichlet(np.ones(min(k, 5)), 4)]


def proper(rows: Rows, claimed: bool) -> Finding:
    """Compare the minimiser with the true class probabilities, or with the true mean and variance."""
    found = _gaussian_gaps(rows) if rows.space == "columns" else _forecasts(rows)
    gap, text = max(found)
    return (gap <= 1e-4) == claimed, text


def _forecasts(rows: Rows) -> list[tuple[float, str]]:
    found = []
    for draw in _draws(rows):
        gap = float(np.abs(draw.minimiser - draw.truth).max())
        with np.printoptions(precision=5):
            found.append((gap, f"truth {draw.truth} is forecast as {draw.minimiser} (gap {gap:.2g})"))
    return found


def _gaussian_gaps(rows: Rows) -> list[tuple[float, str]]:
    """Forecast normal distributions, whose moments the Gauss-Hermite points have exactly."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    found = []
    for mean, spread in ((0.0, 1.0), (3.0, 0.5), (-2.0, 4.0)):
        center, reach = np.array([0.0, 0.0]), 8.0
        while reach > 1e-8:
            near = center + reach * np.array(list(itertools.product((-1, -0.5, 0, 0.5, 1), repeat=2)))
            y = np.tile(mean + spread * nodes, len(near))
            value = rows.value(y, rows.predictions(np.repeat(near, len(nodes), axis=0)))
            best = near[int(np.argmin(value.reshape(len(near), -1) @ weights))]
            center, reach = best, reach if (best != center).any() else 0.5 * reach
        forecast = rows.predictions(center[None])[0]
        truth = rows.predictions(np.array([[mean, 2 * np.log(spread)]]))[0]
        gap = float(np.abs(forecast - truth).max())
        found.append((gap, f"parameters {truth} are forecast as {np.round(forecast, 6)} (gap {gap:.2g})"))
    return found


def calibrated(rows: Rows, claimed: bool) -> Finding:
    """Demand that predictions with another class on top cost more than the best."""
    if rows.space not in SIMPLEX:
        return not claimed, "its predictions name no class, so there is nothing to be calibrated"
    for draw in _draws(rows):
        z = np.concatenate([draw.lattice, np.log(draw.minimiser)[None]])
        risk = draw.risk(z)
        top = int(np.argmax(draw.truth))
        wrong = np.delete(z, top, axis=1).max(axis=1) >= z[:, top]
        if risk[wrong].min() - risk.min() <= 1e-9 * abs(risk.min()):
            at = distribution(z[wrong][int(np.argmin(risk[wrong]))])
            return not claimed, f"truth {draw.truth}: the wrong class leads in the optimal {np.round(at, 4)}"
    return claimed, "predictions with another class on top cost more"


def elicits(rows: Rows, claimed: str) -> Finding:
    """Compare the minimiser with the mean of the targets, or with the distribution's parameters."""
    if rows.space == "columns":
        gap, text = max(_gaussian_gaps(rows))
        return ("distribution" if gap <= 1e-4 else "") == claimed, text
    gap, text = max(_forecasts(rows))
    return ("mean" if gap <= 1e-4 else "") == claimed, text


# --- task -----------------------------------------------------------------------------------------------


def task(rows: Rows, claimed: str) -> Finding:
    """Offer targets of the claimed task, which must be accepted, and others, which must be refused."""
    f = rows.predictions(np.array([[0.0, 0.5, -0.5]] * 2)) if rows.space in SIMPLEX else np.ones((2, 2))
    if rows.space in SIMPLEX and f.shape[1] not in rows.class_counts:
        f = rows.predictions(np.zeros((2, rows.class_counts[0])))
    k = f.shape[1]
    kinds = {
        "class labels": np.array([0, k - 1]),
        "rows of probabilities": np.full((2, k), 1.0 / k),
        "labels beyond the classes": np.array([0, k]),
        "numbers": np.array([0.5, -2.5]),
    }
    taken = [name for name, y in kinds.items() if _takes(rows, y, f)]
    wanted = {
        "multiclass": [["class labels", "rows of probabilities"], ["class labels"]],
        "distribution": [["rows of probabilities"], ["class labels", "labels beyond the classes", "numbers"]],
    }
    return taken in wanted.get(claimed, []), f"its targets are {', '.join(taken)}"


def _takes(rows: Rows, y: Floats, f: Floats) -> bool:
    try:
        rows.loss(y, f)
    except ValueError:
        return False
    return True
