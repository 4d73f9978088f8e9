"""Run a NumPy function on arrays of any library: what has no fixed shape of work is computed on the host.

Inside a traced program (``jax.jit``, ``tf.function``) the function becomes a call back to Python; inside
``torch.compile`` it is a graph break.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..ops import namespace

Array = Any
Host = npt.NDArray[Any]
Method = TypeVar("Method", bound=Callable[..., Any])
HostFunction = Callable[..., tuple[Host, ...]]


def kernels(f: Array) -> Any | None:
    """Return the module that computes on plain eager tensors of torch by NumPy's kernels; None for other arrays."""
    torch = None if type(f) is np.ndarray else sys.modules.get("torch")
    if torch is None or torch.compiler.is_compiling() or type(f) not in (torch.Tensor, torch.nn.Parameter):
        return None
    return _torch_kernels()


@functools.cache
def _torch_kernels() -> Any:
    from . import torch_kernels

    return torch_kernels


def is_torch(f: Array) -> bool:
    """Tell whether f is a tensor of torch, of whatever kind."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(f, torch.Tensor)


def torch_structured(loss: Any, parts: Sequence[Array], f: Array, weight: Array | None, reduction: str) -> Array:
    """Compute a structured loss on tensors of torch; arguments as in :func:`.torch_structured.reduced`."""
    from . import torch_structured

    return torch_structured.reduced(loss, parts, f, weight, reduction)


def is_jax(f: Array) -> bool:
    """Tell whether f is an array of JAX, or stands for one while JAX traces."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(f, jax.Array)


def is_tensorflow(f: Array) -> bool:
    """Tell whether f is a tensor of TensorFlow, eager or traced."""
    tf = sys.modules.get("tensorflow")
    return tf is not None and isinstance(f, (tf.Tensor, tf.Variable))


@functools.cache
def tensorflow_rows() -> Any:
    """Return the module that makes row-wise losses of labels functions of TensorFlow."""
    from . import tensorflow_rows

    return tensorflow_rows


@functools.cache
def tensorflow_structured() -> Any:
    """Return the module that makes structured losses functions of TensorFlow."""
    from . import tensorflow_structured

    return tensorflow_structured


def wide(f: Array) -> Array:
    """Return f in float64, or as it is where that may be missing: JAX, which has it on request, and Apple's GPUs."""
    if is_jax(f):
        return f if f.dtype.itemsize > 2 else f.astype("float32")
    xp = namespace(f)
    return f.float() if is_torch(f) and f.device.type == "mps" else xp.astype(f, xp.float64)


def alike(f: Array, x: Array) -> Array:
    """Bring an array of f's library or NumPy's to f's library and device."""
    if is_torch(f):
        return sys.modules["torch"].as_tensor(x, device=f.device)
    if is_jax(f):
        return sys.modules["jax"].numpy.asarray(x)
    return x if namespace(f) is np else sys.modules["tensorflow"].convert_to_tensor(x)


def jax_chain() -> Any:
    """Return the module that makes formulas functions of JAX."""
    from . import jax_chain

    return jax_chain


def by_kernels(method: Method) -> Method:
    """Let a method of predictions serve plain tensors of torch that nobody differentiates by: the same memory.

    Its arguments are (y_true, y_pred), (y_true, y_pred, vector) or (orders, y_true, y_pred, out).
    """

    @functools.wraps(method)
    def served(self: Any, *arguments: Any, **named: Any) -> Any:
        f = arguments[-2 if len(arguments) > 2 else -1] if arguments else None
        ours = kernels(f)
        if ours is None or named:
            return method(self, *arguments, **named)
        tensors = [a for a in arguments if not (a is None or isinstance(a, tuple))]
        if not ours.serves(f, *tensors):
            return method(self, *arguments)
        return ours.on_arrays(method, self, *arguments)

    return served  # type: ignore[return-value]


def run(
    function: HostFunction, f: Array, others: Sequence[Array], shapes: Sequence[tuple[int, ...]]
) -> tuple[Array, ...]:
    """Call ``function(f, *others)`` with NumPy arrays and return its results in f's library.

    Parameters
    ----------
    function : callable
        Takes NumPy arrays, returns a tuple of floating arrays.
    f : array
        Decides library, dtype and device of the results.
    others : sequence of arrays
        Of f's library or NumPy's.
    shapes : sequence of tuples
        The shapes of the results, which a tracing library must know beforehand.

    Returns
    -------
    tuple of arrays
        In f's library, dtype and device.

    Raises
    ------
    TypeError
        For arrays of another library, or one that cannot hand over its numbers.
    """
    check_libraries(f, others)
    kind: type = type(f)
    return _runner(kind)(function, f, others, shapes)


def check_libraries(f: Array, others: Sequence[Array]) -> None:
    """Raise a TypeError for targets of another library than f's or NumPy's."""
    xp = namespace(f)
    for other in others:
        if namespace(other) not in (np, xp):
            raise TypeError(
                f"targets of {type(other).__module__}.{type(other).__name__} do not go with predictions of "
                f"{type(f).__module__}.{type(f).__name__}; give both from one library, or NumPy targets"
            )


Runner = Callable[[HostFunction, Array, Sequence[Array], Sequence[tuple[int, ...]]], tuple[Array, ...]]


def _runner(kind: Any) -> Runner:
    roots = {ancestor.__module__.partition(".")[0] for ancestor in kind.__mro__}
    if "torch" in roots:
        return _torch
    if roots & {"jax", "jaxlib"}:
        return _jax
    if "tensorflow" in roots:
        return _tensorflow
    if "keras" in roots:
        return _keras
    if "numpy" in roots:
        return _numpy
    raise TypeError(
        f"this loss cannot compute on {kind.__module__}.{kind.__qualname__}; "
        "give NumPy, PyTorch, JAX or TensorFlow arrays"
    )


def _numpy(function: HostFunction, f: Host, others: Sequence[Array], shapes: Any) -> tuple[Host, ...]:
    return _cast(function(f, *others), f.dtype)


def _cast(results: tuple[Host, ...], dtype: Any) -> tuple[Host, ...]:
    with np.errstate(over="ignore", under="ignore"):  # a value beyond float16's range is its infinity
        return tuple(np.asarray(result).astype(dtype, copy=False) for result in results)


def _native(x: Array) -> Host:
    """Return a NumPy array of a kind that NumPy itself has: bfloat16 becomes float32."""
    array = np.asarray(x)
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def _torch(function: HostFunction, f: Array, others: Sequence[Array], shapes: Any) -> tuple[Array, ...]:
    torch = sys.modules["torch"]
    if torch.compiler.is_compiling():
        results: tuple[Array, ...] = torch.compiler.disable(_torch_now)(function, f, others)
        return results
    return _torch_now(function, f, others)


def _torch_now(function: HostFunction, f: Array, others: Sequence[Array]) -> tuple[Array, ...]:
    results: tuple[Array, ...] = _torch_constant().apply(function, f, *others)
    return results


@functools.cache
def _torch_constant() -> Any:
    """Return an operation without a derivative; only as such may it leave torch inside ``torch.func.grad``."""
    torch = sys.modules["torch"]
    base: Any = torch.autograd.Function

    class OnHost(base):  # type: ignore[misc]
        @staticmethod
        def forward(function: HostFunction, f: Array, *others: Array) -> tuple[Array, ...]:
            results = function(_from_torch(torch, f), *(_from_torch(torch, other) for other in others))
            arrays = (torch.as_tensor(np.array(result, order="C")) for result in results)
            return tuple(array.to(dtype=f.dtype, device=f.device) for array in arrays)

        @staticmethod
        def setup_context(context: Any, inputs: Any, output: Any) -> None:
            context.mark_non_differentiable(*output)

        @staticmethod
        def backward(context: Any, *gradients: Any) -> Any:
            return (None,) * len(context.needs_input_grad)

    return OnHost


def _from_torch(torch: Any, x: Array) -> Host:
    if not isinstance(x, torch.Tensor):
        return np.asarray(x)
    x = x.detach().cpu()
    return np.asarray((x.double() if x.is_floating_point() else x).numpy())


def _jax(
    function: HostFunction, f: Array, others: Sequence[Array], shapes: Sequence[tuple[int, ...]]
) -> tuple[Array, ...]:
    jax, dtype, rank = sys.modules["jax"], f.dtype, f.ndim

    def numbers(*arrays: Array) -> tuple[Host, ...]:
        return _cast(function(*map(_native, arrays)), dtype)

    def each(*arrays: Array) -> tuple[Host, ...]:
        """Compute one batch after the other; ``jax.vmap`` puts its axes before those of all arrays."""
        native = [np.asarray(array) for array in arrays]
        ahead = native[0].shape[: native[0].ndim - rank]
        if not ahead:
            return numbers(*native)
        found = [numbers(*(array[place] for array in native)) for place in np.ndindex(ahead)]
        return tuple(np.stack(parts).reshape(ahead + parts[0].shape) for parts in zip(*found, strict=True))

    traced = [array for array in (f, *others) if isinstance(array, jax.core.Tracer)]
    if traced:
        results = tuple(jax.ShapeDtypeStruct(shape, dtype) for shape in shapes)
        found = jax.pure_callback(each, results, f, *others, vmap_method="broadcast_all")
        # In jax.shard_map results must be known to differ between devices where the arguments do; XLA drops this.
        either = functools.reduce(operator.or_, [(array != array).any() for array in traced])
        return tuple(jax.numpy.where(either, result, result) for result in found)
    return tuple(jax.numpy.asarray(r) for r in numbers(f, *others))


def _tensorflow(
    function: HostFunction, f: Array, others: Sequence[Array], shapes: Sequence[tuple[int, ...]]
) -> tuple[Array, ...]:
    tf = sys.modules["tensorflow"]

    def numbers(*arrays: Array) -> tuple[Host, ...]:
        return _cast(function(*map(_native, arrays)), f.dtype.as_numpy_dtype)

    f = tf.convert_to_tensor(f)
    _refuse_xla(tf)
    results = tf.numpy_function(numbers, [f, *others], [f.dtype] * len(shapes))
    return tuple(tf.ensure_shape(r, shape) for r, shape in zip(results, shapes, strict=True))


def _refuse_xla(tf: Any) -> None:
    """Raise a TypeError inside ``tf.function(jit_compile=True)``, before XLA says it in its own way."""
    if tensorflow_structured().in_xla():
        raise TypeError(
            "this loss calls functions of Python and SciPy, which TensorFlow's XLA cannot compile; give "
            "compile(jit_compile=False) or tf.function(jit_compile=False), or choose Keras's JAX backend"
        )


def _keras(
    function: HostFunction, f: Array, others: Sequence[Array], shapes: Sequence[tuple[int, ...]]
) -> tuple[Array, ...]:
    keras = sys.modules["keras"]
    if isinstance(f, keras.KerasTensor):
        raise TypeError("this loss needs numbers, not a symbolic Keras tensor; give it to compile(loss=...)")
    native = keras.ops.convert_to_tensor(f)
    return run(function, native, [keras.ops.convert_to_numpy(other) for other in others], shapes)
