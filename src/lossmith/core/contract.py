"""The one input contract: what any loss accepts as targets, predictions and weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ops import full_like, is_numpy, namespace, where

Array = Any
_CONVERTED = {"pandas", "polars", "pyarrow", "builtins"}
_NARROW = (np.int8, np.int16, np.uint8, np.uint16, np.uint32, np.uint64)


def as_array(value: Any, argument: str) -> Array:
    """Return an array of a supported library; lists, numbers and data-frame columns become NumPy arrays.

    Raises
    ------
    TypeError
        For None, text and other things that are no numbers.
    ValueError
        For rows of different lengths, and for masked arrays that hide numbers.
    """
    if value is None:
        raise TypeError(f"{argument} is None; give an array of numbers")
    value = plain(value, argument)
    if type(value).__module__.partition(".")[0] not in _CONVERTED and not isinstance(value, np.generic):
        library = namespace(value)
        if not isinstance(library, type):
            return value
        adapter: Any = library  # of ours, for TensorFlow or Keras
        return adapter.settled(value)
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{argument} is ragged (rows of different lengths); give a rectangular array") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{argument} has dtype {array.dtype}; give numbers (encode text or dates first)")
    return array


def plain(value: Any, argument: str) -> Any:
    """Return a matrix or another kind of NumPy's array as an array, in which * is what the formulas mean by it.

    Parameters
    ----------
    value : object
        An array of NumPy; anything else is returned as it is.
    argument : str
        Its name, for the message.

    Returns
    -------
    object
        Of type numpy.ndarray, if it was one of a kind.

    Raises
    ------
    ValueError
        For a masked array that hides numbers.
    """
    if not isinstance(value, np.ndarray) or type(value) is np.ndarray:
        return value
    if np.ma.is_masked(value):
        raise ValueError(
            f"{argument} is a masked array with {int(np.ma.getmaskarray(value).sum())} hidden numbers; "
            f"leave those samples out, or give {argument}.data with sample_weight 0 where they are"
        )
    return np.asarray(value)


def settled(y: Any, f: Any) -> bool:
    """Tell whether targets and predictions are NumPy's, of one shape and floating dtype: nothing need be converted."""
    if type(y) is not np.ndarray or type(f) is not np.ndarray or y.dtype is not f.dtype:
        return False
    return f.dtype.char in "df" and f.size > 0 and y.shape == f.shape


def predictions(value: Any, argument: str = "y_pred") -> Array:
    """Return predictions as a floating array.

    Raises
    ------
    ValueError
        For an empty array, and for narrow integers, whose differences wrap around.
    """
    if type(value) is np.ndarray and value.dtype.char in "df" and value.size:
        return value  # the usual case, and a call takes only a few microseconds
    array = as_array(value, argument)
    if not is_numpy(array):
        return array
    if array.dtype.type in _NARROW:
        raise ValueError(
            f"{argument} has dtype {array.dtype}, in which differences wrap around; pass {argument}.astype(float)"
        )
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{argument} has dtype {array.dtype}; give real numbers")
    refuse_empty(array, argument)
    return array if array.dtype.kind == "f" else _exact(array, np.dtype(np.float64), argument)


def targets(value: Any, like: Array, argument: str = "y_true") -> Array:
    """Return targets in the library and floating dtype of the predictions.

    Raises
    ------
    TypeError
        When the libraries differ.
    ValueError
        When an integer target cannot be represented in that dtype.
    """
    if type(value) is np.ndarray and type(like) is np.ndarray and value.dtype is like.dtype and value.size:
        return value
    array = as_array(value, argument)
    ours, theirs = namespace(array), namespace(like)
    if ours is not theirs:
        raise TypeError(
            f"{argument} is {type(array).__module__}.{type(array).__name__} and y_pred is "
            f"{type(like).__module__}.{type(like).__name__}; give both from one library"
        )
    if is_numpy(like):
        refuse_empty(array, argument)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"{argument} has dtype {array.dtype}; give real numbers")
        wide = np.dtype(np.float64) if array.dtype == np.float64 else like.dtype
        return _exact(array, np.promote_types(wide, like.dtype), argument)
    return array if array.dtype == like.dtype else ours.astype(array, like.dtype)


def _exact(array: Array, dtype: np.dtype[Any], argument: str) -> Array:
    """Convert, refusing whole numbers beyond the dtype's exact range."""
    if array.dtype.kind in "iu" and array.dtype.itemsize >= dtype.itemsize - 1:
        limit = 2 ** (np.finfo(dtype).nmant + 1)
        if array.max() > limit or array.min() < -limit:
            raise ValueError(
                f"{argument} of dtype {array.dtype} holds whole numbers beyond {limit}, which {dtype} "
                "cannot represent exactly; scale them or pass floats"
            )
    return array.astype(dtype, copy=False)


def refuse_empty(array: Array, argument: str) -> None:
    """Raise a ValueError for an array without elements."""
    if array.size == 0:
        raise ValueError(f"{argument} is empty (shape {array.shape}); give at least one sample")


def same_shape(y: Array, f: Array, *, broadcast: bool) -> tuple[Array, Array]:
    """Require equal shapes, or broadcast when the caller says so.

    Raises
    ------
    ValueError
        Names both shapes and the remedy.
    """
    ours, theirs = tuple(y.shape), tuple(f.shape)
    if ours == theirs:
        return y, f
    if broadcast:
        try:
            shape = np.broadcast_shapes(ours, theirs)
        except ValueError:
            raise ValueError(f"y_true {ours} and y_pred {theirs} cannot be broadcast") from None
        xp = namespace(f)
        return xp.broadcast_to(y, shape), xp.broadcast_to(f, shape)
    raise ValueError(
        f"y_true has shape {ours} and y_pred has shape {theirs}; they must be equal "
        "(reshape one, or pass broadcast=True if every combination is meant)"
    )


def weights(value: Any, values_shape: tuple[int, ...], like: Array, *, numbers: bool = True) -> Array | None:
    """Return weights in the shape of the per-sample values.

    Weights of shape (n,) against values (n, ...) weigh whole samples. ``numbers`` tells whether the numbers are
    checked here.

    Raises
    ------
    ValueError
        For a shape that does not fit, negative, infinite or NaN weights.
    """
    if value is None:
        return None
    array = targets(value, like, "sample_weight")
    given = tuple(array.shape)
    if given != values_shape[: len(given)] or not given:
        raise ValueError(
            f"sample_weight has shape {given}; give one weight for each of the values {values_shape} "
            f"or for each sample ({values_shape[0] if values_shape else 0},)"
        )
    if numbers and is_numpy(array):
        check_weights(array)
    if given == values_shape:
        return array
    xp = namespace(like)
    shape = given + (1,) * (len(values_shape) - len(given))
    return xp.broadcast_to(xp.reshape(array, shape), values_shape)


def without_absent(y: Array, f: Array, weight: Array) -> tuple[Array, Array]:
    """Return targets and predictions that are ordinary numbers wherever the weight is 0.

    A sample that does not count may hold NaN, which would pass from a derivative into those of the samples that do.

    Parameters
    ----------
    y, f : array
        Targets and predictions, one for each weight or rows (..., k).
    weight : array
        Weights of the shape of the per-sample values.

    Returns
    -------
    tuple of arrays
        Targets, 1 where the weight is 0 (labels 0), and predictions, there 1/2: all losses are smooth in it.
    """

    def present(x: Array, ordinary: float) -> Array:
        absent = weight == 0.0
        for _ in range(len(x.shape) - len(weight.shape)):
            absent = absent[..., None]
        return where(absent, full_like(x, ordinary), x)

    return present(y, 1.0 if "float" in str(y.dtype) else 0), present(f, 0.5)


def check_weights(array: Array) -> None:
    """Raise a ValueError for weights that are no finite numbers >= 0."""
    if not (array.min() >= 0 and array.max() < np.inf):
        raise ValueError("sample_weight holds negative, infinite or NaN numbers; give finite numbers >= 0")


def check_out(out: Any, count: int, like: Array) -> tuple[Array, ...] | None:
    """Check the arrays that a caller gives to be filled.

    Raises
    ------
    TypeError
        When ``out`` is no tuple of NumPy arrays.
    ValueError
        When a shape or dtype differs.
    """
    if out is None:
        return None
    if not isinstance(out, tuple) or len(out) != count:
        raise TypeError(f"out must be a tuple of {count} arrays to fill")
    for array in out:
        if not isinstance(array, np.ndarray):
            raise TypeError("out works for NumPy arrays; other libraries return new arrays")
        if array.shape != like.shape or array.dtype != like.dtype or not array.flags.writeable:
            raise ValueError(
                f"out holds an array of shape {array.shape} and dtype {array.dtype}; "
                f"writeable arrays of shape {like.shape} and dtype {like.dtype} are filled"
            )
    return out
