"""What the user asked for, checked; and which versions answer."""

from __future__ import annotations

import math
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lossmith.core.errors import InputError
from lossmith.select.columns import quoted
from lossmith.workflow.records import Settings

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_COMPUTING = ("numpy", "scipy", "numba", "scikit-learn", "lightgbm", "pandas", "joblib")


def seconds_of(budget: str | float) -> float:
    """Read a duration.

    Parameters
    ----------
    budget : str or float
        Seconds, or text such as "60", "90s", "2m", "1.5h".

    Returns
    -------
    float
        Seconds, at least 5.

    Raises
    ------
    InputError
        When it cannot be read, or is too short for anything.

    Examples
    --------
    >>> seconds_of("2m")
    120.0
    """
    match = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*(s|m|min|h|)\s*", str(budget).lower())
    try:
        seconds = float(match[1]) * _UNITS[match[2]] if match else math.nan
    except ValueError:
        seconds = math.nan
    if not 5.0 <= seconds < math.inf:
        raise InputError(f"--budget {quoted(budget)} is not accepted; give at least 5 seconds, such as 60s or 2m")
    return seconds


def settings_of(path: str | Path, target: str, task: str, metric: str, budget: float, seed: int, jobs: int) -> Settings:
    """Check what remains to be checked without the data.

    Raises
    ------
    InputError
        For a seed or a number of processes out of range.
    """
    if not 0 <= seed < 2**31:
        raise InputError(f"--seed {seed} is not accepted; give a whole number from 0 to 2147483647")
    if jobs == -1:
        jobs = os.cpu_count() or 1
    if jobs < 1:
        raise InputError(f"--jobs {jobs} is not accepted; give a number of processes >= 1, or -1 for all cores")
    return Settings(str(path), target, task, metric, budget, seed, jobs)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that compute."""
    found = {"python": platform.python_version()}
    for name in _COMPUTING:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
