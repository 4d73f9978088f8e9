"""Every loss with parameter instances, sample inputs and hard points. All laws are parametrised over it.

Whoever adds a loss adds a row here; ``test_registry.py`` fails until that has happened.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

import lossmith as lm
import oracle
import oracle_rows

Array = npt.NDArray[Any]
Draw = Callable[[np.random.Generator, int], tuple[Array, Array]]


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """One loss with its hyper-parameters and inputs to try it on.

    Attributes
    ----------
    loss : Loss
        The instance.
    draw : callable
        ``draw(rng, n)``: n valid random samples (targets, predictions).
    """

    loss: Any
    draw: Draw

    @property
    def id(self) -> str:
        return repr(self.loss)

    def sample(self, n: int = 40, seed: int = 0, dtype: Any = np.float64) -> tuple[Array, Array]:
        """Draw n valid samples with predictions of a dtype."""
        y, f = self.draw(np.random.default_rng(seed), n)
        return (y.astype(dtype) if y.dtype.kind == "f" else y), f.astype(dtype)


@dataclasses.dataclass(frozen=True, eq=False)
class ElementwiseCase(Case):
    """A loss of the elementwise tier, with its oracle.

    Attributes
    ----------
    truth : Truth
        The textbook formula.
    targets : tuple of float
        Hard targets.
    where : callable
        ``where(y, dtype)``: hard predictions for a target.
    """

    truth: oracle.Truth
    targets: tuple[float, ...]
    where: Callable[[float, Any], Array]

    def points(self, dtype: Any) -> tuple[Array, Array]:
        """Hard points and random ones, finite, as arrays of a dtype."""
        pairs: list[tuple[float, float]] = []
        with np.errstate(over="ignore"):
            for y in np.unique(np.asarray(self.targets, dtype)):
                found = self.where(float(y), dtype).astype(dtype)
                pairs += [(float(y), float(f)) for f in np.unique(found[np.isfinite(found)])]
        y, f = self.sample(60, dtype=dtype)
        return np.r_[np.array([p[0] for p in pairs], dtype), y], np.r_[np.array([p[1] for p in pairs], dtype), f]


# --- hard numbers -------------------------------------------------------------------------------------

MAGNITUDES = (
    5e-324, 1e-310, 1e-300, 1e-160, 1e-45, 1e-40, 1e-30, 1e-20, 1e-12, 1e-9, 1e-8, 1e-6, 1e-4, 1e-3, 0.01, 0.05,
    0.1, 0.25, 0.5, 0.9, 1.0, 1.5, 2.0, 3.0, 4.0, 5.5, 7.0, 10.0, 17.0, 20.0, 30.0, 36.7, 37.25, 40.0, 60.0, 88.0,
    104.0, 200.0, 345.0, 354.0, 372.0, 500.0, 700.0, 708.4, 709.0, 710.0, 744.0, 745.2, 746.0, 1e3, 1e4, 1e6,
)  # fmt: skip
HUGE = (1e10, 1e38, 1e100, 1e154, 1e200, 1e300)


def signed(magnitudes: tuple[float, ...]) -> Array:
    """Both signs of some magnitudes, with 0 and -0."""
    a = np.array(magnitudes)
    return np.r_[-a, -0.0, 0.0, a]


def neighbours(x: Array, dtype: Any) -> Array:
    """Each number with the next one on both sides."""
    x = np.asarray(x, dtype)
    return np.r_[np.nextafter(x, dtype(-np.inf)), x, np.nextafter(x, dtype(np.inf))]


def residuals(*kinks: float) -> Callable[[float, Any], Array]:
    """Predictions at hard distances from the target, and at kinks and their neighbours."""
    ends = np.array([0.0, *kinks, *(-k for k in kinks)])

    def where(y: float, dtype: Any) -> Array:
        distance = signed(MAGNITUDES + HUGE) if y == 0 else signed(MAGNITUDES)
        return np.r_[(y + distance).astype(dtype), neighbours((y + ends).astype(dtype), dtype)]

    return where


def logits(*kinks: float) -> Callable[[float, Any], Array]:
    """Scores on the whole line, with neighbours of kinks."""

    def where(y: float, dtype: Any) -> Array:
        grid = signed((*MAGNITUDES, 1e300))
        return np.r_[grid.astype(dtype), neighbours(np.array([0.0, *kinks]), dtype)]

    return where


def probabilities(y: float, dtype: Any) -> Array:
    """Numbers in [0, 1], close to both ends."""
    small = np.array([0.0, 5e-324, 1e-310, 1e-300, 1e-160, 1e-154, 1e-100, 1e-45, 1e-40, 1e-30, 1e-16, 1e-9, 1e-4])
    middle = np.array([0.01, 0.1, 0.3, 0.45, 0.499, 0.5, 0.501, 0.6, 0.75, 0.9, 0.99, 0.999, 1 - 1e-6])
    eps = float(np.finfo(dtype).epsneg)
    return np.r_[small.astype(dtype), middle, 1 - eps, 1 - 2 * eps, 1 - 3 * eps, 1.0].astype(dtype)


def log_rates(y: float, dtype: Any) -> Array:
    """Log-rates, also next to the minimum f = log y."""
    root = [np.log(y)] if y > 0 else [0.0]
    return np.r_[signed(tuple(m for m in MAGNITUDES if m <= 1e4)).astype(dtype), neighbours(np.array(root), dtype)]


def rates(y: float, dtype: Any) -> Array:
    """Rates from 0 to very large, also next to the minimum f = y."""
    return np.r_[np.array((0.0, *MAGNITUDES, *HUGE)), np.abs(neighbours(np.array([y, 1.0]), dtype))]


# --- random samples -----------------------------------------------------------------------------------


def draw_real(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    y = rng.normal(0, 3, n)
    return y, y + rng.normal(0, 1, n) * 10.0 ** rng.uniform(-3, 2, n)


def draw_binary(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    return (rng.random(n) < 0.5).astype(float), rng.normal(0, 1, n) * 10.0 ** rng.uniform(-2, 2, n)


def draw_signs(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    y, f = draw_binary(rng, n)
    return 2 * y - 1, f


def draw_binary_probability(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    y, f = draw_binary(rng, n)
    return y, np.clip(1 / (1 + np.exp(-f)), 1e-6, 1 - 1e-6)


def draw_count(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    return rng.poisson(3.0, n).astype(float), rng.normal(0.5, 1.5, n)


def draw_count_rate(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    y, f = draw_count(rng, n)
    return y, np.exp(f)


def draw_positive(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    return rng.gamma(2.0, 1.5, n) + 0.01, rng.normal(0.5, 1.5, n)


REAL_TARGETS = (0.0, 1.0, -2.5, 0.1, 1e-300, 3e5)
SOFT_LABELS = (0.0, 1.0, 0.3, 0.5, 0.999, 1e-12)
COUNTS = (0.0, 1.0, 2.0, 7.0, 0.5, 1e6)


def _real(loss: Any, truth: oracle.Truth, *kinks: float) -> ElementwiseCase:
    return ElementwiseCase(loss, draw_real, truth, REAL_TARGETS, residuals(*kinks))


def _regression() -> Iterator[Case]:
    yield _real(lm.MeanSquaredError(), oracle.mse)
    yield _real(lm.MeanAbsoluteError(), oracle.mae)
    for delta in (1.0, 1.35, 1e-3, 50.0):
        yield _real(lm.Huber(delta=delta), oracle.huber, delta)
    for q in (0.5, 0.9, 0.001):
        yield _real(lm.Quantile(q=q), oracle.quantile)
    yield _real(lm.LogCosh(), oracle.log_cosh, 1.0, 0.5)
    for delta in (1.0, 0.03, 50.0):
        yield _real(lm.PseudoHuber(delta=delta), oracle.pseudo_huber, delta)
    for c in (4.685, 1.0, 0.3):
        yield _real(lm.Tukey(c=c), oracle.tukey, c, c / 5**0.5)


def _binary() -> Iterator[Case]:
    yield ElementwiseCase(lm.BinaryCrossEntropy(), draw_binary, oracle.bce_logits, SOFT_LABELS, logits())
    yield ElementwiseCase(
        lm.BinaryCrossEntropy(inputs="probabilities"),
        draw_binary_probability,
        oracle.bce_probabilities,
        SOFT_LABELS,
        probabilities,
    )

    for inputs, draw, truth, where in (
        ("logits", draw_binary, oracle.focal_logits, logits()),
        ("probabilities", draw_binary_probability, oracle.focal_probabilities, probabilities),
    ):
        settings = [
            (2.0, None),
            (0.0, 0.25),
            (0.5, None),
            (1.0, None),
            (2.0, 0.25),
            (3.5, 0.9),
            (0.7, None),
            (4.2, 0.3),
            (10.0, None),
            (30.0, 0.3),
        ]
        for gamma, alpha in settings + [(300.0, None)] * (inputs == "logits"):
            loss = lm.BinaryFocal(inputs=inputs, gamma=gamma, alpha=alpha)
            yield ElementwiseCase(loss, draw, truth, (0.0, 1.0, 0.3), where)
    for loss, truth in ((lm.Hinge(), oracle.hinge), (lm.SquaredHinge(), oracle.squared_hinge)):
        yield ElementwiseCase(loss, draw_signs, truth, (-1.0, 1.0), logits(-1.0, 1.0))


def _counts() -> Iterator[Case]:
    yield ElementwiseCase(lm.PoissonNLL(), draw_count, oracle.poisson_log_rate, COUNTS, log_rates)
    yield ElementwiseCase(lm.PoissonNLL(inputs="rate"), draw_count_rate, oracle.poisson_rate, COUNTS, rates)
    yield ElementwiseCase(lm.GammaNLL(), draw_positive, oracle.gamma, COUNTS[1:], log_rates)
    for power in (1.5, 1.01, 1.9):
        yield ElementwiseCase(lm.Tweedie(power=power), draw_count, oracle.tweedie, COUNTS, log_rates)


# --- rows ---------------------------------------------------------------------------------------------


def draw_labels(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    return rng.integers(0, 3, n), rng.normal(0, 1, (n, 3)) * 10.0 ** rng.uniform(-1, 1, (n, 1))


def draw_soft_rows(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    return rng.dirichlet(np.ones(3), n), draw_labels(rng, n)[1]


def as_probabilities(draw: Draw) -> Draw:
    """The same samples with probabilities for predictions."""

    def drawn(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        y, z = draw(rng, n)
        e = np.exp(np.clip(z - z.max(-1, keepdims=True), -8, 0))
        return y, e / e.sum(-1, keepdims=True)

    return drawn


def as_log_probabilities(draw: Draw) -> Draw:
    """The same samples with log-probabilities for predictions."""

    def drawn(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        y, p = as_probabilities(draw)(rng, n)
        return y, np.log(p)

    return drawn


def draw_log_variance(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    return rng.normal(0, 2, n), np.stack([rng.normal(0, 2, n), rng.normal(0, 1.5, n)], -1)


def draw_variance(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    y, f = draw_log_variance(rng, n)
    return y, np.stack([f[:, 0], np.exp(f[:, 1])], -1)


def draw_gamma(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    return rng.gamma(2.0, 1.0, n) + 0.1, np.stack(
        [rng.uniform(1.5, 4, n), 0 * rng.random(n) - 0.05, rng.uniform(0.5, 2, n)], -1
    )


@dataclasses.dataclass(frozen=True, eq=False)
class RowCase(Case):
    """A loss of the row-wise tier.

    Attributes
    ----------
    truth : callable
        ``truth(y, row)``: the textbook value of one sample with mpmath numbers; None where a distribution's
        density is SciPy's.
    differences : bool
        The loss's own derivatives are finite differences.
    """

    truth: oracle_rows.RowFormula | None = None
    differences: bool = False


def _rows() -> Iterator[Case]:
    for draw in (draw_labels, draw_soft_rows):
        yield RowCase(lm.CategoricalCrossEntropy(), draw, oracle_rows.cross_entropy())
        yield RowCase(
            lm.CategoricalCrossEntropy(inputs="probabilities"),
            as_probabilities(draw),
            oracle_rows.cross_entropy(logits=False),
        )
        weights = (1.0, 3.0, 0.5)
        yield RowCase(
            lm.CategoricalCrossEntropy(label_smoothing=0.1, class_weights=weights),
            draw,
            oracle_rows.cross_entropy(smoothing=0.1, weights=weights),
        )
        yield RowCase(
            lm.CategoricalCrossEntropy(label_smoothing=0.1, z_loss=0.01),
            draw,
            oracle_rows.cross_entropy(smoothing=0.1, z_loss=0.01),
        )
        for gamma in (2.0, 0.5):
            yield RowCase(lm.CategoricalFocal(gamma=gamma), draw, oracle_rows.cross_entropy(gamma=gamma))
        yield RowCase(
            lm.CategoricalFocal(inputs="probabilities", gamma=2.0, alpha=weights),
            as_probabilities(draw),
            oracle_rows.cross_entropy(gamma=2.0, weights=weights, logits=False),
        )
    for power, margin, given in ((1, 1.0, None), (2, 1.0, None), (1, 0.3, weights), (2, 0.0, weights)):
        yield RowCase(
            lm.MultiMargin(p=power, margin=margin, class_weights=given),
            draw_labels,
            oracle_rows.multi_margin(power=power, margin=margin, weights=given),
        )
    soft = draw_soft_rows
    yield RowCase(lm.KLDivergence(), soft, oracle_rows.kl_logits)
    yield RowCase(lm.KLDivergence(inputs="probabilities"), as_probabilities(soft), oracle_rows.kl_probabilities)
    yield RowCase(
        lm.KLDivergence(inputs="log_probabilities"), as_log_probabilities(soft), oracle_rows.kl_log_probabilities
    )


def _likelihoods() -> Iterator[Case]:
    yield RowCase(lm.GaussianNLL(), draw_log_variance, oracle_rows.gaussian_log_variance)
    yield RowCase(lm.GaussianNLL(inputs="variance"), draw_variance, oracle_rows.gaussian_variance)
    yield RowCase(lm.GaussianNLL(full=False), draw_log_variance, oracle_rows.gaussian_without_constant)
    yield RowCase(lm.NegativeLogLikelihood("norm"), draw_variance, oracle_rows.normal_scale, differences=True)
    yield RowCase(lm.NegativeLogLikelihood("gamma"), draw_gamma, oracle_rows.gamma_density, differences=True)


def _composed() -> Iterator[Case]:
    yield Case(lm.WeightedSum(("mse", "mae"), (1.0, 0.5)), draw_real)


def _structured() -> Iterator[Case]:
    """Their laws stand in tests/structured; here they are part of what saves, loads and is registered."""

    def embedded(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        return rng.integers(0, 3, n), rng.normal(0, 1, (n, 4))

    def paired(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        return np.arange(2 * n).reshape(2, n).T, rng.normal(0, 1, (2 * n, 4))

    def sequences(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        return rng.integers(1, 3, (n, 2)), rng.normal(0, 2, (n, 6, 3))

    def masks(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        return rng.integers(0, 2, (n, 6)), rng.random((n, 6))

    for selection in ("all", "hard"):
        yield Case(lm.Triplet(selection=selection), embedded)
    yield Case(lm.Contrastive(margin=2.0), embedded)
    yield Case(lm.NTXent(), embedded)
    yield Case(lm.InfoNCE(), paired)
    yield Case(lm.CTC(), sequences)
    yield Case(lm.Dice(), masks)


CASES: tuple[Case, ...] = (
    *_regression(),
    *_binary(),
    *_counts(),
    *_rows(),
    *_likelihoods(),
    *_composed(),
    *_structured(),
)
ELEMENTWISE = tuple(case for case in CASES if isinstance(case, ElementwiseCase))
ROWS = tuple(case for case in CASES if isinstance(case, RowCase))
