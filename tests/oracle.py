"""Textbook formulas, evaluated to as many digits as they need. Nothing here knows lossmith.

Every formula is written as a textbook writes it, cancellations and all; precision does the rest. Where a
function has a kink the documented convention applies: the subgradient nearest to 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from mpmath import mp, mpf

Formula = Callable[..., Any]
ORDERS = ("value", "gradient", "hessian")
_MOST_DIGITS = 1000  # nothing below 1e-400 survives rounding to a double


def _zero(*_: Any) -> Any:
    return mpf(0)


@dataclasses.dataclass(frozen=True)
class Truth:
    """A loss as the literature has it, as functions of (y, f, *parameters).

    Attributes
    ----------
    value, gradient, hessian : callable
        The formulas; the derivatives are by f.
    limits : callable
        ``limits(y, sign, *parameters)``: value, gradient and Hessian as f goes to sign * infinity.
    terms : dict
        For an order whose formula has a root away from f = y: its largest term. The error next to the root
        is measured in ulp of that term.
    """

    value: Formula
    gradient: Formula
    hessian: Formula
    limits: Formula
    terms: dict[str, Formula] = dataclasses.field(default_factory=dict)


# --- evaluation ---------------------------------------------------------------------------------------


def exact(function: Formula, *arguments: Any) -> Any:
    """Raise the precision until two evaluations agree to 30 digits."""
    sizes = [abs(float(a)) for a in arguments[:2] if a != 0]
    spread = np.log10(max(1.0, *sizes)) - np.log10(min(1.0, *sizes)) if sizes else 0.0
    # enough to add the arguments exactly, and to subtract exp(-|f|) from 1
    digits = 60 + int(spread) + int(min(max(sizes, default=0.0), 900.0) * 0.45)
    before = None
    while True:
        with mp.workdps(digits):
            now = function(*(mpf(a) for a in arguments))
            if before is not None and now != 0 and abs(now - before) <= abs(now) * mpf(10) ** -30:
                return now
        if digits >= _MOST_DIGITS:
            return now
        # a zero may be a difference that has lost everything: settle it at once
        before, digits = now, _MOST_DIGITS if now == 0 else min(2 * digits, _MOST_DIGITS)


@cache
def _cached(function: Formula, arguments: tuple[float, ...]) -> Any:
    return exact(function, *arguments)


def true_number(truth: Truth, order: str, *arguments: float) -> Any:
    """Return value, gradient or Hessian to at least 30 digits; answers are remembered."""
    return _cached(getattr(truth, order), arguments)


def true_term(truth: Truth, order: str, *arguments: float) -> Any:
    """Return the largest term of a formula that has a root; 0 where none is declared."""
    term = truth.terms.get(order)
    return mpf(0) if term is None else _cached(term, arguments)


def ulp(x: Any, dtype: Any) -> Any:
    """Distance of neighbouring numbers of a format at x, subnormals included."""
    info = np.finfo(dtype)
    if x == 0:
        return mpf(2) ** (int(info.minexp) - int(info.nmant))
    exponent = mp.frexp(x)[1] - 1
    return mpf(2) ** (max(int(exponent), int(info.minexp)) - int(info.nmant))


def error_in_ulp(got: float, truth: Any, dtype: Any, term: Any = 0) -> float:
    """Error of a computed number in ulp of the truth (or of a term, when that is larger).

    Infinity counts as the number after the largest one, so overflow is right exactly where rounding is.
    """
    if np.isnan(got):
        return float("inf")
    beyond = mpf(2) ** int(np.finfo(dtype).maxexp)
    with mp.workdps(60):
        truth = max(-beyond, min(beyond, truth))
        number = beyond * (1 if got > 0 else -1) if np.isinf(got) else mpf(float(got))
        unit = ulp(min(max(abs(truth), abs(term)), beyond / 2), dtype)
        # An error below half an ulp is no error: the truth is not a number of the format.
        return float(abs(number - truth) / unit)


# --- elementwise losses -------------------------------------------------------------------------------


def _sigma(f: Any) -> Any:
    return 1 / (1 + mp.exp(-f))


def _step(r: Any, below: Any, above: Any) -> Any:
    """A function that jumps at 0, with the subgradient 0 there."""
    return below if r < 0 else above if r > 0 else mpf(0)


mse = Truth(
    value=lambda y, f: (f - y) ** 2,
    gradient=lambda y, f: 2 * (f - y),
    hessian=lambda y, f: mpf(2),
    limits=lambda y, s: (np.inf, s * np.inf, 2.0),
)
mae = Truth(
    value=lambda y, f: abs(f - y),
    gradient=lambda y, f: _step(f - y, -1, 1),
    hessian=_zero,
    limits=lambda y, s: (np.inf, s, 0.0),
)
huber = Truth(
    value=lambda y, f, d: (f - y) ** 2 / 2 if abs(f - y) <= d else d * (abs(f - y) - d / 2),
    gradient=lambda y, f, d: f - y if abs(f - y) <= d else d * mp.sign(f - y),
    hessian=lambda y, f, d: mpf(1) if abs(f - y) <= d else mpf(0),
    limits=lambda y, s, d: (np.inf, s * d, 0.0),
)
quantile = Truth(
    value=lambda y, f, q: max(q * (y - f), (q - 1) * (y - f)),
    gradient=lambda y, f, q: _step(f - y, -q, 1 - q),
    hessian=_zero,
    limits=lambda y, s, q: (np.inf, 1 - q if s > 0 else -q, 0.0),
)
log_cosh = Truth(
    value=lambda y, f: mp.log(mp.cosh(f - y)),
    gradient=lambda y, f: mp.tanh(f - y),
    hessian=lambda y, f: 1 / mp.cosh(f - y) ** 2,
    limits=lambda y, s: (np.inf, s, 0.0),
)
pseudo_huber = Truth(
    value=lambda y, f, d: d**2 * (mp.sqrt(1 + ((f - y) / d) ** 2) - 1),
    gradient=lambda y, f, d: (f - y) / mp.sqrt(1 + ((f - y) / d) ** 2),
    hessian=lambda y, f, d: (1 + ((f - y) / d) ** 2) ** mpf(-1.5),
    limits=lambda y, s, d: (np.inf, s * d, 0.0),
)


def _tukey(r: Any, c: Any) -> Any:
    return 1 - (r / c) ** 2


tukey = Truth(
    value=lambda y, f, c: c**2 / 6 * (1 - _tukey(f - y, c) ** 3) if abs(f - y) <= c else c**2 / 6,
    gradient=lambda y, f, c: (f - y) * _tukey(f - y, c) ** 2 if abs(f - y) <= c else mpf(0),
    hessian=lambda y, f, c: _tukey(f - y, c) * (1 - 5 * ((f - y) / c) ** 2) if abs(f - y) <= c else mpf(0),
    limits=lambda y, s, c: (c * c / 6, 0.0, 0.0),
    # the roots r = c / sqrt(5): the factor 1 - 5 (r/c)^2 has the terms 1 and 5 (r/c)^2
    terms={"hessian": lambda y, f, c: abs(_tukey(f - y, c)) if abs(f - y) <= c else mpf(0)},
)
bce_logits = Truth(
    value=lambda y, f: mp.log(1 + mp.exp(f)) - y * f,
    gradient=lambda y, f: _sigma(f) - y,
    hessian=lambda y, f: _sigma(f) * (1 - _sigma(f)),
    limits=lambda y, s: (
        (0.0 if (y == 1 and s > 0) or (y == 0 and s < 0) else np.inf),
        (1 - y if s > 0 else 0.0 - y),
        0.0,
    ),
    # with a soft label the gradient has a root where sigma(f) = y
    terms={"gradient": lambda y, f: max((1 - y) * _sigma(f), y * (1 - _sigma(f))) if 0 < y < 1 else mpf(0)},
)


def _ratio(a: Any, b: Any) -> Any:
    return mpf(0) if a == 0 else (mp.inf if b == 0 else a / b)


def _a_log_b(a: Any, b: Any) -> Any:
    return mpf(0) if a == 0 else (-mp.inf if b == 0 else a * mp.log(b))


bce_probabilities = Truth(
    value=lambda y, p: -_a_log_b(y, p) - _a_log_b(1 - y, 1 - p),
    gradient=lambda y, p: _ratio(1 - y, 1 - p) - _ratio(y, p),
    hessian=lambda y, p: _ratio(y, p**2) + _ratio(1 - y, (1 - p) ** 2),
    limits=lambda y, s: (),
    terms={"gradient": lambda y, p: max(_ratio(y, p), _ratio(1 - y, 1 - p)) if 0 < y < 1 else mpf(0)},
)
hinge = Truth(
    value=lambda y, f: max(mpf(0), 1 - y * f),
    gradient=lambda y, f: -y if y * f < 1 else mpf(0),
    hessian=_zero,
    limits=lambda y, s: (0.0, 0.0, 0.0) if y * s > 0 else (np.inf, -y, 0.0),
)
squared_hinge = Truth(
    value=lambda y, f: max(mpf(0), 1 - y * f) ** 2,
    gradient=lambda y, f: -2 * y * max(mpf(0), 1 - y * f),
    hessian=lambda y, f: mpf(2) if y * f < 1 else mpf(0),
    limits=lambda y, s: (0.0, 0.0, 0.0) if y * s > 0 else (np.inf, -y * np.inf, 2.0),
)
poisson_log_rate = Truth(
    value=lambda y, f: mp.exp(f) - y * f,
    gradient=lambda y, f: mp.exp(f) - y,
    hessian=lambda y, f: mp.exp(f),
    limits=lambda y, s: (np.inf, np.inf, np.inf) if s > 0 else (np.inf if y > 0 else 0.0, 0.0 - y, 0.0),
    # roots at e^f = y f and at e^f = y
    terms={
        "value": lambda y, f: max(mp.exp(f), abs(y * f)) if y > 0 else mpf(0),
        "gradient": lambda y, f: max(mp.exp(f), y) if y > 0 else mpf(0),
    },
)
poisson_rate = Truth(
    value=lambda y, m: m - _a_log_b(y, m),
    gradient=lambda y, m: 1 - _ratio(y, m),
    hessian=lambda y, m: _ratio(y, m**2),
    limits=lambda y, s: (np.inf, 1.0, 0.0),
    terms={
        "value": lambda y, m: max(m, abs(_a_log_b(y, m))) if y > 0 else mpf(0),
        "gradient": lambda y, m: max(mpf(1), _ratio(y, m)) if y > 0 else mpf(0),
    },
)
gamma = Truth(
    value=lambda y, f: y * mp.exp(-f) + f,
    gradient=lambda y, f: 1 - y * mp.exp(-f),
    hessian=lambda y, f: y * mp.exp(-f),
    limits=lambda y, s: (np.inf, 1.0, 0.0) if s > 0 else (np.inf, -np.inf, np.inf),
    # roots at y e^-f = -f and at f = log y
    terms={
        "value": lambda y, f: max(y * mp.exp(-f), abs(f)) if f < 0 else mpf(0),
        "gradient": lambda y, f: max(mpf(1), y * mp.exp(-f)),
    },
)
# The parameters are p - 1 and 2 - p.
tweedie = Truth(
    value=lambda y, f, a, b: y * mp.exp(-a * f) / a + mp.exp(b * f) / b,
    gradient=lambda y, f, a, b: mp.exp(b * f) - y * mp.exp(-a * f),
    hessian=lambda y, f, a, b: a * y * mp.exp(-a * f) + b * mp.exp(b * f),
    limits=lambda y, s, a, b: (
        (np.inf, np.inf, np.inf) if s > 0 else (np.inf, -np.inf, np.inf) if y > 0 else (0.0, 0.0, 0.0)
    ),
    terms={"gradient": lambda y, f, a, b: max(mp.exp(b * f), y * mp.exp(-a * f)) if y > 0 else mpf(0)},
)


# --- focal loss: FL(p) = (1 - p)^g (-log p) and its derivatives by p, then by the logit of p -------------


def _fl(p: Any, g: Any) -> Any:
    if p == 0:
        return mp.inf
    if p == 1:
        return mpf(0)
    return (1 - p) ** g * -mp.log(p)


def _fl1(p: Any, g: Any) -> Any:
    if p == 1:
        return mpf(-1) if g == 0 else mpf(0)
    if p == 0:
        return -mp.inf
    return g * (1 - p) ** (g - 1) * mp.log(p) - (1 - p) ** g / p


def _fl2(p: Any, g: Any) -> Any:
    """At p = 1 the limit: (1-p)^(g-1) (g (g-1) + 2 g) + (1-p)^g."""
    if p == 0:
        return mp.inf
    if p == 1:
        return mpf(1) if g == 0 else mp.inf if g < 1 else mpf(2) if g == 1 else mpf(0)
    u = 1 - p
    return g * (g - 1) * u ** (g - 2) * -mp.log(p) + 2 * g * u ** (g - 1) / p + u**g / p**2


def _fl2_terms(p: Any, g: Any) -> Any:
    if p in (0, 1):
        return mpf(0)
    u = 1 - p
    return max(abs(g * (g - 1) * u ** (g - 2) * mp.log(p)), 2 * g * u ** (g - 1) / p, u**g / p**2)


def _by_logit1(p: Any, g: Any) -> Any:
    return _fl1(p, g) * p * (1 - p) if 0 < p < 1 else mpf(0)


def _by_logit2(p: Any, g: Any) -> Any:
    slope, curve = p * (1 - p), p * (1 - p) * (1 - 2 * p)
    return _fl2(p, g) * slope**2 + _fl1(p, g) * curve if 0 < p < 1 else mpf(0)


def _by_logit2_terms(p: Any, g: Any) -> Any:
    """Largest of g^2 p^2 L, g p L (1-p), (2g+1) p (1-p) times (1-p)^g, the terms of the Hessian."""
    u = 1 - p
    loss = -mp.log(p)
    return u**g * p * max(g * g * p * loss, g * u * loss, (2 * g + 1) * u)


def _label_mix(one: Formula, zero: Formula, combine: Formula) -> Formula:
    """y w1 one(...) and (1 - y) w0 zero(...), combined; a label of weight 0 is not evaluated."""

    def mixed(y: Any, f: Any, g: Any, w1: Any, w0: Any) -> Any:
        first = y * w1 * one(f, g) if y > 0 else mpf(0)
        second = (1 - y) * w0 * zero(f, g) if y < 1 else mpf(0)
        return combine(first, second)

    return mixed


def _plus(a: Any, b: Any) -> Any:
    return a + b


def _minus(a: Any, b: Any) -> Any:
    return a - b


def _largest(a: Any, b: Any) -> Any:
    return max(abs(a), abs(b))


def _soft_only(mixed: Formula) -> Formula:
    return lambda y, f, *p: mixed(y, f, *p) if 0 < y < 1 else mpf(0)


def _focal_limits(y: float, s: float, g: float, w1: float, w0: float) -> tuple[float, float, float]:
    """f -> +inf: the term of label 0 grows like f (w0), the term of label 1 vanishes; and mirrored."""
    away = (1 - y) * w0 if s > 0 else y * w1
    return (np.inf if away > 0 else 0.0, s * away, 0.0)


focal_logits = Truth(
    value=_label_mix(lambda f, g: _fl(_sigma(f), g), lambda f, g: _fl(_sigma(-f), g), _plus),
    gradient=_label_mix(lambda f, g: _by_logit1(_sigma(f), g), lambda f, g: _by_logit1(_sigma(-f), g), _minus),
    hessian=_label_mix(lambda f, g: _by_logit2(_sigma(f), g), lambda f, g: _by_logit2(_sigma(-f), g), _plus),
    limits=_focal_limits,
    terms={
        "gradient": _soft_only(
            _label_mix(lambda f, g: _by_logit1(_sigma(f), g), lambda f, g: _by_logit1(_sigma(-f), g), _largest)
        ),
        "hessian": _label_mix(
            lambda f, g: _by_logit2_terms(_sigma(f), g), lambda f, g: _by_logit2_terms(_sigma(-f), g), _largest
        ),
    },
)
focal_probabilities = Truth(
    value=_label_mix(lambda f, g: _fl(f, g), lambda f, g: _fl(1 - f, g), _plus),
    gradient=_label_mix(lambda f, g: _fl1(f, g), lambda f, g: _fl1(1 - f, g), _minus),
    hessian=_label_mix(lambda f, g: _fl2(f, g), lambda f, g: _fl2(1 - f, g), _plus),
    limits=lambda *_: (),
    terms={
        "gradient": _soft_only(_label_mix(lambda f, g: _fl1(f, g), lambda f, g: _fl1(1 - f, g), _largest)),
        "hessian": _label_mix(lambda f, g: _fl2_terms(f, g), lambda f, g: _fl2_terms(1 - f, g), _largest),
    },
)
