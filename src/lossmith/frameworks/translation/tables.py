"""What the tables of the libraries are made of, and how they are read in both directions.

An entry says with which loss and parameters another library's loss has the same numbers. Reading it from their side
gives our loss; reading it from ours proposes their parameters, and the proposal only counts if it reads back as the
loss it was made for. So there is one text for both directions.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...core.errors import InputError
from ...core.loss import Loss
from ...losses.compose import WeightedSum

Given = Mapping[str, Any]


def _same(value: Any) -> Any:
    return value


def _one(given: Given) -> float:
    return 1.0


@dataclasses.dataclass(frozen=True)
class Meaning:
    """What a loss of any library is in Lossmith's words.

    Attributes
    ----------
    loss : Loss
        Without the factor.
    factor : float
        What its values are multiplied by.
    reduction : str
        "mean", "sum" or "none".
    notes : tuple of str
        What differs outside the numbers.
    nearly : tuple of (Loss, str)
        Losses that serve as well where a default was never asked for, each with what to mind.
    """

    loss: Loss
    factor: float = 1.0
    reduction: str = "mean"
    notes: tuple[str, ...] = ()
    nearly: tuple[tuple[Loss, str], ...] = ()

    @classmethod
    def of(cls, loss: Loss, reduction: str = "mean") -> Meaning:
        """Return the meaning of one of our losses."""
        if isinstance(loss, WeightedSum) and len(loss.losses) == 1:
            ((factor, part),) = loss.parts
            return cls.of(part, reduction).times(factor)
        return cls(loss, reduction=reduction)

    @property
    def made(self) -> Loss:
        """The loss with its factor."""
        return self.loss if self.factor == 1.0 else WeightedSum((self.loss,), (self.factor,))

    def times(self, factor: float) -> Meaning:
        """Return this meaning, multiplied by a factor > 0."""
        return dataclasses.replace(self, factor=self.factor * factor)


@dataclasses.dataclass(frozen=True)
class Link:
    """Which parameter of theirs a field of ours is.

    Attributes
    ----------
    parameter : str
        Its name.
    ours, theirs : callable
        From their value to ours and back.
    """

    parameter: str
    ours: Callable[[Any], Any] = _same
    theirs: Callable[[Any], Any] = _same


@dataclasses.dataclass(frozen=True)
class Variant:
    """One meaning of an entry.

    Attributes
    ----------
    loss : type of Loss
        Ours.
    when : mapping
        Values of their parameters for which this is the meaning.
    fields : mapping
        Fields of ours that are fixed.
    links : mapping of str to Link
        Fields of ours that are parameters of theirs.
    factor : callable
        By what our values are to be multiplied, from their parameters.
    scale : str
        Name of a parameter that is such a factor itself.
    notes : tuple of str
        What differs outside the numbers.
    no_mean : str
        Why "mean" is another number.
    unasked : tuple of (str, str), optional
        A field of ours whose value was hardly asked for when their parameter is at its default; with what to mind.
    """

    loss: type[Loss]
    when: Given = dataclasses.field(default_factory=dict)
    fields: Given = dataclasses.field(default_factory=dict)
    links: Mapping[str, Link] = dataclasses.field(default_factory=dict)
    factor: Callable[[Given], float] = _one
    scale: str = ""
    notes: tuple[str, ...] = ()
    no_mean: str = ""
    unasked: tuple[str, str] | None = None

    def applies(self, given: Given) -> bool:
        """Tell whether this is what they mean by these parameters."""
        return all(given[name] == value for name, value in self.when.items())

    def read(self, given: Given) -> tuple[Loss, float]:
        """Return our loss and its factor for their parameters."""
        linked = {field: link.ours(given[link.parameter]) for field, link in self.links.items()}
        factor = float(given[self.scale]) if self.scale else self.factor(given)
        return self.loss(**{**self.fields, **linked}), factor

    def write(self, loss: Loss, factor: float, defaults: Given) -> dict[str, Any] | None:
        """Return their parameters for our loss, or None if it is not what they mean."""
        if type(loss) is not self.loss:
            return None
        given = {**defaults, **self.when}
        for field, link in self.links.items():
            given[link.parameter] = link.theirs(getattr(loss, field))
        if self.scale:
            given[self.scale] = factor
        try:
            back, again = self.read(given)
        except (TypeError, ValueError):
            return None
        return given if back == loss and math.isclose(again, factor, rel_tol=1e-15) else None


@dataclasses.dataclass(frozen=True)
class Entry:
    """A loss of another library.

    Attributes
    ----------
    names : tuple of str
        Without the library's prefix; the first one is printed.
    parameters : mapping
        Their parameters with defaults.
    variants : tuple of Variant
        What it means; the first that applies counts.
    refused : str
        Why it has no equal.
    fixed : mapping of str to str
        Parameters that must stay at their defaults, with the reason.
    reductions : mapping of str to str
        Their words for ours. A word that is missing, or whose text is a sentence, is refused.
    order : tuple of str
        Parameters that may be given without their names, as the call has them.
    otherwise : str
        Why it has no equal where none of the variants applies.
    lenient : bool
        Whether other parameters may be given, which have nothing to do with the loss.
    printed : bool
        Whether our losses are written so.
    call : str
        How it is called, where that is not the library's habit.
    """

    names: tuple[str, ...]
    parameters: Given = dataclasses.field(default_factory=dict)
    variants: tuple[Variant, ...] = ()
    refused: str = ""
    fixed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    reductions: Mapping[Any, str] = dataclasses.field(default_factory=dict)
    order: tuple[str, ...] = ()
    otherwise: str = ""
    lenient: bool = False
    printed: bool = True
    call: str = ""

    def read(self, given: Given, name: str) -> Meaning:
        """Return the meaning of this entry with some parameters.

        Raises
        ------
        InputError
            When it has no equal.
        """
        if self.refused:
            raise InputError(f"{name} has no equal in Lossmith: {self.refused}")
        full = {**self.parameters, **given}
        for parameter, reason in self.fixed.items():
            if full[parameter] != self.parameters[parameter]:
                raise InputError(f"{name} with {parameter}={full[parameter]!r} has no equal in Lossmith: {reason}")
        variant = next((one for one in self.variants if one.applies(full)), None)
        if variant is None:
            named = {key: full[key] for key in sorted({key for one in self.variants for key in one.when})}
            raise InputError(f"{name} with {_call(named)} has no equal in Lossmith: {self.otherwise}")
        loss, factor = self._made(variant, full, name)
        return Meaning(
            loss,
            factor,
            self._reduction(variant, full, name),
            variant.notes,
            tuple(_relaxed(variant, self, full, loss)),
        )

    def _made(self, variant: Variant, full: Given, name: str) -> tuple[Loss, float]:
        try:
            return variant.read(full)
        except (TypeError, ValueError) as problem:
            raise InputError(f"{name}: {problem}") from None

    def _reduction(self, variant: Variant, full: Given, name: str) -> str:
        if not self.reductions:
            return "mean"
        word = full["reduction"]
        ours = self.reductions.get(word, f"it is none of {', '.join(map(repr, self.reductions))}")
        ours = variant.no_mean if ours == "mean" and variant.no_mean else ours
        if ours not in ("mean", "sum", "none"):
            raise InputError(f"{name} with reduction={word!r} has no equal in Lossmith: {ours}")
        return ours

    def write(self, meaning: Meaning) -> tuple[dict[str, Any], Variant] | None:
        """Return their parameters for a meaning, or None."""
        for variant in self.variants if self.printed else ():
            given = variant.write(meaning.loss, meaning.factor, self.parameters)
            # An earlier meaning of the same parameters would be the one that counts.
            if given is None or next(one for one in self.variants if one.applies(given)) is not variant:
                continue
            if meaning.reduction == "mean" and variant.no_mean:
                continue
            if self.reductions:
                words = [word for word, ours in self.reductions.items() if ours == meaning.reduction]
                if not words:
                    continue
                given["reduction"] = words[0]
            return given, variant
        return None

    def spoken(self, given: Given, variant: Variant) -> dict[str, Any]:
        """Return the parameters to be written: those that are not at their defaults, of boosters all of a loss."""
        linked = {link.parameter for link in variant.links.values()} if self.lenient else set()
        return {name: value for name, value in given.items() if name in linked or value != self.parameters[name]}


def _relaxed(variant: Variant, entry: Entry, full: Given, loss: Loss) -> Iterator[tuple[Loss, str]]:
    if variant.unasked is None:
        return
    field, note = variant.unasked
    parameter = variant.links[field].parameter
    if full[parameter] == entry.parameters[parameter]:
        yield dataclasses.replace(loss, **{field: None}), note


def _call(given: Given) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in given.items()) or "its defaults"


@dataclasses.dataclass(frozen=True)
class Library:
    """All losses of another library.

    Attributes
    ----------
    name : str
        As users write it after ``--to``.
    entries : tuple of Entry
        Its losses, those without an equal too.
    prefixes : tuple of str
        What may stand before a name, longest first.
    """

    name: str
    entries: tuple[Entry, ...]
    prefixes: tuple[str, ...] = ()

    def bare(self, name: str) -> str:
        """Return a name without the library's prefix."""
        for prefix in self.prefixes:
            if name.startswith(prefix):
                return name[len(prefix) :]
        return name

    def owns(self, name: str) -> bool:
        """Tell whether a name begins as this library's do."""
        return any(name.startswith(prefix) for prefix in self.prefixes)

    def knows(self, name: str, *, common: bool = False) -> bool:
        """Tell whether a name stands in the table; common: among the losses that are also written."""
        return any(self.bare(name) in entry.names for entry in self.entries if entry.printed or not common)

    def entry(self, name: str) -> Entry:
        """Return the entry of a name.

        Raises
        ------
        InputError
            Suggests close names.
        """
        bare = self.bare(name)
        for entry in self.entries:
            if bare in entry.names:
                return entry
        known = [other for entry in self.entries for other in entry.names]
        close = difflib.get_close_matches(bare, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(known)}"
        raise InputError(f"{self.name} has no loss {name!r} that Lossmith knows; {hint}")

    def read(self, name: str, given: Given) -> Meaning:
        """Return what a loss of this library means.

        Parameters
        ----------
        name : str
            With or without the library's prefix.
        given : mapping
            Its parameters that were set.

        Raises
        ------
        InputError
            For unknown names and parameters, and for what has no equal.
        """
        entry = self.entry(name)
        unknown = sorted(set(given) - set(entry.parameters))
        if unknown and not entry.refused and not entry.lenient:
            accepted = ", ".join(entry.parameters) or "none"
            raise InputError(f"{name} has no parameter {unknown[0]!r} that Lossmith knows; its parameters: {accepted}")
        return entry.read({key: given[key] for key in given if key in entry.parameters}, name)

    def write(self, meaning: Meaning) -> tuple[Entry, dict[str, Any], Variant] | None:
        """Return the first entry that has a meaning, with its parameters; None if there is none."""
        for entry in self.entries:
            found = entry.write(meaning)
            if found is not None:
                return entry, *found
        return None
