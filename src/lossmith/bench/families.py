"""The loss families of the benchmark: their settings, their shapes and their inputs."""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ..core.loss import Loss

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]
Shape = tuple[int, ...]
Make = Callable[[np.random.Generator, Shape], dict[str, Array]]

VALUE, GRADIENT, HESSIAN = "value", "gradient", "hessian"
OPERATIONS = (VALUE, GRADIENT, HESSIAN)
OPERATION_TITLES = {VALUE: "value", GRADIENT: "value + gradient", HESSIAN: "value + gradient + Hessian"}
DTYPES = ("float64", "float32")
SIZES = (100, 10_000, 1_000_000, 4_000_000)
QUICK_SIZES = (100, 10_000, 1_000_000)

ELEMENTWISE, ROWS, STRUCTURED, LINEAR = "elementwise", "row-wise", "structured", "linear"


@dataclass(frozen=True)
class Family:
    """A loss with its settings, and the inputs on which it is compared.

    Attributes
    ----------
    name : str
        In the registry, and what the user asks for.
    title : str
        For pages.
    tier : str
        Elementwise families are measured at the sizes of the run, others at their own shapes.
    make : callable
        ``make(generator, shape)`` gives "y" and "f" (and "w" for linear) in float64 or integers.
    settings : mapping
        Hyper-parameters; peers are set to the same.
    shapes, quick : tuples of shapes
        For a full and a quick run.
    wide : tuple of shapes
        Those that are measured in float64 too.
    axes : str
        What a shape's numbers are.
    operations : tuple of str
        What can be computed.
    loose : float
        How many times the usual tolerance is allowed: CTC in torch sums hundreds of frames in float32.
    gemms : callable, optional
        From a shape to the matrix products (m, k, n) that nobody can do without.
    tiny : shape
        Of a structured loss, for comparing numbers instead of times.
    """

    name: str
    title: str
    tier: str
    make: Make
    settings: Mapping[str, Any] = field(default_factory=dict)
    shapes: tuple[Shape, ...] = ()
    quick: tuple[Shape, ...] = ()
    wide: tuple[Shape, ...] = ()
    axes: str = "n"
    operations: tuple[str, ...] = (VALUE, GRADIENT)
    loose: float = 1.0
    gemms: Callable[[Shape], list[Shape]] | None = None
    tiny: Shape = ()

    def loss(self) -> Loss:
        """Return our loss with these settings."""
        from ..core.registry import get

        return get(self.name, **self.settings)


@dataclass(frozen=True)
class Work:
    """One piece of work: a family, what is asked for, and the inputs.

    Attributes
    ----------
    family, operation, dtype, shape
        As in the cell.
    arrays : mapping
        "y" and "f", and "w" for linear; floats in ``dtype``. Nobody may write into them.
    """

    family: Family
    operation: str
    dtype: str
    shape: Shape
    arrays: Arrays

    @property
    def name(self) -> str:
        """The family's name."""
        return self.family.name

    @property
    def y(self) -> Array:
        """The targets."""
        return self.arrays["y"]

    @property
    def f(self) -> Array:
        """The predictions."""
        return self.arrays["f"]

    @property
    def count(self) -> int:
        """Samples: values of the loss."""
        return int(self.f.size) if self.family.tier == ELEMENTWISE else len(self.f)

    @property
    def inputs(self) -> list[Array]:
        """What must be read."""
        return [self.arrays[name] for name in self.arrays]

    @property
    def results(self) -> list[tuple[Shape, str]]:
        """Shapes and dtypes of what must be written: values and derivatives."""
        if self.operation == VALUE:
            return []
        values = [self.f.shape] if self.family.tier == ELEMENTWISE else [(self.count,)]
        derivatives = [self.f.shape] * (2 if self.operation == HESSIAN else 1)
        more = [self.arrays["w"].shape] if self.family.tier == LINEAR else []
        return [(shape, self.dtype) for shape in (*values, *derivatives, *more)]

    @property
    def moved(self) -> int:
        """Bytes that are read and written at least."""
        written = sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in self.results)
        return sum(array.nbytes for array in self.inputs) + written


def prepare(family: Family, operation: str, dtype: str, shape: Shape) -> Work:
    """Make the inputs of a cell; the same for every contender and every run.

    Parameters
    ----------
    family : Family
        Which loss.
    operation, dtype : str
        What is asked for, in which precision.
    shape : tuple of int
        The family's shape.
    """
    return Work(family, operation, dtype, shape, _inputs(family.name, dtype, shape))


# The operations of one shape follow each other, so one set of inputs is kept.
@functools.lru_cache(maxsize=1)
def _inputs(name: str, dtype: str, shape: Shape) -> Arrays:
    seed = zlib.crc32(f"{name} {shape}".encode())
    made = FAMILIES[name].make(np.random.default_rng(seed), shape)
    arrays = {}
    for key, array in made.items():
        given = array.astype(dtype) if array.dtype.kind == "f" else array
        arrays[key] = np.ascontiguousarray(given)
    return arrays


# --- inputs ---------------------------------------------------------------------------------------------


def _real(rng: np.random.Generator, shape: Shape) -> dict[str, Array]:
    y = rng.standard_normal(shape)
    return {"y": y, "f": y + 1.5 * rng.standard_normal(shape)}


def _binary(rng: np.random.Generator, shape: Shape) -> dict[str, Array]:
    return {"y": rng.integers(0, 2, shape).astype(float), "f": 3.0 * rng.standard_normal(shape)}


def _signs(rng: np.random.Generator, shape: Shape) -> dict[str, Array]:
    return {"y": 2.0 * rng.integers(0, 2, shape) - 1.0, "f": 1.5 * rng.standard_normal(shape)}


def _counts(rng: np.random.Generator, shape: Shape) -> dict[str, Array]:
    return {"y": rng.poisson(2.0, shape).astype(float), "f": 0.7 + 0.8 * rng.standard_normal(shape)}


def _amounts(rng: np.random.Generator, shape: Shape) -> dict[str, Array]:
    return {"y": rng.gamma(2.0, 1.0, shape), "f": 0.7 + 0.8 * rng.standard_normal(shape)}


def _classes(rng: np.random.Generator, shape: Shape) -> dict[str, Array]:
    n, k = shape
    return {"y": rng.integers(0, k, n), "f": 3.0 * rng.standard_normal(shape)}


def _distributions(rng: np.random.Generator, shape: Shape) -> dict[str, Array]:
    e = np.exp(rng.standard_normal(shape))
    return {"y": e / e.sum(axis=1, keepdims=True), "f": 2.0 * rng.standard_normal(shape)}


def _gaussian(rng: np.random.Generator, shape: Shape) -> dict[str, Array]:
    (n,) = shape
    return {"y": rng.standard_normal(n), "f": 0.8 * rng.standard_normal((n, 2))}


def _masks(rng: np.random.Generator, shape: Shape) -> dict[str, Array]:
    return {"y": rng.integers(0, 2, shape).astype(float), "f": 2.0 * rng.standard_normal(shape)}


def _sequences(rng: np.random.Generator, shape: Shape) -> dict[str, Array]:
    frames, count, classes, labels = shape
    return {
        "y": rng.integers(1, classes, (count, labels)),
        "f": 2.0 * rng.standard_normal((count, frames, classes)),
    }


def _embedded(rng: np.random.Generator, shape: Shape) -> dict[str, Array]:
    n, d, classes = shape
    return {"y": np.arange(n) % classes, "f": rng.standard_normal((n, d)) / math.sqrt(d)}


def _views(rng: np.random.Generator, shape: Shape) -> dict[str, Array]:
    """Two views of each of n/2 things."""
    n, d = shape
    centres = np.repeat(rng.standard_normal((n // 2, d)), 2, axis=0)
    return {"y": np.repeat(np.arange(n // 2), 2), "f": centres + 0.7 * rng.standard_normal((n, d))}


def _queries(rng: np.random.Generator, shape: Shape) -> dict[str, Array]:
    """Queries and then their keys."""
    t, d = shape
    centres = rng.standard_normal((t, d))
    both = np.concatenate([centres, centres]) + 0.7 * rng.standard_normal((2 * t, d))
    return {"y": np.stack([np.arange(t), np.arange(t, 2 * t)], axis=1), "f": both}


def _hidden(rng: np.random.Generator, shape: Shape) -> dict[str, Array]:
    n, d, k = shape
    weights = rng.standard_normal((k, d)) / math.sqrt(d)
    return {"y": rng.integers(0, k, n), "f": rng.standard_normal((n, d)), "w": weights}


# --- the list -------------------------------------------------------------------------------------------


def _scalar(name: str, title: str, make: Make, **settings: Any) -> Family:
    return Family(name, title, ELEMENTWISE, make, settings, operations=OPERATIONS)


_SOFTMAX: tuple[Shape, ...] = ((100_000, 10), (20_000, 1_000), (2_048, 32_000))
_ALL = (
    _scalar("bce", "Binary cross-entropy", _binary),
    _scalar("huber", "Huber", _real, delta=1.0),
    _scalar("log_cosh", "Log-cosh", _real),
    _scalar("pseudo_huber", "Pseudo-Huber", _real, delta=1.0),
    _scalar("focal", "Binary focal", _binary, gamma=2.0),
    _scalar("quantile", "Quantile (pinball)", _real, q=0.9),
    _scalar("poisson_nll", "Poisson", _counts),
    _scalar("gamma_nll", "Gamma", _amounts),
    _scalar("tweedie", "Tweedie", _amounts),
    _scalar("mse", "Squared error", _real),
    _scalar("mae", "Absolute error", _real),
    _scalar("tukey", "Tukey", _real, c=4.685),
    _scalar("hinge", "Hinge", _signs),
    _scalar("squared_hinge", "Squared hinge", _signs),
    Family("cce", "Softmax cross-entropy", ROWS, _classes, {}, _SOFTMAX, ((10_000, 10), (2_000, 1_000)),
           ((100_000, 10),), "n x k"),
    Family("categorical_focal", "Softmax focal", ROWS, _classes, {"gamma": 2.0}, ((100_000, 10), (20_000, 1_000)),
           ((10_000, 10),), (), "n x k"),
    Family("kl_divergence", "KL divergence of logits", ROWS, _distributions, {}, ((100_000, 10), (20_000, 1_000)),
           ((10_000, 10),), (), "n x k"),
    Family("multi_margin", "Multi-class margin", ROWS, _classes, {}, ((100_000, 10), (20_000, 1_000)),
           ((10_000, 10),), (), "n x k"),
    Family("gaussian_nll", "Gaussian NLL", ROWS, _gaussian, {}, ((1_000_000,),), ((100_000,),), (), "n"),
    Family("dice", "Dice", STRUCTURED, _masks, {"inputs": "logits", "smooth": 0.0}, ((16, 512, 512),),
           ((4, 128, 128),), (), "N x H x W", tiny=(3, 4, 5)),
    Family("ctc", "CTC", STRUCTURED, _sequences, {}, ((200, 16, 40, 30), (500, 32, 1_000, 50)),
           ((50, 8, 40, 10),), (), "T, N, C, S", loose=20.0, tiny=(6, 3, 4, 2)),
    Family("triplet", "Triplet, all valid triplets", STRUCTURED, _embedded, {"distance": "euclidean"},
           ((128, 128, 16), (512, 128, 16)), ((128, 64, 16),), (), "n x d, classes", tiny=(9, 4, 3)),
    Family("contrastive", "Contrastive, all pairs", STRUCTURED, _embedded, {"margin": 1.0},
           ((512, 128, 16), (4_096, 128, 16)), ((128, 64, 16),), (), "n x d, classes", tiny=(9, 4, 3)),
    Family("nt_xent", "NT-Xent", STRUCTURED, _views, {"temperature": 0.1}, ((256, 128), (4_096, 128)),
           ((256, 64),), (), "n x d", tiny=(8, 4), gemms=lambda s: [(s[0], s[1], s[0]), (s[0], s[0], s[1])]),
    Family("info_nce", "InfoNCE", STRUCTURED, _queries, {"temperature": 0.1}, ((2_048, 128),),
           ((128, 64),), (), "pairs x d", tiny=(4, 4),
           gemms=lambda s: [(s[0], s[1], s[0]), (s[0], s[0], s[1]), (s[0], s[0], s[1])]),
    Family("linear_cross_entropy", "Linear + cross-entropy", LINEAR, _hidden, {}, ((4_096, 512, 32_000),),
           ((512, 128, 4_000),), (), "n x d -> k",
           operations=(GRADIENT,),
           gemms=lambda s: [(s[0], s[1], s[2]), (s[0], s[2], s[1]), (s[2], s[0], s[1])]),
)  # fmt: skip
FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}


def shapes_of(family: Family, sizes: Sequence[int], quick: bool) -> tuple[Shape, ...]:
    """Return the shapes a family is measured at.

    Parameters
    ----------
    family : Family
        Which.
    sizes : sequence of int
        Of elementwise families.
    quick : bool
        Small shapes for the others.
    """
    if family.tier == ELEMENTWISE:
        return tuple((size,) for size in sizes)
    return family.quick if quick else family.shapes


def dtypes_of(family: Family, shape: Shape, wanted: Sequence[str], quick: bool) -> tuple[str, ...]:
    """Return the precisions a shape is measured in: large rows and structures are single precision's work.

    Parameters
    ----------
    family : Family
        Which.
    shape : tuple of int
        One of its shapes.
    wanted : sequence of str
        What was asked for; with a single one there is nothing to choose.
    quick : bool
        Elementwise families in float64 only.
    """
    if len(wanted) == 1:
        return tuple(wanted)
    if family.tier == ELEMENTWISE:
        return ("float64",) if quick else tuple(wanted)
    return tuple(dtype for dtype in wanted if dtype == "float32" or (shape in family.wide and not quick))


def operations_of(family: Family, shape: Shape, quick: bool) -> tuple[str, ...]:
    """Return what is computed at a shape; a quick run asks for the value alone only where calls are short.

    Parameters
    ----------
    family : Family
        Which.
    shape : tuple of int
        One of its shapes.
    quick : bool
        Leave out most.
    """
    if not quick:
        return family.operations
    if family.tier != ELEMENTWISE or shape[0] > SIZES[1]:
        return (GRADIENT,)
    return (VALUE, GRADIENT) if shape[0] <= SIZES[0] else (VALUE,)
