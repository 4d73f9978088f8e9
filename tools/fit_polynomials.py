"""Print the polynomials of lossmith.engine.simd, .single and .native, with their largest error in the word's result.

Most interpolate at Chebyshev nodes, which is near-minimax. That of erf is minimax by the exchange algorithm of Remez,
since its error may grow as fast as 1 - erf falls.

Usage: python tools/fit_polynomials.py
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
import numpy as np

Real = mp.mpf
Function = Callable[[Real], Real]
DIGITS = 60
POINTS = 24  # in which an error is looked at, for each coefficient
TINY = 1e-15
WIDER = mp.mpf("1.001")


def fit(function: Function, low: Real, high: Real, degree: int) -> list[Real]:
    """Coefficients, lowest power first, rounded to float64."""
    n = degree + 1
    nodes = _nodes(low, high, n)
    powers = mp.matrix(n, n)
    for i, node in enumerate(nodes):
        for j in range(n):
            powers[i, j] = node**j
    return _rounded(mp.lu_solve(powers, mp.matrix([function(node) for node in nodes])))


def minimax(function: Function, weight: Function, low: Real, high: Real, degree: int) -> list[Real]:
    """Coefficients, lowest power first, of the polynomial whose largest weighted error is the smallest."""
    n = degree + 2
    places = _nodes(low, high, POINTS * n)
    values, weights = [function(x) for x in places], [weight(x) for x in places]
    peaks = [POINTS * i + POINTS // 2 for i in range(n)]
    for _ in range(20):
        system = mp.matrix(n, n)
        for i, at in enumerate(peaks):
            for j in range(degree + 1):
                system[i, j] = places[at] ** j
            system[i, degree + 1] = (-1) ** i / weights[at]
        found = list(mp.lu_solve(system, mp.matrix([values[at] for at in peaks])))[:-1]
        errors = [w * (v - _at(found, x)) for x, v, w in zip(places, values, weights, strict=True)]
        before, peaks = peaks, _alternating(errors, n)
        if peaks == before:
            break
    return _rounded(found)


def _alternating(errors: list[Real], n: int) -> list[int]:
    """Where the error is the largest between changes of its sign, in n places."""
    peaks: list[int] = []
    for i, error in enumerate(errors):
        if not peaks or mp.sign(error) != mp.sign(errors[peaks[-1]]):
            peaks.append(i)
        elif abs(error) > abs(errors[peaks[-1]]):
            peaks[-1] = i
    while len(peaks) > n:
        peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
    if len(peaks) < n:
        raise ArithmeticError(f"the error changes its sign {len(peaks)} times; take more digits or a lower degree")
    return peaks


def _nodes(low: Real, high: Real, n: int) -> list[Real]:
    return [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * (2 * i + 1) / (2 * n)) for i in range(n)]


def _at(coefficients: list[Real], x: Real) -> Real:
    return mp.polyval(coefficients[::-1], x)


def _rounded(coefficients: list[Real]) -> list[Real]:
    return [mp.mpf(float(c)) for c in coefficients]


def exp_tail(r: Real) -> Real:
    """(exp(r) - 1 - r) / r^2."""
    return (mp.exp(r) - 1 - r) / r**2 if abs(r) > TINY else mp.mpf(1) / 2 + r / 6


def log_tail(z: Real) -> Real:
    """(2 atanh(s) / s - 2) / z with z = s^2."""
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) / s - 2) / z if z > TINY else mp.mpf(2) / 3


def erf_bend(a: Real) -> Real:
    """(-log(1 - erf(a)) - c a) / a^2 with c = 2 / sqrt(pi)."""
    return (-mp.log(mp.erfc(a)) - 2 / mp.sqrt(mp.pi) * a) / a**2


def erf_weight(a: Real) -> Real:
    """By how much an error of erf_bend is smaller as a relative error of erf."""
    return a**2 * mp.erfc(a) / mp.erf(a)


def lgamma_square(f: Real) -> Real:
    """(log Gamma(2 + f) - (1 - Euler's gamma) f) / f^2."""
    return (mp.loggamma(2 + f) - (1 - mp.euler) * f) / f**2 if abs(f) > TINY else (mp.zeta(2) - 1) / 2


def lgamma_bend(f: Real) -> Real:
    """(lgamma_square(f) - lgamma_square(0)) / f."""
    return (lgamma_square(f) - lgamma_square(mp.mpf(0))) / f if abs(f) > TINY else (1 - mp.zeta(3)) / 3


def stirling_tail(z: Real) -> Real:
    """X times what log Gamma(x) is above (x - 1/2) log x - x + log(2 pi) / 2, with z = 1 / x^2."""
    x = 1 / mp.sqrt(z)
    return x * (mp.loggamma(x) - (x - mp.mpf(1) / 2) * mp.log(x) + x - mp.log(2 * mp.pi) / 2)


def exp_weight(r: Real) -> Real:
    return r**2 / mp.exp(r)


def bend_weight(r: Real) -> Real:
    return r**2 / abs(mp.expm1(r)) if r else mp.mpf(0)


def log_weight(z: Real) -> Real:
    return z * mp.sqrt(z) / (2 * mp.atanh(mp.sqrt(z))) if z else mp.mpf(0)


def gamma_weight(power: int) -> Function:
    """Weigh by f^power and the smaller of the results around 2 and, a step away, around 1."""

    def weight(f: Real) -> Real:
        return abs(f) ** power / min(abs(mp.loggamma(1 + f)), abs(mp.loggamma(2 + f))) if f else mp.mpf(0)

    return weight


def stirling_weight(z: Real) -> Real:
    return mp.sqrt(z) / mp.loggamma(1 / mp.sqrt(z))


def log1p_bend(f: Real) -> Real:
    """(log(1 + f) - f) / f^2."""
    return (mp.log1p(f) - f) / f**2 if abs(f) > TINY else -mp.mpf(1) / 2 + f / 3


def log1p_weight(f: Real) -> Real:
    return f**2 / abs(mp.log1p(f)) if f else mp.mpf(0)


def tanh_bend(z: Real) -> Real:
    """(tanh(a) / a - 1) / a^2 with z = a^2."""
    a = mp.sqrt(z)
    return (mp.tanh(a) / a - 1) / z if z > TINY else -mp.mpf(1) / 3


def tanh_weight(z: Real) -> Real:
    return z * mp.sqrt(z) / mp.tanh(mp.sqrt(z)) if z else mp.mpf(0)


def log_cosh_bend(z: Real) -> Real:
    """(log cosh(a) - a^2 / 2) / a^4 with z = a^2."""
    return (mp.log(mp.cosh(mp.sqrt(z))) - z / 2) / z**2 if z > TINY else -mp.mpf(1) / 12


def log_cosh_weight(z: Real) -> Real:
    return z**2 / mp.log(mp.cosh(mp.sqrt(z))) if z else mp.mpf(0)


def polynomials() -> dict[str, tuple[list[Real], Real]]:
    """Coefficients of each polynomial, under the name of the function they are in, and the largest relative error."""
    with mp.workdps(DIGITS):
        step = mp.log(2) / 2 * mp.mpf("1.0001")
        widest = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * mp.mpf("1.001")
        root = mp.sqrt(2)
        zero, half, near_zero = mp.mpf(0), mp.mpf(1) / 2, mp.mpf("1e-6")
        ranges: dict[str, tuple[Function, Function, Real, Real, int]] = {
            "simd.tail": (exp_tail, exp_weight, -step, step, 10),
            "simd.log_tail": (log_tail, log_weight, zero, widest, 6),
            "simd.log_bend": (log_tail, log_weight, zero, mp.mpf("1.0001") / 9, 9),
            "simd.erf_bend": (erf_bend, erf_weight, near_zero, mp.mpf(6), 23),
            "simd.lgamma_bend": (lgamma_bend, gamma_weight(3), -half, half, 16),
            "simd.stirling_tail": (stirling_tail, stirling_weight, mp.mpf("1e-10"), 1 / mp.mpf("5.5") ** 2, 6),
            "simd.log_cosh_bend": (log_cosh_bend, log_cosh_weight, zero, mp.mpf("1.0001"), 14),
            "simd.log1p_tail": (log1p_bend, log1p_weight, zero, mp.exp(-2) * mp.mpf("1.0001"), 9),
            "single.bend": (exp_tail, bend_weight, -step, step, 5),
            "single.log_near": (log_tail, log_weight, zero, widest, 4),
            "single.erf": (erf_bend, erf_weight, near_zero, mp.mpf("4.6"), 10),
            "single.lgamma": (lgamma_square, gamma_weight(2), -half, half, 9),
            "single.lgamma, Stirling": (stirling_tail, stirling_weight, mp.mpf("1e-10"), 1 / mp.mpf("3.5") ** 2, 3),
            "native.exp_tail": (exp_tail, bend_weight, -step, step, 4),
            "native.log1p_bend": (log1p_bend, log1p_weight, (1 / root - 1) * WIDER, (root - 1) * WIDER, 8),
            "native.log1p_tail": (log1p_bend, log1p_weight, zero, mp.exp(-2) * mp.mpf("1.0001"), 3),
            "native.tanh_bend": (tanh_bend, tanh_weight, zero, mp.mpf("1.0001"), 7),
            "native.log_cosh_bend": (log_cosh_bend, log_cosh_weight, zero, mp.mpf("1.0001"), 6),
        }
        found = {}
        for name, (function, weight, low, high, degree) in ranges.items():
            fitted = (
                minimax(function, weight, low, high, degree)
                if weight is erf_weight
                else fit(function, low, high, degree)
            )
            if name.startswith("native."):
                fitted = [mp.mpf(float(np.float32(float(c)))) for c in fitted]
            places = [*_nodes(low, high, 200), low, high]
            found[name] = fitted, max(abs(function(x) - _at(fitted, x)) * weight(x) for x in places)
        return found


def main() -> None:
    for name, (coefficients, error) in polynomials().items():
        print(f"{name}: error 2^{float(mp.log(error, 2)):.1f}")
        print(*(f"    {float(c)!r}" for c in coefficients), sep="\n")


if __name__ == "__main__":
    main()
