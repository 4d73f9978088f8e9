"""Checks of options that several commands share."""

from __future__ import annotations


def limits(tolerance: float, max_iter: int, max_seconds: float = 1.0) -> None:
    """Refuse limits of a fit that mean nothing.

    Parameters
    ----------
    tolerance : float
        Of ``--tolerance``.
    max_iter : int
        Of ``--max-iter``.
    max_seconds : float
        Of ``--max-seconds``, where there is one.

    Raises
    ------
    InputError
        One line.
    """
    from ..core.errors import InputError

    if not 0.0 < tolerance < 1.0:
        raise InputError(f"--tolerance {tolerance:g} is not accepted; give a number between 0 and 1, such as 1e-8")
    if max_iter < 1:
        raise InputError(f"--max-iter {max_iter} is not accepted; give a whole number >= 1")
    if not max_seconds > 0.0:
        raise InputError(f"--max-seconds {max_seconds:g} is not accepted; give a number > 0")
