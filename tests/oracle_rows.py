"""Textbook values of losses on a row of predictions; their derivatives are mpmath's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mpmath import mp, mpf

Row = Sequence[Any]
RowFormula = Callable[[Any, Row], Any]


def _softmax(z: Row) -> list[Any]:
    total = sum(mp.exp(v) for v in z)
    return [mp.exp(v) / total for v in z]


def _target_row(y: Any, k: int) -> list[Any]:
    if isinstance(y, int):
        return [mpf(int(i == y)) for i in range(k)]
    return [mpf(v) for v in y]


def cross_entropy(
    *,
    smoothing: float = 0.0,
    weights: Sequence[float] | None = None,
    gamma: float = 0.0,
    logits: bool = True,
    z_loss: float = 0.0,
) -> RowFormula:
    """-sum_k w_k t_k ((1 - p_k)^gamma log p_k - z_loss (log sum exp z)^2) with t the smoothed target."""

    def value(y: Any, f: Row) -> Any:
        k = len(f)
        p = _softmax(f) if logits else list(f)
        target = [(1 - mpf(smoothing)) * t + mpf(smoothing) / k for t in _target_row(y, k)]
        w = weights or [1.0] * k
        terms = zip(w, target, p, strict=True)
        price = sum(-mpf(a) * t * (1 - q) ** mpf(gamma) * mp.log(q) for a, t, q in terms if t != 0)
        if z_loss == 0.0:
            return price
        level = mp.log(sum(mp.exp(v) for v in f))
        return price + mpf(z_loss) * level**2 * sum(mpf(a) * t for a, t in zip(w, target, strict=True))

    return value


def multi_margin(*, power: int = 1, margin: float = 1.0, weights: Sequence[float] | None = None) -> RowFormula:
    """w_y / k sum over j != y of max(0, margin - f_y + f_j)^power; for target rows its expectation."""

    def of_label(y: int, f: Row) -> Any:
        w = mpf((weights or [1.0] * len(f))[y])
        return w / len(f) * sum(max(mpf(0), mpf(margin) - f[y] + v) ** power for j, v in enumerate(f) if j != y)

    def value(y: Any, f: Row) -> Any:
        return sum(t * of_label(i, f) for i, t in enumerate(_target_row(y, len(f))) if t != 0)

    return value


def kl_probabilities(y: Any, q: Row) -> Any:
    """KL of two distributions."""
    return sum(mpf(p) * mp.log(mpf(p) / b) for p, b in zip(y, q, strict=True) if p != 0)


def kl_log_probabilities(y: Any, f: Row) -> Any:
    return kl_probabilities(y, [mp.exp(v) for v in f])


def kl_logits(y: Any, z: Row) -> Any:
    return kl_probabilities(y, _softmax(z))


def gaussian_variance(y: Any, f: Row) -> Any:
    return mp.log(2 * mp.pi * f[1]) / 2 + (y - f[0]) ** 2 / (2 * f[1])


def gaussian_log_variance(y: Any, f: Row) -> Any:
    return gaussian_variance(y, [f[0], mp.exp(f[1])])


def gaussian_without_constant(y: Any, f: Row) -> Any:
    return gaussian_log_variance(y, f) - mp.log(2 * mp.pi) / 2


def normal_scale(y: Any, f: Row) -> Any:
    """SciPy's norm: loc and scale."""
    return gaussian_variance(y, [f[0], f[1] ** 2])


def gamma_density(y: Any, f: Row) -> Any:
    """SciPy's gamma: shape a, loc, scale."""
    a, loc, scale = f
    x = (y - loc) / scale
    return mp.loggamma(a) + mp.log(scale) - (a - 1) * mp.log(x) + x


def _number(y: Any) -> Any:
    return y if isinstance(y, int | list | tuple) else mpf(y)


def exact_row(formula: RowFormula, y: Any, f: Sequence[float], orders: tuple[int, ...] | None = None) -> Any:
    """Evaluate a formula or one of its partial derivatives, with digits for margins of hundreds."""
    spread = max(f) - min(f)
    with mp.workdps(50 + int(min(spread, 700.0) * 0.45)):
        row = tuple(mpf(float(v)) for v in f)
        if orders is None:
            return formula(_number(y), row)
        return mp.diff(lambda *x: formula(_number(y), x), row, orders)


def gradient(formula: RowFormula, y: Any, f: Sequence[float]) -> list[Any]:
    """All first derivatives."""
    k = len(f)
    return [exact_row(formula, y, f, tuple(int(i == j) for i in range(k))) for j in range(k)]


def hessian(formula: RowFormula, y: Any, f: Sequence[float]) -> list[list[Any]]:
    """All second derivatives."""
    k = len(f)

    def entry(a: int, b: int) -> Any:
        return exact_row(formula, y, f, tuple(int(i == a) + int(i == b) for i in range(k)))

    return [[entry(a, b) for b in range(k)] for a in range(k)]
