"""Kernels for losses on a row of logits: value and gradient of all rows in two passes over the table.

A loss gives two texts, ``term(c, parts, *parameters)``, what a class with coefficient c adds to the value, and
``pull``, its derivative by log p; ``parts`` holds p, 1 - p and -log p. The loops around them are in :mod:`.rows_hard`
(one label a row) and :mod:`.rows_soft` (coefficients on many classes).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..ops import word
from ..ops.elementwise import NARROW
from . import jit, rows_exp, rows_hard, rows_margin, rows_plain, rows_soft, rows_tiles
from .compiled import Compiled, compiled, completed, read_only
from .pool import share

Array = npt.NDArray[Any]
Function = Callable[..., Any]

# Below this many logits NumPy takes a millisecond or two: nobody should wait for a compiler.
KERNEL_FROM = 32_768
# Rows of at most this many logits are computed in tiles.
SHORT = 48
# Logits a thread must have to be worth starting.
_PER_THREAD = 32_768
_CONTRACT = frozenset({"contract"})
_LANES = frozenset({"reassoc", "nsz"})  # sums may run in several lanes
_NONE = np.empty(0)


@dataclass(frozen=True)
class Texts:
    """The formulas of a loss sum_k term(c_k, log p_k) on a row of logits; both must be marked ``@word``.

    Attributes
    ----------
    term : callable
        ``term(c, parts, *parameters)``: what a class with coefficient c adds to the value.
    pull : callable
        ``pull(c, parts, *parameters)``: its derivative by log p.
    """

    term: Function
    pull: Function


def worth_compiling(f: Array) -> bool:
    """Tell whether a kernel computes this table of predictions; its size and dtype alone decide."""
    return f.size >= KERNEL_FROM and f.dtype in (np.float32, np.float64) and jit.available()


def softmax(
    texts: Texts,
    z: Array,
    y: Array,
    values: Array,
    slopes: Array | None = None,
    *,
    parameters: tuple[float, ...] = (),
    class_weights: Array | None = None,
    scale: Array | None = None,
    smoothing: float = 0.0,
    ignored: int | None = None,
    ridge: float = 0.0,
) -> int:
    """Fill values and gradient of a loss on softmax(z), for labels or target rows.

    Parameters
    ----------
    texts : Texts
        The formulas.
    z : ndarray of float32 or float64, shape (n, k), C-contiguous
        Logits.
    y : ndarray, shape (n,) of int64 or (n, k) of a floating dtype, C-contiguous
        Labels, or rows of probabilities.
    values : ndarray, shape (n,), dtype of z
        Filled with per-sample values.
    slopes : ndarray, shape (n, k), dtype of z, C-contiguous, optional
        Filled with the gradient by z. It may be z itself: the gradient is then written over the logits.
    parameters : tuple of float
        Handed to the texts.
    class_weights : ndarray of float64, shape (k,), optional
        The coefficient of each class.
    scale : ndarray of float64, shape (n,), optional
        A factor for value and gradient of each row (labels without smoothing only).
    smoothing : float
        Share of the target that is spread evenly over all classes.
    ignored : int, optional
        Label of rows that count nothing: value and gradient 0.
    ridge : float
        Coefficient of (logsumexp z)^2, which counts as much as the row's coefficients together.

    Returns
    -------
    int
        The first row whose target is no label and no distribution, -1 if there is none. Labels are checked
        before anything is written; after a bad row of probabilities values and slopes hold nothing of use.

    Examples
    --------
    >>> import lossmith as lm
    >>> logits, values = np.zeros((2, 4)), np.empty(2)
    >>> softmax(lm.CategoricalCrossEntropy().texts, logits, np.array([0, 3]), values, logits)
    -1
    >>> values.round(6).tolist(), logits.tolist()
    ([1.386294, 1.386294], [[-0.75, 0.25, 0.25, 0.25], [0.25, 0.25, 0.25, -0.75]])
    """
    hard = y.ndim == 1
    if hard and (stranger := _first_stranger(read_only(y), z.shape[1], ignored is not None, ignored or 0)) >= 0:
        return int(stranger)
    run = _loop(texts, z.dtype.name, hard and smoothing == 0.0, hard, z.shape[1] <= SHORT)
    whole = np.empty((0, z.shape[1]), z.dtype) if slopes is None else slopes
    skip = (ignored is not None, ignored or 0)
    bits = z.view(np.int32 if z.dtype == np.float32 else np.int64)
    unweighted = np.ones(z.shape[1]) if smoothing else _NONE
    weights, scales = unweighted if class_weights is None else class_weights, _NONE if scale is None else scale
    bad: list[int] = []

    def work(start: int, stop: int) -> None:
        rows = slice(start, stop)
        table = tuple(map(read_only, (z[rows], bits[rows], y[rows])))
        filled = values[rows], whole[rows]
        if hard and smoothing == 0.0:
            run(*table, *skip, read_only(weights), read_only(scales[rows]), ridge, *filled, parameters)
            return
        mixed = 1.0 - smoothing, smoothing / z.shape[1], read_only(weights)
        if (found := run(*table, *mixed, *skip, ridge, *filled, parameters)) >= 0:
            bad.append(start + int(found))

    share(len(z), work, max(1, _PER_THREAD // z.shape[1]))
    return min(bad, default=-1)


def plain(
    texts: Texts,
    p: Array,
    y: Array,
    values: Array,
    slopes: Array | None = None,
    *,
    parameters: tuple[float, ...] = (),
    class_weights: Array | None = None,
    smoothing: float = 0.0,
    ignored: int | None = None,
) -> int:
    """Fill values and gradient of a loss on probabilities, sum_k term(c_k, p_k).

    Parameters
    ----------
    texts : Texts
        The formulas, of ``(c, p, *parameters)``; where labels alone count, c = 0 must give 0.
    p : ndarray of float32 or float64, shape (n, k), C-contiguous
        Rows of probabilities, which are checked; rows with NaN pass.
    y, values, slopes, parameters, class_weights, smoothing, ignored
        As for :func:`softmax`.

    Returns
    -------
    int
        A row whose target or prediction is not what it should be, or -1.
    """
    hard = y.ndim == 1
    if hard and (stranger := _first_stranger(read_only(y), p.shape[1], ignored is not None, ignored or 0)) >= 0:
        return int(stranger)
    run = _plain(texts, p.dtype.name, hard and smoothing == 0.0, hard)
    whole = np.empty((0, p.shape[1]), p.dtype) if slopes is None else slopes
    weights = read_only(np.ones(p.shape[1]) if class_weights is None else class_weights)
    settings = 1.0 - smoothing, smoothing / p.shape[1], weights, ignored is not None, ignored or 0
    bad: list[int] = []

    def work(start: int, stop: int) -> None:
        part = slice(start, stop)
        found = run(read_only(p[part]), read_only(y[part]), *settings, values[part], whole[part], parameters)
        if found >= 0:
            bad.append(start + int(found))

    share(len(p), work, max(1, _PER_THREAD // p.shape[1]))
    return min(bad, default=-1)


@functools.lru_cache(maxsize=64)
def _plain(texts: Texts, dtype: str, hard: bool, labels: bool) -> Compiled:
    grade = "single" if dtype == "float32" else "double"
    names: dict[str, Any] = {
        "term": Compiled(texts.term, grade, _CONTRACT),
        "pull": Compiled(texts.pull, grade, _CONTRACT),
    }
    plan: Plan = (
        ("census", rows_soft.census_of_row, _LANES),
        ("blend", rows_soft.blend_row, _LANES),
        ("mix", _MIXES[labels, False], _CONTRACT),
        ("total", rows_plain.total_of_row, _LANES),
        ("spread", rows_plain.spread_over_row, _CONTRACT),
        ("improper", rows_plain.improper, _CONTRACT),
    )
    for name, text, fastmath in plan:
        names[name] = Compiled(word(completed(text, names)), grade, fastmath)
    text = rows_plain.label_rows if hard else rows_plain.mixed_rows
    return Compiled(completed(text, names), grade, _CONTRACT)


def rivals(
    price: Function,
    rate: Function,
    z: Array,
    labels: Array,
    values: Array,
    slopes: Array | None = None,
    *,
    margin: float = 1.0,
    class_weights: Array | None = None,
) -> int:
    """Fill values and gradient of w_y / k sum over j != y of price(margin - z_y + z_j).

    Parameters
    ----------
    price, rate : callable
        A formula of one number and its derivative, both marked ``@word``.
    z, labels, values, slopes : ndarray
        As for :func:`softmax`.
    margin : float
        By how much the label's score should lead.
    class_weights : ndarray of float64, shape (k,), optional
        w.

    Returns
    -------
    int
        The first row whose label is none (then nothing is written), or -1.
    """
    if (stranger := _first_stranger(read_only(labels), z.shape[1], False, 0)) >= 0:
        return int(stranger)
    run = _rivals(price, rate, z.dtype.name)
    whole = np.empty((0, z.shape[1]), z.dtype) if slopes is None else slopes
    weights = read_only(_NONE if class_weights is None else class_weights)

    def work(start: int, stop: int) -> None:
        part = slice(start, stop)
        run(read_only(z[part]), read_only(labels[part]), weights, float(margin), values[part], whole[part])

    share(len(z), work, max(1, _PER_THREAD // z.shape[1]))
    return -1


@functools.lru_cache(maxsize=64)
def _rivals(price: Function, rate: Function, dtype: str) -> Compiled:
    grade = "single" if dtype == "float32" else "double"
    names = {"price": Compiled(price, grade, _CONTRACT), "rate": Compiled(rate, grade, _CONTRACT)}
    compete = Compiled(word(completed(rows_margin.compete_row, names)), grade, _LANES)
    return Compiled(completed(rows_margin.rival_rows, {"compete": compete}), grade, _CONTRACT)


_first_stranger = compiled()(rows_hard.first_stranger)


@functools.lru_cache(maxsize=256)
def _loop(texts: Texts, dtype: str, hard: bool, labels: bool, short: bool) -> Compiled:
    """Complete the loops with the formulas and with what fits the dtype."""
    single = dtype == "float32"
    grade = "single" if single else "double"
    narrow = single and (hard or NARROW.issuperset((texts.term, texts.pull)))
    names: dict[str, Any] = {
        "Real": np.float32 if narrow else np.float64,
        "highest": Compiled(rows_exp.highest_single if single else rows_exp.highest_double, grade, _CONTRACT),
        "falling": Compiled(rows_exp.falling_single if narrow else rows_exp.falling_double, grade, _CONTRACT),
    }
    # Formulas round as they are written, also inside a loop whose sums may run in several lanes.
    for name, formula in (("term", texts.term), ("pull", texts.pull)):
        names[name] = Compiled(formula, "native" if narrow and not hard else grade, _CONTRACT)
    for name, text, fastmath in _HARD if hard else _SOFT:
        chosen = _CHOSEN[name][labels, short] if name in _CHOSEN else text
        names[name] = Compiled(word(completed(chosen, names)), grade, fastmath)
    module = rows_hard if hard else rows_soft
    return Compiled(completed(module.short_rows if short else module.long_rows, names), grade, _CONTRACT)


Plan = tuple[tuple[str, Function, frozenset[str]], ...]
_TILES: Plan = (
    ("spend", rows_hard.spend_row, _LANES),
    ("turn", rows_tiles.turn, _CONTRACT),
    ("turn_back", rows_tiles.turn_back, _CONTRACT),
    ("crown", rows_tiles.crown, _CONTRACT),
    ("spend_tile", rows_tiles.spend_tile, _CONTRACT),
)
_HARD: Plan = (
    *_TILES,
    ("head", rows_hard.head_of_row, _CONTRACT),
    ("worth", rows_hard.worth_of_labels, _CONTRACT),
    ("settle", rows_hard.settle_tile, _CONTRACT),
    ("stretch", rows_hard.stretch_tile, _CONTRACT),
)
_SOFT: Plan = (
    *_TILES,
    ("census", rows_soft.census_of_row, _LANES),
    ("blend", rows_soft.blend_row, _LANES),
    ("mix", rows_soft.mix_rows, _CONTRACT),
    ("weigh_one", rows_soft.weigh_class, _CONTRACT),
    ("weigh", rows_soft.weigh_row, _LANES),
    ("share_out", rows_soft.shares_of_row, _CONTRACT),
    ("level_out", rows_soft.levelled_row, _CONTRACT),
    ("spread", rows_soft.spread_row, _CONTRACT),
    ("share_out_tile", rows_soft.shares_of_tile, _CONTRACT),
    ("weigh_tile", rows_soft.weigh_classes, _CONTRACT),
    ("spread_tile", rows_soft.spread_over_tile, _CONTRACT),
)

_MIXES: dict[tuple[bool, bool], Function] = {
    (True, True): rows_soft.mix_tile_of_labels,
    (True, False): rows_soft.mix_labels,
    (False, True): rows_soft.mix_tile_of_rows,
    (False, False): rows_soft.mix_rows,
}
_CHOSEN: dict[str, dict[tuple[bool, bool], Function]] = {
    "mix": _MIXES,
    "stretch": {(True, True): rows_hard.stretch_tile, (True, False): rows_hard.stretch_row},
}
