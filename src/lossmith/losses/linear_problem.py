"""From what a caller gives to the sweep and back: checks, the rows that count, the reduction."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ..core import contract
from ..core.reduce import reduce
from . import linear_blas
from .linear_rows import Targets
from .linear_sweep import Backend, Chosen, Layer, Wanted, chunk_rows, sweep

Array = Any
Host = npt.NDArray[Any]
Gradients = tuple[Array, Array, Array | None]

NAME = "LinearCrossEntropy"


class Settings(Protocol):
    """The hyper-parameters of the loss."""

    @property
    def label_smoothing(self) -> float: ...
    @property
    def class_weights(self) -> tuple[float, ...] | None: ...
    @property
    def ignore_index(self) -> int | None: ...
    @property
    def z_loss(self) -> float: ...
    @property
    def softcap(self) -> float | None: ...


class Problem(NamedTuple):
    """Inputs that passed the checks, rows flat.

    Attributes
    ----------
    layer : Layer
        The linear layer.
    chosen : Chosen
        The rows that count.
    weight : array, shape (n,), or None
        Sample weights of all rows.
    measure : array, shape (n,)
        What each row counts in the mean besides its weight.
    shape : tuple of int
        Shape of the labels.
    """

    layer: Layer
    chosen: Chosen
    weight: Array | None
    measure: Array
    shape: tuple[int, ...]


def read(loss: Settings, y_true: Any, X: Any, W: Any, bias: Any, sample_weight: Any) -> Problem:
    """Check NumPy inputs of the loss; arguments and errors as in its call."""
    x, w = (_floating(value, name) for value, name in ((X, "X"), (W, "W")))
    b = None if bias is None else _floating(bias, "bias")
    check_layer(x, w, b)
    y = _of_numpy(contract.as_array(y_true, "y_true"), "y_true")
    check_labels_shape(tuple(y.shape), tuple(x.shape))
    weight = contract.weights(sample_weight, y.shape, x)
    flat = None if weight is None else np.ascontiguousarray(weight, x.dtype).reshape(-1)
    b = None if b is None else _computable(b)
    layer = Layer(_computable(x.reshape(-1, x.shape[-1])), _computable(w), b, loss.softcap)
    chosen, measure = _choose(loss, y.reshape(-1), flat, len(w))
    return Problem(layer, chosen, flat, measure, y.shape)


def solve(
    backend: Backend, problem: Problem, wanted: Wanted, reduction: str, chunk_size: int | None
) -> tuple[Array, Gradients]:
    """Compute the reduced loss and its gradients.

    Parameters
    ----------
    backend : Backend
        Works on the problem's arrays.
    problem : Problem
        What passed the checks.
    wanted : Wanted
        Which gradients to compute.
    reduction : {"mean", "sum", "none"}
        Of the value and the gradients.
    chunk_size : int or None
        Rows of logits to hold at a time.

    Returns
    -------
    tuple
        The value, and gradients in the dtype in which the backend accumulates.
    """
    layer, chosen, weight, measure, shape = problem
    step = chunk_length(chunk_size, backend, layer, any(wanted))
    mass = float((measure if weight is None else weight * measure).sum())
    factor = 1.0 if reduction != "mean" else (1.0 / mass if mass else 0.0)
    found = sweep(backend, layer, chosen, step, wanted, factor)
    value = reduce(found.values, weight, reduction, measure)
    by_x = None if found.x is None else found.x.reshape(*shape, -1)
    return value.reshape(shape) if reduction == "none" else value, (by_x, found.w, found.bias)


def chunk_length(given: int | None, backend: Backend, layer: Layer, gradients: bool) -> int:
    """Return the rows of a chunk: what the caller says, or what suits the machine.

    Raises
    ------
    ValueError
        For a chunk of no rows.
    """
    if given is None:
        twice = gradients and layer.softcap is not None
        return chunk_rows(layer.x.shape[0], layer.w.shape[0], backend.room(layer.x), twice)
    if isinstance(given, bool) or int(given) != given or given < 1:
        raise ValueError(f"{NAME}: chunk_size={given!r} is not accepted; give a whole number >= 1, or None")
    return int(given)


def check_layer(x: Array, w: Array, bias: Array | None, names: tuple[str, str] = ("X", "W")) -> None:
    """Check shapes and dtypes of inputs, coefficients and bias, arrays of any library.

    Raises
    ------
    ValueError
        Names both shapes.
    TypeError
        Names both dtypes.
    """
    (ours, theirs), (first, second) = (tuple(x.shape), tuple(w.shape)), names
    if len(theirs) != 2 or len(ours) < 2 or ours[-1] != theirs[1]:
        raise ValueError(
            f"{NAME}: {first} has shape {ours} and {second} has shape {theirs}; give {first} of shape (..., d) and "
            f"{second} of shape (k, d), one row for each class"
        )
    if bias is not None and tuple(bias.shape) != theirs[:1]:
        raise ValueError(
            f"{NAME}: bias has shape {tuple(bias.shape)} and {second} has shape {theirs}; give shape ({theirs[0]},)"
        )
    for other, name in ((w, second), (bias, "bias")):
        if other is not None and other.dtype != x.dtype:
            raise TypeError(f"{NAME}: {first} has dtype {x.dtype} and {name} has dtype {other.dtype}; give one dtype")


def check_labels_shape(
    labels: tuple[int, ...], inputs: tuple[int, ...], names: tuple[str, str] = ("y_true", "X")
) -> None:
    """Require one label for each row of inputs.

    Raises
    ------
    ValueError
        Names both shapes.
    """
    if labels != inputs[:-1]:
        raise ValueError(
            f"{NAME}: {names[0]} has shape {labels} and {names[1]} has shape {inputs}; "
            f"give labels of shape {inputs[:-1]}"
        )


def check_class_weights(loss: Settings, k: int) -> None:
    """Require one class weight for each class.

    Raises
    ------
    ValueError
        Names both numbers.
    """
    if loss.class_weights is not None and len(loss.class_weights) != k:
        raise ValueError(
            f"{NAME}: {len(loss.class_weights)} class weights were given and W has {k} rows; "
            "give one weight for each class"
        )


def _choose(loss: Settings, label: Host, weight: Host | None, k: int) -> tuple[Chosen, Host]:
    """Return the rows that count, and what each row counts in the mean."""
    check_class_weights(loss, k)
    counts = np.ones(len(label), bool) if loss.ignore_index is None else label != loss.ignore_index
    if weight is not None:
        counts &= weight != 0
    index = None if counts.all() else np.flatnonzero(counts)
    by_class = None if loss.class_weights is None else np.array(loss.class_weights)
    kept = _labels(label if index is None else label[index], k)
    targets = Targets(kept, loss.label_smoothing, by_class, loss.z_loss)
    measure = np.zeros(len(counts))
    measure[counts] = targets.masses(k)
    return Chosen(targets, index, weight if weight is None or index is None else weight[index]), measure


def _of_numpy(array: Any, argument: str) -> Host:
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"{NAME}: {argument} is {type(array).__module__}.{type(array).__name__}; give NumPy arrays "
            "(torch: lossmith.frameworks.torch_linear.linear_cross_entropy)"
        )
    return array


def _floating(value: Any, argument: str) -> Host:
    array: Host = contract.predictions(_of_numpy(contract.as_array(value, argument), argument), argument)
    if array.dtype.type not in (np.float32, np.float64):
        raise TypeError(f"{NAME}: {argument} has dtype {array.dtype}; give float32 or float64")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _computable(array: Host) -> Host:
    """Return an array that BLAS can read, the same one if possible."""
    return array if array.ndim < 2 or linear_blas.lies_well(array) else np.ascontiguousarray(array)


def _labels(label: Host, k: int) -> npt.NDArray[np.int64]:
    outside = ~((label >= 0) & (label < k))
    if label.dtype.kind == "f":
        outside |= label != np.floor(label)
    if outside.any():
        raise ValueError(
            f"{NAME}: y_true holds the label {label[outside][0]:g}; accepted are whole numbers 0 ... {k - 1} "
            f"(W has {k} rows)"
        )
    return label.astype(np.int64)
