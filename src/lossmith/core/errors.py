"""Errors that a person can act on."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user gave cannot be used; the message is one line that says what, and what to do.

    The command line prints the message and exits with code 2.

    Examples
    --------
    >>> import lossmith as lm
    >>> try:
    ...     lm.run("nowhere.csv", "price")
    ... except lm.InputError as error:
    ...     print(str(error).split(";")[0])
    there is no file 'nowhere.csv'
    """
