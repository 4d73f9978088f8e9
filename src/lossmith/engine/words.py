"""What the words of ``ops`` mean on the scalars of a kernel, in three grades of accuracy."""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from ..ops import twofold
from ..ops.elementwise import DERIVED, PRIMITIVES
from . import native, rows_tiles, simd, single, turning

Function = Callable[..., Any]

_COMMON: dict[str, Function] = {
    "sqrt": lambda x: math.sqrt(x),
    "absolute": lambda x: abs(x),
    "where": twofold.select,
    "full_like": lambda x, value: float(value),
    "constant_rounding": lambda x, value: 0.0,  # scalars are float64
}
_DOUBLE: dict[str, Function] = {
    "exp": simd.exp,
    "log": simd.log,
    "log1p": simd.log1p,
    "expm1": simd.expm1,
    "tanh": simd.tanh,
    "erf": simd.erf,
    "lgamma": simd.lgamma,
    "power": simd.power,
    "product_rounding": simd.product_rounding,
    "quotient_rounding": lambda quotient, over, under: -twofold.product_error(quotient, under, over),
    "log1p_exp_neg": simd.log1p_exp_neg,
    "exp_sum_parts": simd.exp_sum_parts,
    "exp_neg": simd.exp_neg,
    "log1p_exp_neg_high": simd.log1p_exp_neg_high,
    "log1p_exp_neg_low": simd.log1p_exp_neg_low,
    "exp_neg_factors": simd.exp_neg_factors,
    "logistic_parts": simd.logistic_parts,
    "product_parts": simd.product_parts,
    "root_parts": simd.root_parts,
    "product_of_sums": simd.product_of_sums,
    "log_cosh_of_difference": simd.log_cosh_of_difference,
    "fallen_slope": simd.fallen_slope,
    # Sums round once or twice in 4 ulp, and what they lack counts once: it is left.
    "sum_parts": lambda x, y, low: (x + y, 0.0),
    "raised_parts": lambda a, x, x_low, y, y_low, scale: (a + scale * y * x, 0.0),
}
# float64 arithmetic has digits to spare for a float32 result: what rounding takes from a product need not be put back.
# (What it takes from a difference decides on which side of a kink a residual lies.)
_SINGLE: dict[str, Function] = {
    "exp": single.exp,
    "log": single.log,
    "log1p": single.log1p,
    "expm1": single.expm1,
    "tanh": single.tanh,
    "erf": single.erf,
    "lgamma": single.lgamma,
    "power": single.power,
    "product_rounding": lambda x, factor: 0.0,
    "quotient_rounding": lambda quotient, over, under: 0.0,
    "lost_part": lambda lost, whole: 0.0,
    "log1p_exp_neg": single.log1p_exp_neg,
    "log1p_exp_neg_high": single.log1p_exp_neg,
    "log1p_exp_neg_low": lambda x: 0.0,
    "exp_neg_factors": lambda x: (1.0, 0.0),  # nothing underflows that float32 can tell from 0
    "logistic_parts": single.logistic_parts,
    "product_parts": lambda x, x_low, y, y_low: (x * y, 0.0),
    "root_parts": lambda x, x_low: (math.sqrt(x), 0.0),
    "product_of_sums": lambda x, x_low, y, y_low: x * y,
    "sum_parts": lambda x, y, low: (x + y, 0.0),
    "fallen_slope": lambda q: q / ((1.0 + q) * (1.0 + q)),
    "raised_parts": lambda a, x, x_low, y, y_low, scale: (a + scale * x * y, 0.0),
}
_NATIVE: dict[str, Function] = {
    "full_like": lambda x, value: np.float32(value),
    "exp": native.exp,
    "log1p_exp_neg": native.log1p_exp_neg,
    "logistic_less": native.logistic_less,
    "logistic_slope": native.logistic_slope,
    "sech_squared": native.sech_squared,
    "tanh_of_difference": native.tanh_of_difference,
    "log_cosh_of_difference": native.log_cosh_of_difference,
}
GRADES = {
    "double": {**_COMMON, **_DOUBLE},
    "single": {**_COMMON, **_SINGLE},
    "native": {**_COMMON, **_NATIVE},
}
_SCALAR_MODULES = (twofold.__name__, simd.__name__, single.__name__, native.__name__, __name__)
# Texts that reckon with what rounding takes must round as written: a fused sum would count it twice.
LITERAL = frozenset({"product_error", "product_rounding", "rounding"})


def meaning(function: Function, grade: str) -> Function:
    """Return the scalar text of a word, or the function itself."""
    if function in _words():
        return GRADES[grade].get(function.__name__, function)
    return function


def inlined(function: Any) -> bool:
    """Tell whether a call of this function must never be left standing: it would keep a loop scalar."""
    if not isinstance(function, types.FunctionType):
        return False
    return function in _words() or function.__module__ in _SCALAR_MODULES


def vocabulary(value: Any) -> bool:
    """Tell whether a value is a module of words, of which formulas may say ``ops.exp``."""
    return isinstance(value, types.ModuleType) and value.__name__.startswith("lossmith.ops")


def _words() -> frozenset[Function]:
    return _frozen(len(PRIMITIVES), len(DERIVED))


@functools.cache
def _frozen(primitives: int, derived: int) -> frozenset[Function]:
    """Words by their number, since families add theirs as they are imported."""
    return frozenset((*PRIMITIVES, *DERIVED))


@functools.cache
def instructions() -> dict[Function, Any]:
    """Return the functions that are single machine instructions in a kernel."""
    from numba import types as kinds
    from numba.extending import intrinsic

    def common(x: Any, y: Any) -> Any:
        return kinds.float32 if x == y == kinds.float32 else kinds.float64

    @intrinsic  # type: ignore[untyped-decorator]
    def select(context: Any, condition: Any, x: Any, y: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.select(*arguments)

        kind = common(x, y)
        return kind(kinds.boolean, kind, kind), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def product_error(context: Any, x: Any, y: Any, product: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.fma(arguments[0], arguments[1], builder.fneg(arguments[2]))

        kind = common(x, y)
        return kind(kind, kind, kind), generate

    turn_square, turn_square_back = turning.generators()
    return {
        twofold.select: select,
        twofold.product_error: product_error,
        rows_tiles.turn_square: turn_square,
        rows_tiles.turn_square_back: turn_square_back,
    }
