"""The texts of the fused loops around formulas, which are compiled like any other Python."""

from __future__ import annotations

from typing import NamedTuple


class Checks(NamedTuple):
    """What must be asked of a number to learn whether it is accepted: no more, since every question costs time.

    Attributes
    ----------
    codes : bool
        Whether targets must be one of two numbers, the ends of their limits, and not any number between.
    free : bool
        Whether every prediction is accepted.
    """

    codes: bool = False
    free: bool = False


_HEAD = """\
def kernel({arguments}, y_limits, f_limits):
    y_low, y_high = number(y_limits[0]), number(y_limits[1])
    f_low, f_high = number(f_limits[0]), number(f_limits[1])
{narrowed}    total, mass, outside, wrong = 0.0, 0.0, whole(0), whole(0)
    for i in range(f.size):
        y_i = number(y[i])
        f_i = number(f[i])
        strange = {outside}
"""
_WEIGHT = """\
        w_i = float64(weight[i])
        outside = whole(outside + (strange & (w_i != 0.0)))
        wrong = whole(wrong + (not ((w_i >= 0.0) & (w_i < inf))))
        mass += w_i
        total += times(w_i, formula_0(y_i, f_i{given}))
"""


def _narrowed(parameters: list[str]) -> str:
    return "".join(f"    {name} = number({name})\n" for name in parameters)


def _head(arguments: list[str], given: list[str], checks: Checks) -> str:
    # NaN is no target, but may be a prediction.
    inside = "(y_i == y_low) | (y_i == y_high)" if checks.codes else "(y_i >= y_low) & (y_i <= y_high)"
    outside = f"not ({inside})" if checks.free else f"(f_i < f_low) | (f_i > f_high) | (not ({inside}))"
    return _HEAD.format(arguments=", ".join(arguments), narrowed=_narrowed(given), outside=outside)


def filling(functions: int, parameters: int, checks: Checks) -> str:
    """Return the loop that fills one output for each formula; it returns how many numbers are outside the limits."""
    outputs = [f"out_{i}" for i in range(functions)]
    given = [f"p{i}" for i in range(parameters)]
    call = "".join(f", {name}" for name in given)
    lines = [f"        out_{i}[i] = formula_{i}(y_i, f_i{call})\n" for i in range(functions)]
    head = _head(["y", "f", *outputs, *given], given, checks)
    return head + "".join(lines) + "        outside = whole(outside + strange)\n    return outside\n"


def summing(functions: int, parameters: int, weighted: bool, checks: Checks) -> str:
    """Return the loop that adds up the first formula and, if there is a second one, writes ``scale`` times that.

    It returns the sum of the values, that of the weights, how many numbers are outside the limits, and how many
    weights are no finite number >= 0. A weight of 0 hides a sample.
    """
    given = [f"p{i}" for i in range(parameters)]
    call = "".join(f", {name}" for name in given)
    arguments = ["y", "f", *(["weight"] if weighted else []), *(["out", "scale"] if functions == 2 else []), *given]
    text = _head(arguments, given, checks)
    if weighted:
        text += _WEIGHT.format(given=call)
    else:
        text += f"        outside = whole(outside + strange)\n        total += formula_0(y_i, f_i{call})\n"
    if functions == 2:
        slope = f"formula_1(y_i, f_i{call})"
        text += f"        out[i] = {f'times(scale * w_i, {slope})' if weighted else f'scale * {slope}'}\n"
    return text + "    return total, mass, outside, wrong\n"
