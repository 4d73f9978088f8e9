"""Every structured loss with parameter instances and inputs; the laws are parametrised over these."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import lossmith as lm
from structured import obvious

Array = Any


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A loss, an input and its textbook twin.

    Attributes
    ----------
    loss : StructuredLoss
        The instance.
    y, f : array
        Targets and predictions.
    terms : callable
        ``terms(f, weight)``: (mass, value) of every item, in 60 digits, from nested lists.
    keep : callable
        ``keep(y, f, samples)``: the same targets and predictions with these samples only.
    """

    name: str
    loss: Any
    y: Any
    f: Array
    terms: Callable[..., obvious.Terms]
    keep: Callable[[Any, Array, Array], tuple[Any, Array]]

    @property
    def count(self) -> int:
        return len(np.asarray(self.loss(self.y, self.f, reduction="none")))

    @property
    def given(self) -> bool:
        return self.loss.traits.task == "embedding" and np.ndim(self.y) == 2

    @property
    def by_label(self) -> bool:
        return self.loss.traits.task == "embedding" and np.ndim(self.y) == 1


def _rows(y: Any, f: Array, samples: Array) -> tuple[Any, Array]:
    return np.asarray(y)[samples], f[samples]


def _targets_only(y: Any, f: Array, samples: Array) -> tuple[Any, Array]:
    return np.asarray(y)[samples], f


def _sequences(y: Any, f: Array, samples: Array) -> tuple[Any, Array]:
    return type(y)(*(np.asarray(part)[samples] for part in y)), f[samples]


def _embeddings(seed: int, shape: tuple[int, int]) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def _triplets() -> Iterator[Case]:
    labels = np.array([0, 1, 0, 2, 1, 0, 2, 3])
    rows = np.array([[0, 1, 2], [3, 0, 5], [4, 6, 1], [2, 5, 7]])
    settings: list[dict[str, Any]] = [
        {}, {"soft": True}, {"average": "active"}, {"selection": "hard"}, {"selection": "semi_hard"},
        {"selection": "hard", "soft": True, "margin": 0.0}, {"selection": "semi_hard", "average": "active"},
    ]  # fmt: skip
    for distance in ("squared_euclidean", "euclidean", "cosine"):
        for setting in settings:
            loss = lm.Triplet(distance=distance, **setting)
            yield _embedding_case(loss, labels, obvious.triplet_terms)
        for soft in (False, True):
            yield _embedding_case(lm.Triplet(distance=distance, margin=1.0, soft=soft), rows, obvious.triplet_terms)


def _pairs() -> Iterator[Case]:
    labels = np.array([0, 1, 0, 2, 1, 0, 2, 3])
    rows = np.array([[0, 1, 0], [3, 0, 1], [4, 6, 1], [2, 5, 0]])
    for distance, margin in (("euclidean", 2.5), ("cosine", 1.2)):
        for one in (False, True):
            loss = lm.Contrastive(distance=distance, margin=margin, similar_is_one=one)
            yield _embedding_case(loss, rows, obvious.contrastive_terms)
        yield _embedding_case(loss, labels, obvious.contrastive_terms)


def _against_negatives() -> Iterator[Case]:
    labels, views = np.array([0, 1, 0, 2, 1, 0, 2, 3]), np.array([0, 1, 2, 3, 0, 1, 2, 3])
    for temperature in (0.07, 0.5):
        for y in (labels, views):
            yield _embedding_case(lm.NTXent(temperature=temperature), y, obvious.nt_xent_terms)
    pairs, shared = np.array([[0, 4], [1, 5], [2, 6], [3, 7]]), np.array([[0, 4], [1, 4], [2, 0], [0, 7], [3, 5]])
    for symmetric in (False, True):
        loss = lm.InfoNCE(temperature=0.2, symmetric=symmetric)
        for y in (pairs, shared):
            yield _embedding_case(loss, y, obvious.info_nce_terms)


def _embedding_case(loss: Any, y: Array, terms: Any) -> Case:
    f = _embeddings(3, (8, 3))
    form = "labels" if y.ndim == 1 else "given"
    keep = _rows if y.ndim == 1 else _targets_only
    return Case(f"{loss!r}-{form}", loss, y, f, lambda x, w=None: terms(loss, y, x, w), keep)


def _sequences_cases() -> Iterator[Case]:
    rng = np.random.default_rng(5)
    sequences = [((1, 2), 5), ((1, 1), 4), ((), 3), ((2,), 1), ((2, 1, 2), 5)]
    for blank, shift in ((0, 0), (2, -1)):
        loss = lm.CTC(blank=blank)
        moved = [(tuple(c + shift for c in labels), frames) for labels, frames in sequences]
        y = lm.CTC.targets(
            np.array([[*labels, *[-1] * (3 - len(labels))] for labels, _ in moved]),
            np.array([len(labels) for labels, _ in moved]),
            np.array([frames for _, frames in moved]),
        )
        f = rng.normal(0, 2, (5, 5, 3))
        yield Case(
            f"{loss!r}", loss, y, f, lambda x, w=None, y=moved, s=loss: obvious.ctc_terms(s, y, x, w), _sequences
        )


def _masks() -> Iterator[Case]:
    rng = np.random.default_rng(7)
    for inputs in ("probabilities", "logits"):
        f = rng.normal(0, 2, (3, 4, 3)) if inputs == "logits" else rng.uniform(0.05, 0.95, (3, 4, 3))
        for setting in ({}, {"smooth": 1.0}, {"squared": True}, {"squared": True, "smooth": 0.5}):
            loss = lm.Dice(inputs=inputs, **setting)
            hard = (rng.random((3, 4)) < 0.5).astype(float)
            yield _mask_case(loss, hard, f[:, :, 0], hard[:, :, None], lambda x: [[[v] for v in r] for r in x])
            loss = lm.Dice(inputs=inputs, class_axis=-1, **setting)
            soft = rng.dirichlet(np.ones(3), (3, 4))
            yield _mask_case(loss, soft, f, soft, lambda x: x)
            classes = rng.integers(0, 3, (3, 4))
            yield _mask_case(loss, classes, f, np.eye(3)[classes], lambda x: x)


def _mask_case(loss: Any, y: Array, f: Array, mask: Array, lift: Callable[[Any], Any]) -> Case:
    kind = f"{y.dtype}{y.ndim}"
    return Case(f"{loss!r}-{kind}", loss, y, f, lambda x, w=None: obvious.dice_terms(loss, mask, lift(x), w), _rows)


CASES = (*_triplets(), *_pairs(), *_against_negatives(), *_sequences_cases(), *_masks())
