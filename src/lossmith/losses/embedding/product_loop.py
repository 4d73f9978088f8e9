"""A product of matrices as a compiled loop, for tiles.

It is as fast as BLAS on these shapes, and it runs on the threads that work on the tile anyway, where BLAS would
bring threads of its own that wait for each other.
"""

from __future__ import annotations

from ...engine.compiled import compiled
from .geometry import Floats


@compiled()
def product_loop(a: Floats, b: Floats, out: Floats, shift: int) -> None:
    """Add a @ b[:, shift:] to out, as many columns as it has.

    Four rows by four terms at a time, in blocks of columns that stay in the cache.
    """
    (m, terms), n = a.shape, out.shape[1]
    whole, full = m - m % 4, terms - terms % 4
    for begin in range(0, n, 512):
        end = min(begin + 512, n)
        for k in range(0, full, 4):
            b0, b1 = b[k, shift + begin : shift + end], b[k + 1, shift + begin : shift + end]
            b2, b3 = b[k + 2, shift + begin : shift + end], b[k + 3, shift + begin : shift + end]
            for i in range(0, whole, 4):
                o0, o1 = out[i, begin:end], out[i + 1, begin:end]
                o2, o3 = out[i + 2, begin:end], out[i + 3, begin:end]
                # Named one by one: numbers read from an array inside the loop could change under it.
                a00, a01, a02, a03 = a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3]
                a10, a11, a12, a13 = a[i + 1, k], a[i + 1, k + 1], a[i + 1, k + 2], a[i + 1, k + 3]
                a20, a21, a22, a23 = a[i + 2, k], a[i + 2, k + 1], a[i + 2, k + 2], a[i + 2, k + 3]
                a30, a31, a32, a33 = a[i + 3, k], a[i + 3, k + 1], a[i + 3, k + 2], a[i + 3, k + 3]
                for j in range(end - begin):
                    p, q, r, s = b0[j], b1[j], b2[j], b3[j]
                    o0[j] += (a00 * p + a01 * q) + (a02 * r + a03 * s)
                    o1[j] += (a10 * p + a11 * q) + (a12 * r + a13 * s)
                    o2[j] += (a20 * p + a21 * q) + (a22 * r + a23 * s)
                    o3[j] += (a30 * p + a31 * q) + (a32 * r + a33 * s)
            for i in range(whole, m):
                _add_four(a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3], b0, b1, b2, b3, out[i, begin:end])
        for k in range(full, terms):
            for i in range(m):
                row = b[k, shift + begin : shift + end]
                _add_four(a[i, k], 0.0, 0.0, 0.0, row, row, row, row, out[i, begin:end])


def _add_four(
    a0: float, a1: float, a2: float, a3: float, b0: Floats, b1: Floats, b2: Floats, b3: Floats, out: Floats
) -> None:
    """Add four terms to a row that makes no four with others, in the same order as to those."""
    for j in range(out.size):
        out[j] += (a0 * b0[j] + a1 * b1[j]) + (a2 * b2[j] + a3 * b3[j])
