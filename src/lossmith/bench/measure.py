"""Time contenders that take turns, and only those whose numbers are right."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .peers.contender import Contender, Outcome, distance
from .record import DIFFERS, FAILED, SKIPPED, Timing

# Threads of OpenMP spin for a while after their work; a rest keeps them out of the next contender's time.
_REST = 2e-3
_RESTS_FROM = 2e-4
# One sample takes at least this long, so that the clock and the loop do not count.
_SAMPLE = 1e-3
_MOST_CALLS = 1000
# A call of so many seconds is not made once more only to learn how long it takes.
_LONG = 1.5


@dataclass(frozen=True)
class Effort:
    """How long a cell may take.

    Attributes
    ----------
    seconds : float
        For all contenders of a cell together, beyond the least.
    least, most : int
        Rounds.
    share : float
        Seconds for a slow contender, which gets fewer rounds than the least when these are used up.
    few : int
        Rounds that everybody gets.
    """

    seconds: float
    least: int = 7
    most: int = 61
    share: float = 0.2
    few: int = 3


FULL = Effort(0.3)
QUICK = Effort(0.08, least=5, most=31, share=0.08)


@dataclass
class _Runner:
    """A contender in a cell, with the times it took so far."""

    contender: Contender
    calls: int
    guess: float
    error: float | None
    samples: list[float]


def measure(
    contenders: Sequence[Contender],
    tolerance: float,
    effort: Effort,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Timing, ...]:
    """Check the contenders against the first that computes the loss, then time them in turns.

    Parameters
    ----------
    contenders : sequence of Contender
        The first with a ``read`` is the one whose numbers the others must have: ours.
    tolerance : float
        Largest relative distance of value and derivatives.
    effort : Effort
        When to stop.
    clock : callable
        Seconds; replaced in tests.

    Returns
    -------
    tuple of Timing
        One for each contender, in their order.
    """
    first = next((contender for contender in contenders if contender.read is not None), None)
    reference: Outcome | None = None
    entries: list[_Runner | Timing] = []
    for contender in contenders:
        entry, found = _admit(contender, reference, tolerance, clock)
        entries.append(entry)
        reference = found if contender is first else reference
    _take_turns([entry for entry in entries if isinstance(entry, _Runner)], effort, clock)
    return tuple(_timing(entry) if isinstance(entry, _Runner) else entry for entry in entries)


def _admit(
    contender: Contender, reference: Outcome | None, tolerance: float, clock: Callable[[], float]
) -> tuple[_Runner | Timing, Outcome | None]:
    """Call once to compile and to compare, and again to learn how long it takes."""
    name, variant, note = contender.name, contender.variant, contender.note
    if contender.refusal:
        return Timing(name, variant, SKIPPED, note=contender.refusal), None
    try:
        start = clock()
        result = contender.call()
        guess = clock() - start
        found = None if contender.read is None else contender.read(result)
        del result
        error = None if found is None or reference is None else distance(reference, found)
        if error is not None and not error <= tolerance:
            reason = f"differs from ours by {error:.2g} (relative); {tolerance:.0e} is allowed"
            shown = error if error < float("inf") else None
            return Timing(name, variant, DIFFERS, error=shown, note="; ".join(filter(None, (reason, note)))), None
        if guess < _LONG:  # the first call may have compiled something
            start = clock()
            contender.call()
            guess = clock() - start
    except Exception as problem:  # a peer that fails is a line in the table
        text = " ".join(f"{type(problem).__name__}: {problem}".split())[:300]
        return Timing(name, variant, FAILED, note=text), None
    calls = max(1, min(_MOST_CALLS, round(_SAMPLE / max(guess, 1e-9))))
    return _Runner(contender, calls, guess, error, []), found


def _take_turns(runners: list[_Runner], effort: Effort, clock: Callable[[], float]) -> None:
    """Round after round, everybody once, in another order each time: drift hits all alike."""
    start = clock()
    order = random.Random(0)  # nobody always follows the same one
    with _quiet():
        for turn in range(effort.most):
            for runner in order.sample(runners, len(runners)):
                if turn < _needed(runner, effort) or clock() - start < effort.seconds:
                    runner.samples.append(_sample(runner, clock))
            spent = clock() - start >= effort.seconds
            if spent and all(len(r.samples) >= _needed(r, effort) for r in runners):
                return


def _needed(runner: _Runner, effort: Effort) -> int:
    affordable = int(effort.share / max(runner.guess, 1e-9))
    return min(effort.least, max(effort.few, affordable))


def _sample(runner: _Runner, clock: Callable[[], float]) -> float:
    call = runner.contender.call
    if runner.guess > _RESTS_FROM:
        time.sleep(_REST)
    start = clock()
    for _ in range(runner.calls):
        call()
    return (clock() - start) / runner.calls


@contextmanager
def _quiet() -> Iterator[None]:
    """No garbage collection inside the clock."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _timing(runner: _Runner) -> Timing:
    contender, times = runner.contender, sorted(runner.samples)
    low, _, high = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else times * 3
    return Timing(
        contender.name,
        contender.variant,
        median=statistics.median(times),
        best=times[0],
        low=low,
        high=high,
        samples=len(times),
        error=runner.error,
        note=contender.note,
    )
