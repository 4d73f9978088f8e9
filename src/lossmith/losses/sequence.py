"""Losses of sequences without a given alignment: connectionist temporal classification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from ..core import contract
from ..core.attach import present
from ..core.parameters import choice, whole
from ..core.registry import register
from ..core.structured import Evaluation, Floats, Integers, StructuredLoss, Targets, whole_numbers
from ..core.traits import NOT_STATED, About, Traits
from ..engine import pool
from ..engine.compiled import read_only
from ..ops import full_like, where
from . import lattice_formula, lattice_sweep
from .lattice import Lattice, log_likelihood, posteriors

Array = Any
_PADDING = -1


class Sequences(NamedTuple):
    """Label sequences with their lengths, as CTC takes them for y_true.

    Attributes
    ----------
    labels : array, shape (N, S)
        Class indices; what stands beyond a sequence's length is not looked at.
    target_lengths : array, shape (N,), or None
        Labels of each sequence; None: up to the first -1.
    input_lengths : array, shape (N,), or None
        Frames of each sequence; None: all T.
    """

    labels: Array
    target_lengths: Array = None
    input_lengths: Array = None


class _Batch(NamedTuple):
    labels: Integers
    target_lengths: Integers
    input_lengths: Integers


@register("ctc", aliases=("ctc_loss", "connectionist_temporal_classification"))
@dataclass(frozen=True)
class CTC(StructuredLoss):
    """Connectionist temporal classification: -log of the probability of a label sequence over all alignments.

    ``y_pred`` holds logits (N, T, C) of N sequences with T frames and C classes; the log-softmax is merged in, so
    log-probabilities may be given too. ``y_true`` holds class indices (N, S), padded at the end with -1, or
    what :meth:`targets` makes of labels and lengths. A path has one class a frame; dropping repeats
    and then blanks gives its labels. Frames beyond an input length are not looked at and have gradient 0; a
    class masked with a logit of -inf has gradient 0.

    A value is that of one sequence, in nats, not divided by any length; the gradient is (N, T, C).

    When no path exists (fewer frames than labels plus one blank between equal neighbours, or a
    label masked in too many frames) the probability is 0: the value is +inf and the gradient 0, so one such sequence
    shows in the mean but stops nothing. With ``infeasible="exclude"`` it counts as weight 0 does.

    Parameters
    ----------
    blank : int, default 0
        Index of the blank class.
    infeasible : {"inf", "exclude"}
        What a sequence without a path costs.

    References
    ----------
    Graves, Fernandez, Gomez and Schmidhuber (2006), Connectionist Temporal Classification, ICML.

    Examples
    --------
    >>> import numpy as np
    >>> import lossmith as lm
    >>> logits = np.zeros((1, 4, 3))
    >>> round(float(lm.CTC()([[1, 2]], logits)), 4)
    1.6864
    >>> y_true = lm.CTC.targets([[1, 2]], target_lengths=[1], input_lengths=[1])
    >>> round(float(lm.CTC()(y_true, logits)), 4)
    1.0986
    """

    blank: int = whole(0)
    infeasible: str = choice("inf", ("inf", "exclude"))
    separate: ClassVar[bool] = True
    claims = Traits(
        "sequence",
        lipschitz=NOT_STATED,
        smooth=NOT_STATED,
        strong=NOT_STATED,
        robust="bounded",
        proper=True,
        elicits="distribution",
    )
    about = About(
        formula=r"\ell(y, z) = -\log \sum_{\pi \in \mathcal{B}^{-1}(y)} \prod_t p_{t, \pi_t},"
        r"\quad p_t = \mathrm{softmax}(z_t)",
        gradient=r"p_{t,c} - P(\pi_t = c \mid y)",
        pros="needs no alignment of labels and frames; exact sum over all alignments in time T S",
        cons="frames are independent given the network; learns peaky alignments; no more labels than frames",
        best_for="speech and handwriting recognition, any monotone sequence labelling",
        reference="Graves, Fernandez, Gomez and Schmidhuber (2006), ICML",
        note="torch takes (T, N, C) log-probabilities and its mean divides each value by the target's length; "
        "for an impossible target torch has inf with a NaN gradient, optax 1e5, Keras 707 or 1e5 or inf",
    )

    @staticmethod
    def targets(labels: Any, target_lengths: Any = None, input_lengths: Any = None) -> Sequences:
        """Return y_true from labels and lengths.

        Parameters
        ----------
        labels : array_like of int, shape (N, S)
            Class indices.
        target_lengths : array_like of int, shape (N,), optional
            How many labels of each row count. If not given, a row ends at its first -1.
        input_lengths : array_like of int, shape (N,), optional
            How many frames of each sequence count. If not given, all.

        Returns
        -------
        Sequences
            The record to give as y_true.
        """
        return Sequences(labels, target_lengths, input_lengths)

    def _parts(self, y_true: Any) -> Targets:
        given = y_true if isinstance(y_true, Sequences) else Sequences(y_true)
        nothing = np.zeros(0, np.int64)
        lengths = zip(given[1:], Sequences._fields[1:], strict=True)
        return (
            contract.as_array(given.labels, "y_true"),
            *(nothing if value is None else contract.as_array(value, name) for value, name in lengths),
        )

    def _count(self, parts: Targets, f: Array) -> int:
        return int(f.shape[0]) if len(f.shape) else 0

    def _checked(self, parts: Targets, f: Floats, weight: Floats | None) -> _Batch:
        used = np.ones(len(f), bool) if weight is None else weight > 0.0
        batch = self._batch(parts, f, used)
        here = used[:, None] & (np.arange(f.shape[1]) < batch.input_lengths[:, None])
        silent = here & (f.max(axis=2) == -np.inf)
        if silent.any():
            raise _silent(*np.argwhere(silent)[0])
        return batch

    def _batch(self, parts: Targets, f: Array, used: npt.NDArray[np.bool_]) -> _Batch:
        self._check_shapes(parts, f)
        batch = _batch(parts, *f.shape[:2])
        self._check_labels(batch, f.shape[2], used)
        return batch

    def _check_shapes(self, parts: Targets, f: Array) -> None:
        shape, given = tuple(f.shape), tuple(parts[0].shape)
        if len(shape) != 3:
            raise ValueError(f"CTC: y_pred has shape {shape}; give logits (sequences, frames, classes)")
        if self.blank >= shape[2]:
            raise ValueError(f"CTC: blank={self.blank} but y_pred has {shape[2]} classes")
        if len(given) != 2 or given[0] != shape[0]:
            raise ValueError(f"CTC: y_true has shape {given}; give one row of labels a sequence, ({shape[0]}, S)")
        for part, name in zip(parts[1:], Sequences._fields[1:], strict=True):
            if tuple(part.shape) not in ((0,), shape[:1]):
                raise ValueError(
                    f"CTC: {name} has shape {tuple(part.shape)}; give one length a sequence, ({shape[0]},)"
                )

    def _check_labels(self, batch: _Batch, classes: int, used: npt.NDArray[np.bool_]) -> None:
        inside = used[:, None] & (np.arange(batch.labels.shape[1]) < batch.target_lengths[:, None])
        wrong = inside & ((batch.labels < 0) | (batch.labels >= classes) | (batch.labels == self.blank))
        if wrong.any():
            n, s = np.argwhere(wrong)[0]
            raise ValueError(
                f"CTC: y_true holds {batch.labels[n, s]} at index ({n}, {s}); accepted are classes 0 to {classes - 1} "
                f"except the blank {self.blank} (pad with -1 or give target_lengths)"
            )

    # --- in NumPy ---------------------------------------------------------------------------------------

    def _value_and_gradient(self, y: Any, f: Floats, weight: Floats) -> Evaluation:
        here = weight > 0.0
        if here.all():
            values, gradient = self._of_batch(y, f)
        else:
            values, gradient = np.zeros(len(f)), np.zeros_like(f)
            if here.any():
                values[here], gradient[here] = self._of_batch(_Batch(*(part[here] for part in y)), f[here])
        if (weight != 1.0).any():
            gradient *= weight[:, None, None]
        gradient[values == np.inf] = 0.0
        return Evaluation(*self._counted(values), gradient)

    def _value(self, y: Any, f: Floats, weight: Floats) -> Evaluation:
        here, values = weight > 0.0, np.zeros(len(f))
        if here.any():
            batch = _Batch(*(part[here] for part in y))
            lattice = Lattice.of(batch.labels, batch.target_lengths, self.blank)
            values[here] = log_likelihood(_emission(batch, f[here], lattice)[0], lattice, batch.input_lengths)
        return Evaluation(*self._counted(values))

    def _of_batch(self, y: _Batch, z: Floats) -> tuple[Floats, Floats]:
        """Return values and their gradients."""
        lattice = Lattice.of(y.labels, y.target_lengths, self.blank)
        emission, p = _emission(y, z, lattice)
        values, occupied = posteriors(emission, lattice, y.input_lengths)
        return values, _difference(p, occupied, lattice.classes, _frames(y, z))

    def _counted(self, values: Floats) -> tuple[Floats, Floats | None]:
        """Return values, and what each counts in the mean."""
        impossible = values == np.inf
        if self.infeasible == "inf" or not impossible.any():
            return values, None
        return np.where(impossible, 0.0, values), np.where(impossible, 0.0, 1.0)

    # --- in any library ---------------------------------------------------------------------------------

    def _formula(self, parts: Targets, f: Array, weight: Array | None) -> tuple[Array, Array | None]:
        values = lattice_formula.cost(lattice_formula.Task.of(parts, present(f, weight, 0.0), self.blank, _PADDING))
        if self.infeasible == "inf":
            return values, None
        possible, none = values < np.inf, full_like(values, 0.0)
        return where(possible, values, none), where(possible, full_like(values, 1.0), none)

    # --- by the kernel ----------------------------------------------------------------------------------

    def _cells(self, parts: Targets, f: Array) -> int:
        if f.ndim != 3 or parts[0].ndim != 2:
            return 0
        count, frames, classes = f.shape
        # However few numbers a frame holds, NumPy's step from one to the next costs as much as some hundred of them.
        return int(frames * (256 + count * (classes + 2 * parts[0].shape[1] + 1)))

    def _sweep(self, parts: Targets, f: Array, share: Floats, place: Array | None) -> Evaluation:
        batch = self._batch(parts, f, share > 0.0)
        lengths = np.stack((batch.target_lengths, batch.input_lengths))
        values, faults = np.empty(len(f)), np.empty(len(f), np.int64)
        gradient = np.empty((0, 0, 0), f.dtype) if place is None else place
        run = lattice_sweep.sweep_single if f.dtype == np.float32 else lattice_sweep.sweep_double

        def work(start: int, stop: int) -> None:
            room = lattice_sweep.room_for(f.shape[1], f.shape[2], batch.labels.shape[1])
            run(room, read_only(f), batch.labels, lengths, share, self.blank, values, faults, gradient, start, stop)

        pool.share(len(f), work)
        if (faults >= 0).any():
            n = int((faults >= 0).argmax())
            raise _silent(n, faults[n])
        return Evaluation(*self._counted(values))


def _silent(n: int, t: int) -> ValueError:
    return ValueError(f"CTC: y_pred is -inf for every class in frame {t} of sequence {n}; mask fewer classes")


def _frames(y: _Batch, z: Floats) -> npt.NDArray[np.bool_]:
    return np.asarray(np.arange(z.shape[1]) < y.input_lengths[:, None])


def _emission(y: _Batch, z: Floats, lattice: Lattice) -> tuple[Floats, Floats]:
    """Return the log probability of each state's class (N, T, L), and the probabilities in the place of z."""
    z[~_frames(y, z)] = 0.0
    z = _finite_top(z)
    emission = np.take_along_axis(z, lattice.classes[:, None, :], axis=2)
    top, rest, p = _softmax(z)
    # One after the other: next to a large logit, log1p(rest) would vanish.
    emission -= top[:, :, None]
    emission -= np.log1p(rest)[:, :, None]
    return emission, p


def _finite_top(z: Floats) -> Floats:
    """Give the whole mass of a frame with infinite logits to these, its limit."""
    certain = z == np.inf
    if not certain.any():
        return z
    return np.where(certain.any(axis=2, keepdims=True), np.where(certain, 0.0, -np.inf), z)


def _softmax(z: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the largest logit, the sum of the other classes relative to it, and the probabilities (in z).

    The largest stays out of the sum, so that its log-probability -log1p(rest) keeps its digits near 0.
    """
    leader = z.argmax(axis=2)[:, :, None]
    top = np.take_along_axis(z, leader, axis=2)
    z -= top
    np.exp(z, out=z)
    np.put_along_axis(z, leader, 0.0, axis=2)
    rest = z.sum(axis=2)
    np.put_along_axis(z, leader, np.where(np.isnan(top), np.nan, 1.0), axis=2)
    z /= 1.0 + rest[:, :, None]
    return top[:, :, 0], rest, z


def _difference(p: Floats, occupied: Floats, classes: Integers, frames: npt.NDArray[np.bool_]) -> Floats:
    """Return p minus the share of paths in each class (p is overwritten); 0 beyond the frames."""
    p[:, :, classes[0, 0]] -= occupied[:, :, 0::2].sum(axis=2)
    for n, labels in enumerate(classes[:, 1::2]):
        np.subtract.at(p[n].T, labels, occupied[n, :, 1::2].T)
    p[~frames] = 0.0
    return p


def _batch(parts: Targets, count: int, frames: int) -> _Batch:
    """Check shapes and lengths of targets for ``count`` sequences of ``frames`` frames."""
    labels = whole_numbers(np.asarray(parts[0]), "y_true", "CTC")
    targets = _lengths(parts[1], "target_lengths", labels.shape[1], "labels in a row of y_true")
    inputs = _lengths(parts[2], "input_lengths", frames, "frames in y_pred")
    if targets is None:
        targets = (np.cumsum(labels == _PADDING, axis=1) == 0).sum(axis=1)
        late = (labels != _PADDING) & (np.arange(labels.shape[1]) >= targets[:, None])
        if late.any():
            n = int(np.argwhere(late)[0, 0])
            raise ValueError(f"CTC: y_true has a label after the padding -1 in row {n}; pad at the end only")
    return _Batch(labels, targets, np.full(count, frames) if inputs is None else inputs)


def _lengths(value: Array, name: str, limit: int, what: str) -> Integers | None:
    array = np.asarray(value)
    if not array.size:
        return None
    lengths = whole_numbers(array, name, "CTC")
    outside = (lengths < 0) | (lengths > limit)
    if outside.any():
        n = int(outside.argmax())
        raise ValueError(f"CTC: {name} holds {lengths[n]} at index {n}; there are {limit} {what}")
    return lengths
