"""The bars of this project's speed, in the words in which they were set, and what a run says about them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .families import ELEMENTWISE, FAMILIES, GRADIENT, HESSIAN, VALUE, Shape
from .record import MEMORY, OURS, Cell, Results

SIX = ("bce", "huber", "log_cosh", "focal", "quantile", "poisson_nll")
_LARGE = (4_000_000,)
MET, MISSED, PARTLY, UNKNOWN = "met", "missed", "partly", "not in this run"


@dataclass(frozen=True)
class Number:
    """One measured number of a bar.

    Attributes
    ----------
    label : str
        Of which loss or shape.
    value : float
        Ours, with results written into given arrays where the loss can.
    fresh : float or None
        The same with results in new arrays, where that was measured too.
    """

    label: str
    value: float
    fresh: float | None = None


@dataclass(frozen=True)
class Demand:
    """One inequality of a bar.

    Attributes
    ----------
    text : str
        In the words in which it was set.
    relation : {"<=", ">="}
        How the numbers must stand to ``limit``.
    limit : float
        The bar.
    unit : str
        Put after a number.
    numbers : callable
        What a run says.
    """

    text: str
    relation: str
    limit: float
    unit: str
    numbers: Callable[[Results], list[Number]]

    def holds(self, value: float) -> bool:
        """Tell whether a number reaches the bar."""
        return value <= self.limit if self.relation == "<=" else value >= self.limit


@dataclass(frozen=True)
class Bar:
    """A row of the table: some work, and what is demanded of it.

    Attributes
    ----------
    work : str
        In the words in which it was set.
    demands : tuple of Demand
        All must hold.
    elsewhere : str
        Where it is measured, if not here.
    """

    work: str
    demands: tuple[Demand, ...] = ()
    elsewhere: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a run says about a demand.

    Attributes
    ----------
    work, text : str
        In the words in which they were set.
    numbers : tuple of Number
        Worst first.
    status : {"met", "missed", "partly", "not in this run"}
        "partly": some losses reach the bar.
    demand : Demand or None
        Which; None for what is measured elsewhere.
    """

    work: str
    text: str
    numbers: tuple[Number, ...]
    status: str
    demand: Demand | None

    @property
    def worst(self) -> Number | None:
        """The number that is farthest from the bar, or least inside."""
        return self.numbers[0] if self.numbers else None

    @property
    def best(self) -> Number | None:
        """The number that is farthest inside."""
        return self.numbers[-1] if self.numbers else None


def verdicts(results: Results) -> list[Verdict]:
    """Return what a run says about every bar.

    Parameters
    ----------
    results : Results
        Finished or not.

    Returns
    -------
    list of Verdict
        One for each demand, in the order of the table.
    """
    found = []
    for bar in BARS:
        if bar.elsewhere:
            found.append(Verdict(bar.work, bar.elsewhere, (), UNKNOWN, None))
        found += [_judge(bar.work, demand, demand.numbers(results)) for demand in bar.demands]
    return found


def _judge(work: str, demand: Demand, numbers: Sequence[Number]) -> Verdict:
    ordered = sorted(numbers, key=lambda n: n.value, reverse=demand.relation == "<=")
    inside = sum(demand.holds(number.value) for number in ordered)
    status = UNKNOWN if not ordered else MET if inside == len(ordered) else PARTLY if inside else MISSED
    return Verdict(work, demand.text, tuple(ordered), status, demand)


# --- numbers ------------------------------------------------------------------------------------------------


def _cells(results: Results, families: Sequence[str], operation: str, dtype: str, shape: Shape) -> list[Cell]:
    found = (results.cell(family, operation, dtype, shape) for family in families)
    return [cell for cell in found if cell is not None]


def _over(cell: Cell, label: str, rival: float | None) -> list[Number]:
    """Our time over a rival's."""
    return _numbers(cell, label, rival, lambda mine, other: mine / other)


def _faster(cell: Cell, label: str, rival: float | None) -> list[Number]:
    """How many times faster than a rival we are."""
    return _numbers(cell, label, rival, lambda mine, other: other / mine)


def _numbers(cell: Cell, label: str, rival: float | None, ratio: Callable[[float, float], float]) -> list[Number]:
    best, fresh = cell.best(OURS), cell.seconds(OURS, "")
    if best is None or best.median is None or not rival:
        return []
    other = ratio(fresh, rival) if fresh is not None and best.variant else None
    return [Number(label, ratio(best.median, rival), other)]


def _limit_ratio(dtype: str) -> Callable[[Results], list[Number]]:
    return lambda results: [
        number
        for cell in _cells(results, SIX, GRADIENT, dtype, _LARGE)
        for number in _over(cell, cell.family, cell.seconds(MEMORY))
    ]


def _speedup(rival: str, dtype: str) -> Callable[[Results], list[Number]]:
    return lambda results: [
        number
        for cell in _cells(results, SIX, GRADIENT, dtype, _LARGE)
        for number in _faster(cell, cell.family, cell.seconds(rival))
    ]


def _hessian(results: Results) -> list[Number]:
    """(time of all three - time of the extra bytes) / time of value + gradient."""
    found = []
    for dtype in ("float64", "float32"):
        for three in _cells(results, SIX, HESSIAN, dtype, _LARGE):
            two = results.cell(three.family, GRADIENT, dtype, _LARGE)
            if two is None:
                continue
            times = three.seconds(OURS), two.seconds(OURS), three.seconds(MEMORY), two.seconds(MEMORY)
            if None not in times:
                all_three, both, more, less = (time or 0.0 for time in times)
                found.append(Number(f"{three.family} {dtype}", (all_three - max(0.0, more - less)) / both))
    return found


def _elementwise() -> list[str]:
    return [name for name, family in FAMILIES.items() if family.tier == ELEMENTWISE]


def _microseconds(results: Results) -> list[Number]:
    cells = _cells(results, _elementwise(), VALUE, "float64", (100,))
    return [Number(cell.family, 1e6 * t) for cell in cells if (t := cell.seconds(OURS)) is not None]


def _against_numpy(results: Results) -> list[Number]:
    cells = _cells(results, _elementwise(), VALUE, "float64", (10_000,))
    return [number for cell in cells for number in _over(cell, cell.family, cell.seconds("numpy"))]


def _at(family: str, shapes: Sequence[Shape], rivals: Sequence[str]) -> Callable[[Results], list[Number]]:
    """How many times faster than the best of the rivals, at each shape."""

    def numbers(results: Results) -> list[Number]:
        found = []
        for shape in shapes:
            cell = results.cell(family, GRADIENT, "float32", shape)
            if cell is not None:
                times = [t for rival in rivals if (t := cell.seconds(rival)) is not None]
                found += _faster(cell, "x".join(map(str, shape)), min(times) if times else None)
        return found

    return numbers


def _linear_time(results: Results) -> list[Number]:
    cell = results.cell("linear_cross_entropy", GRADIENT, "float32", (4_096, 512, 32_000))
    return [] if cell is None else _over(cell, "4096 x 512 -> 32000", cell.seconds("torch"))


def _linear_memory(results: Results) -> list[Number]:
    return [
        Number("4096 x 512 -> 32000", 100.0 * entry.extra / entry.problem)
        for entry in results.memory
        if entry.family == "linear_cross_entropy" and entry.contender == OURS and entry.extra is not None
    ]


def _growth(family: str) -> Callable[[Results], list[Number]]:
    """The power of n with which our memory grows, from the two sizes that were measured."""

    def numbers(results: Results) -> list[Number]:
        ours = [e for e in results.memory if e.family == family and e.contender == OURS and e.extra]
        sizes = {entry.shape[0]: entry.extra or 0 for entry in ours}
        if len(sizes) < 2:
            return []
        small, large = min(sizes), max(sizes)
        power = math.log(sizes[large] / sizes[small]) / math.log(large / small)
        return [Number(f"{small} to {large} rows", power)]

    return numbers


# --- the table ----------------------------------------------------------------------------------------------

_PML = "pytorch-metric-learning"
_TRIPLET, _NT_XENT = ((512, 128, 16),), ((4_096, 128),)
BARS = (
    Bar(
        "BCE, Huber, log-cosh, focal, pinball, Poisson: value + gradient, 4e6, float64",
        (
            Demand("<= 1.6 x the time of moving the same bytes", "<=", 1.6, " x", _limit_ratio("float64")),
            Demand(
                ">= 8 x faster than scikit-learn's _loss with 2 threads", ">=", 8.0, " x",
                _speedup("sklearn", "float64"),
            ),
            Demand(
                ">= 3 x faster than torch eager forward + backward", ">=", 3.0, " x", _speedup("torch", "float64")
            ),
        ),
    ),
    Bar(
        "the same, float32",
        (
            Demand("<= 2.5 x the bytes' time", "<=", 2.5, " x", _limit_ratio("float32")),
            Demand(">= 3 x torch eager", ">=", 3.0, " x", _speedup("torch", "float32")),
            Demand(">= 15 x scikit-learn _loss", ">=", 15.0, " x", _speedup("sklearn", "float32")),
        ),
    ),
    Bar(
        "value + gradient + Hessian",
        (
            Demand(
                "<= 1.4 x the time of value + gradient plus the extra bytes' time", "<=", 1.4, " x", _hessian
            ),
        ),
    ),
    Bar(
        "n = 100",
        (
            Demand(
                "<= 10 us a call through the public API on NumPy, value alone", "<=", 10.0, " us", _microseconds
            ),
            Demand("<= 2 x a hand-written NumPy expression at n = 1e4", "<=", 2.0, " x", _against_numpy),
        ),
    ),
    Bar(
        "softmax cross-entropy value + gradient, float32, 100000x10, 20000x1000, 2048x32000",
        (
            Demand(
                ">= 6 x torch eager, each", ">=", 6.0, " x",
                _at("cce", ((100_000, 10), (20_000, 1_000), (2_048, 32_000)), ("torch",)),
            ),
        ),
    ),
    Bar(
        "linear + cross-entropy, 4096 x 512 -> 32000",
        (
            Demand("peak extra memory under 5 % of the logits' size", "<=", 5.0, " %", _linear_memory),
            Demand("time <= 1.15 x torch's two-step, on CPU", "<=", 1.15, " x", _linear_time),
        ),
    ),
    Bar(
        "CTC (T, N, C, S) = (200, 16, 40, 30) and (500, 32, 1000, 50), value + gradient",
        (
            Demand(
                ">= 4 x the better of torch and optax", ">=", 4.0, " x",
                _at("ctc", ((200, 16, 40, 30), (500, 32, 1_000, 50)), ("torch", "optax")),
            ),
        ),
    ),
    Bar(
        "triplet over all valid triplets, 512 x 128, 16 classes; NT-Xent 4096 x 128",
        (
            Demand("triplet: >= 5 x pytorch-metric-learning", ">=", 5.0, " x", _at("triplet", _TRIPLET, (_PML,))),
            Demand("NT-Xent: >= 5 x pytorch-metric-learning", ">=", 5.0, " x", _at("nt_xent", _NT_XENT, (_PML,))),
            Demand("triplet: memory O(n^2) at most (power of n)", "<=", 2.1, "", _growth("triplet")),
            Demand("NT-Xent: memory O(n) tiles (power of n)", "<=", 1.1, "", _growth("nt_xent")),
        ),
    ),
    Bar(
        "LightGBM and XGBoost trained with our objective against their built-in one, 1e6 rows, logistic, Huber, "
        "quantile, Poisson",
        elsewhere="<= 1.10 x the built-in's time and the same held-out score: benchmarks/boosters.py measures it",
    ),
)  # fmt: skip
