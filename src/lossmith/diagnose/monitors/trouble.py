"""The first number that is not finite: where it came up, and how the run is told."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True)
class NonFinite:
    """Where the first NaN or infinity came up.

    Attributes
    ----------
    step : int
        The step at which it was there first.
    term : str
        "input", "target", "weight", "parameter", "activation", "loss", "gradient", "hessian", or the name of a term of
        the loss.
    layer : str or None
        The first layer, in forward order, that shows it.
    sample : int or None
        The first row of the batch that shows it.
    detail : str
        What was found, in words.

    Examples
    --------
    >>> print(NonFinite(7, "activation", "fc2", 3, "output is inf"))
    step 7: activation of layer 'fc2', sample 3: output is inf
    """

    step: int
    term: str
    layer: str | None = None
    sample: int | None = None
    detail: str = "not finite"

    def __str__(self) -> str:
        layer = "" if self.layer is None else f" of layer '{self.layer}'"
        sample = "" if self.sample is None else f", sample {self.sample}"
        return f"step {self.step}: {self.term}{layer}{sample}: {self.detail}"


@final
class NonFiniteError(FloatingPointError):
    """A run was stopped because a number in it is no longer finite.

    Attributes
    ----------
    found : NonFinite
        Where it came up first.

    Examples
    --------
    >>> try:
    ...     raise NonFiniteError(NonFinite(7, "activation", "fc2", 3, "the layer's output holds 1 inf of 32"))
    ... except NonFiniteError as error:
    ...     print(error.found.layer, error.found.sample)
    fc2 3
    """

    def __init__(self, found: NonFinite) -> None:
        super().__init__(f"training stopped at {found}")
        self.found = found


POLICIES = ("stop", "warn", "ignore")


def tell(found: NonFinite, policy: str) -> None:
    """Stop the run, or warn.

    Parameters
    ----------
    found : NonFinite
        Where it came up.
    policy : {"stop", "warn", "ignore"}
        What to do.

    Raises
    ------
    NonFiniteError
        If ``policy`` is "stop".
    """
    if policy == "stop":
        raise NonFiniteError(found)
    if policy == "warn":
        warnings.warn(f"not finite at {found}", RuntimeWarning, stacklevel=3)


def check_policy(policy: str) -> str:
    """Return a policy that exists.

    Parameters
    ----------
    policy : str
        What the user gave for ``nan``.

    Returns
    -------
    str
        The same.

    Raises
    ------
    ValueError
        If there is no such policy.
    """
    if policy not in POLICIES:
        raise ValueError(f"nan={policy!r}: give one of {', '.join(POLICIES)}")
    return policy
