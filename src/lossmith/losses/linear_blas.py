"""Matrix products that may add into place, by BLAS itself.

``numpy.matmul`` cannot add to its output, and SciPy's wrappers copy blocks of a matrix. SciPy offers the plain
BLAS functions to other compiled code (``scipy.linalg.cython_blas``); they take matrices as they lie in memory.

A product is shared among the engine's threads, each of which calls BLAS for a part of the result. The threads of BLAS
itself wait for each other many times inside a product, which takes a multiple of the time when other programs run.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine import pool

Matrix = npt.NDArray[Any]

# Rows of the result that are computed at a time. OpenBLAS packs the left factor whole for a call, which for the
# gradient of a vocabulary would be a second chunk of logits; with 2048 rows it is a megabyte, at no cost in time.
_ROWS = 2048
# Floating-point operations that a thread must have to be worth starting.
_PER_THREAD = 2**23


def multiply(a: Matrix, b: Matrix, out: Matrix, *, add: bool = False, factor: float = 1.0) -> None:
    """Compute out = factor * a @ b, or out += factor * a @ b.

    Parameters
    ----------
    a : ndarray, shape (m, k)
        Left factor; rows or columns contiguous (see :func:`lies_well`).
    b : ndarray, shape (k, n)
        Right factor; likewise.
    out : ndarray, shape (m, n)
        Filled; its rows are contiguous. All three have one dtype, float32 or float64.
    add : bool
        Add to what ``out`` holds.
    factor : float
        Multiplies the product.

    Examples
    --------
    >>> import numpy as np
    >>> out = np.ones((2, 2))
    >>> multiply(np.eye(2), np.eye(2), out, add=True, factor=3.0)
    >>> out.tolist()
    [[4.0, 1.0], [1.0, 4.0]]
    """
    wide = out.shape[1] > out.shape[0]
    least = 1 + _PER_THREAD * out.shape[wide] // max(1, 2 * a.shape[1] * out.size)

    def work(start: int, stop: int) -> None:
        part = slice(start, stop)
        ours = (a, b[:, part], out[:, part]) if wide else (a[part], b, out[part])
        _in_blocks(*ours, add, factor)

    if out.shape[wide] < 2 * least or pool.threads() == 1 or not one_thread():
        work(0, out.shape[wide])
        return
    with one_thread():
        pool.share(out.shape[wide], work, least)


def lies_well(matrix: Matrix) -> bool:
    """Tell whether BLAS can read a matrix without a copy: aligned, rows or columns contiguous, no overlap."""
    size = matrix.itemsize
    wide = sorted(zip(matrix.strides, matrix.shape, strict=True))
    (inner, length), (outer, count) = wide
    plain = matrix.dtype.isnative and matrix.flags.aligned
    return plain and (inner == size or length == 1) and (count == 1 or (outer >= size * length and outer % size == 0))


def _in_blocks(a: Matrix, b: Matrix, out: Matrix, add: bool, factor: float) -> None:
    for start in range(0, len(out), _ROWS):
        part = slice(start, start + _ROWS)
        product(a[part], b, out[part], add, factor)


def product(a: Matrix, b: Matrix, out: Matrix, add: bool, factor: float) -> None:
    """Do what :func:`multiply` does in one call of BLAS, for callers who share their work themselves."""
    gemm = _gemm(out.dtype.char)
    if gemm is None or not (lies_well(a) and lies_well(b)):
        product = factor * (a @ b)
        out[...] = out + product if add else product
        return
    number = ctypes.c_float if out.dtype == np.float32 else ctypes.c_double
    (rows, columns), inner = out.shape, a.shape[1]
    # BLAS thinks in columns, so it sees every matrix transposed: it is asked for out' = b' a'.
    (letter_b, step_b), (letter_a, step_a) = _seen(b), _seen(a)
    sizes = [ctypes.byref(ctypes.c_int(size)) for size in (columns, rows, inner, step_b, step_a, _seen(out)[1])]
    scales = [ctypes.byref(number(scale)) for scale in (factor, 1.0 if add else 0.0)]
    data_a, data_b, data_out = (matrix.ctypes.data for matrix in (a, b, out))
    gemm(letter_b, letter_a, *sizes[:3], scales[0], data_b, sizes[3], data_a, sizes[4], scales[1], data_out, sizes[5])


def _seen(matrix: Matrix) -> tuple[bytes, int]:
    """Return BLAS's letter for a matrix and its leading dimension; b"N" if rows are contiguous."""
    (rows, columns), (down, across), size = matrix.shape, matrix.strides, matrix.itemsize
    if (across == size or columns == 1) and (rows == 1 or down >= size * columns):
        return b"N", max(down // size if rows > 1 else columns, columns, 1)
    return b"T", max(across // size if columns > 1 else rows, rows, 1)


@functools.cache
def _gemm(char: str) -> Any:
    """Return sgemm or dgemm as a C function that releases the GIL; None where SciPy's has another signature."""
    from scipy.linalg import cython_blas

    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    capsule = cython_blas.__pyx_capi__["sgemm" if char == "f" else "dgemm"]
    signature = api.PyCapsule_GetName(capsule)
    # A build with 64-bit sizes says so in the signature, which is the capsule's name.
    if not signature.startswith(b"void (char *, char *, int *, int *, int *,"):
        return None
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(api.PyCapsule_GetPointer(capsule, signature))


class _OneThread:
    """Holds BLAS to one thread while any thread is inside; false where BLAS is none that can be told."""

    def __init__(self) -> None:
        from threadpoolctl import ThreadpoolController

        _gemm("d")  # loads the library that is to be found
        self._controller = ThreadpoolController().select(user_api="blas")
        self._lock = threading.Lock()
        self._inside = 0

    def __bool__(self) -> bool:
        return len(self._controller) > 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._limit = self._controller.limit(limits=1)
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limit.restore_original_limits()


@functools.cache
def one_thread() -> _OneThread:
    """Return the context in which BLAS starts no threads of its own."""
    return _OneThread()
