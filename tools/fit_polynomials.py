"""Print the polynomials of lossmith.engine.simd: interpolation at Chebyshev nodes with 160 digits.

Usage: python tools/fit_polynomials.py
"""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp

Real = mp.mpf
mp.mp.dps = 160


def fit(function: Callable[[Real], Real], low: Real, high: Real, degree: int) -> list[Real]:
    """Coefficients, lowest power first, rounded to float64."""
    n = degree + 1
    nodes = [(low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * (2 * i + 1) / (2 * n)) for i in range(n)]
    powers = mp.matrix(n, n)
    for i, node in enumerate(nodes):
        for j in range(n):
            powers[i, j] = node**j
    return [mp.mpf(float(c)) for c in mp.lu_solve(powers, mp.matrix([function(node) for node in nodes]))]


def exp_tail(r: Real) -> Real:
    """(exp(r) - 1 - r) / r^2."""
    return (mp.exp(r) - 1 - r) / r**2 if abs(r) > 1e-20 else mp.mpf(1) / 2 + r / 6


def log_tail(z: Real) -> Real:
    """(2 atanh(s) / s - 2) / z with z = s^2."""
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) / s - 2) / z if z > 1e-20 else mp.mpf(2) / 3


def main() -> None:
    half = mp.log(2) / 2 * mp.mpf("1.0001")
    widest = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * mp.mpf("1.001")
    for name, coefficients in (
        ("tail", fit(exp_tail, -half, half, 10)),
        ("log_tail", fit(log_tail, mp.mpf(0), widest, 6)),
    ):
        print(name, *(repr(float(c)) for c in coefficients), sep="\n    ")


if __name__ == "__main__":
    main()
