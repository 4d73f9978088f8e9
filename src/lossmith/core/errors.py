"""Errors that a person can act on."""

from __future__ import annotations

from collections.abc import Iterable


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


def near(word: str, known: Iterable[str]) -> list[str]:
    """Return up to three names that are spelt like a word, or end or begin with it.

    Parameters
    ----------
    word : str
        What was given.
    known : iterable of str
        What there is.

    Examples
    --------
    >>> near("Focal", ["BinaryFocal", "CategoricalFocal", "Huber"])
    ['BinaryFocal', 'CategoricalFocal']
    """
    import difflib

    folded = {name.lower(): name for name in known}
    key = word.lower()
    whole = [name for name in folded if len(key) > 2 and (name.startswith(key) or name.endswith(key))]
    return [folded[name] for name in dict.fromkeys([*whole, *difflib.get_close_matches(key, folded, n=3)])][:3]
