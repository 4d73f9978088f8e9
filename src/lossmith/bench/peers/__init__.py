"""The competitors: which are installed, and what each brings to a piece of work.

A peer's module is imported when it first takes part, and with it the library; a library that is missing, or that
cannot be loaded, is a line in the results and never an error.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..families import Work
from ..record import Peer
from .contender import Contender

Contenders = Callable[[Work, int], list[Contender]]


@dataclass(frozen=True)
class Entrant:
    """A competitor that could take part.

    Attributes
    ----------
    name, title : str
        For commands, and for pages.
    distributions : tuple of str
        Packages of which one of the first must be there, and all the others; the first's version is shown.
    prepare : callable
        ``prepare(threads)``; loads the library.
    contenders : callable
        ``contenders(work, threads)``.
    usual : bool
        Whether a run has it unless asked otherwise.
    slow : bool
        Whether loading it takes too long for a quick run.
    hoards : bool
        Whether it keeps the memory that it frees, so that only its first work shows what that takes.
    """

    name: str
    title: str
    distributions: tuple[tuple[str, ...], ...]
    prepare: Callable[[int], None]
    contenders: Contenders
    usual: bool = True
    slow: bool = False
    hoards: bool = False

    def version(self) -> str | None:
        """Return the installed version, None if something is missing."""
        found = [_version(alternatives) for alternatives in self.distributions]
        return None if None in found else found[0]


def _version(alternatives: Sequence[str]) -> str | None:
    for name in alternatives:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _nothing(threads: int) -> None:
    pass


def _torch(threads: int) -> None:
    from . import torch_calls

    torch_calls.prepare(threads)


def _optax(threads: int) -> None:
    from . import jax_optax

    jax_optax.prepare(threads)


def _keras(threads: int) -> None:
    from . import keras_tf

    keras_tf.prepare(threads)


def _from_sklearn(work: Work, threads: int) -> list[Contender]:
    from . import scikit

    return scikit.contenders(work, threads)


def _from_ours(work: Work, threads: int) -> list[Contender]:
    from . import ours_torch

    return ours_torch.contenders(work)


def _from_torch(work: Work, threads: int) -> list[Contender]:
    from . import pytorch

    return pytorch.contenders(work)


def _from_torch_compile(work: Work, threads: int) -> list[Contender]:
    from . import pytorch

    return pytorch.contenders(work, compiled=True)


def _from_optax(work: Work, threads: int) -> list[Contender]:
    from . import jax_optax

    return jax_optax.contenders(work)


def _from_keras(work: Work, threads: int) -> list[Contender]:
    from . import keras_tf

    return keras_tf.contenders(work)


def _from_metric_learning(work: Work, threads: int) -> list[Contender]:
    from . import metric_learning

    return metric_learning.contenders(work)


def _from_textbook(work: Work, threads: int) -> list[Contender]:
    from . import textbook

    return textbook.contenders(work)


_TORCH = ("torch",)
_TENSORFLOW = ("tensorflow", "tensorflow-cpu", "tensorflow_cpu", "tf-nightly")
_ALL = (
    Entrant("numpy", "NumPy, as in a textbook", (("numpy",),), _nothing, _from_textbook),
    Entrant("sklearn", "scikit-learn _loss", (("scikit-learn",),), _nothing, _from_sklearn),
    Entrant("lossmith_torch", "Lossmith in torch (to_torch)", (_TORCH,), _torch, _from_ours),
    Entrant("torch", "PyTorch, eager", (_TORCH,), _torch, _from_torch),
    Entrant("optax", "Optax under jax.jit", (("optax",), ("jax",), ("jaxlib",)), _optax, _from_optax),
    Entrant("keras", "Keras on TensorFlow", (("keras",), _TENSORFLOW), _keras, _from_keras, slow=True, hoards=True),
    Entrant("pml", "pytorch-metric-learning", (("pytorch-metric-learning",), _TORCH), _torch, _from_metric_learning),
    Entrant("torch_compile", "PyTorch, torch.compile", (_TORCH,), _torch, _from_torch_compile, usual=False, slow=True),
)
ENTRANTS: dict[str, Entrant] = {entrant.name: entrant for entrant in _ALL}


def usual(quick: bool) -> list[str]:
    """Return the peers of a run that names none.

    Parameters
    ----------
    quick : bool
        Leave out those that take long to load.
    """
    return [entrant.name for entrant in _ALL if entrant.usual and not (quick and entrant.slow)]


def enter(names: Sequence[str], threads: int) -> list[Peer]:
    """Load the peers and say who takes part.

    Parameters
    ----------
    names : sequence of str
        Who is wanted.
    threads : int
        For every library that can be told.

    Returns
    -------
    list of Peer
        All that are known; those that do not take part have no version and a note why.
    """
    return [_entered(entrant, entrant.name in names, threads) for entrant in ENTRANTS.values()]


def _entered(entrant: Entrant, wanted: bool, threads: int) -> Peer:
    version = entrant.version()
    if version is None:
        return Peer(entrant.name, entrant.title, None, "not installed")
    if not wanted:
        return Peer(entrant.name, entrant.title, None, f"left out of this run (version {version} is installed)")
    try:
        entrant.prepare(threads)
    except Exception as problem:  # a broken library is its own affair
        return Peer(entrant.name, entrant.title, None, f"cannot be loaded: {_line(problem)}")
    return Peer(entrant.name, entrant.title, version)


def _line(problem: Exception) -> str:
    return " ".join(f"{type(problem).__name__}: {problem}".split())[:200]


def contenders_of(work: Work, peers: Sequence[Peer], threads: int) -> tuple[list[Contender], list[str]]:
    """Return what the peers bring to a piece of work.

    Parameters
    ----------
    work : Work
        What is to be done.
    peers : sequence of Peer
        Those without a version do not take part.
    threads : int
        As in the run.

    Returns
    -------
    tuple
        The contenders, and a line for each peer that failed to make its own.
    """
    found, notes = [], []
    for peer in peers:
        if peer.version is None:
            continue
        try:
            found += ENTRANTS[peer.name].contenders(work, threads)
        except Exception as problem:
            notes.append(f"{peer.name} on {work.name}: {_line(problem)}")
    return found, notes
