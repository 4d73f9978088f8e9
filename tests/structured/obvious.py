"""The textbook definitions, written as slowly and plainly as possible, in 60-digit arithmetic.

Nothing here shares code or ideas with the library: CTC enumerates every path, triplets and pairs are nested
loops, derivatives are central differences with a step of 1e-20 (their error is about 1e-38).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import mpmath as mp
import numpy as np

mp.mp.dps = 60

Number = Any
Vector = Sequence[Number]
# A loss returns a list of (weight in the mean, value).
Terms = list[tuple[Number, Number]]


def exact(x: Any) -> Any:
    """Nested lists of 60-digit numbers from an array."""
    array = np.asarray(x, np.float64)
    return [exact(row) for row in array] if array.ndim else mp.mpf(float(array))


def mean(terms: Terms) -> Number:
    mass = mp.fsum(m for m, _ in terms)
    return mp.fsum(m * value for m, value in terms) / mass if mass else mp.mpf(0)


def total(terms: Terms) -> Number:
    return mp.fsum(m * value for m, value in terms)


def gradient(terms: Callable[[Any], Terms], f: Any, reduce: Callable[[Terms], Number] = mean) -> np.ndarray:
    """Differentiate a reduced loss by every entry of f."""
    f = np.asarray(f, np.float64)
    step = mp.mpf(10) ** -20
    found = np.zeros(f.shape)
    for place in np.ndindex(f.shape):
        sides = []
        for sign in (1, -1):
            moved = exact(f)
            row = moved
            for i in place[:-1]:
                row = row[i]
            row[place[-1]] += sign * step
            sides.append(reduce(terms(moved)))
        found[place] = float((sides[0] - sides[1]) / (2 * step))
    return found


# --- distances ----------------------------------------------------------------------------------------


def squared_euclidean(x: Vector, y: Vector) -> Number:
    return mp.fsum((a - b) ** 2 for a, b in zip(x, y, strict=True))


def euclidean(x: Vector, y: Vector) -> Number:
    return mp.sqrt(squared_euclidean(x, y))


def cosine(x: Vector, y: Vector) -> Number:
    dot = mp.fsum(a * b for a, b in zip(x, y, strict=True))
    lengths = mp.sqrt(mp.fsum(a * a for a in x)) * mp.sqrt(mp.fsum(b * b for b in y))
    return 1 - dot / lengths if lengths else mp.mpf(1)


DISTANCES = {"squared_euclidean": squared_euclidean, "euclidean": euclidean, "cosine": cosine}


# --- triplets and pairs -------------------------------------------------------------------------------


def triplets(
    labels: Sequence[int], distance: Callable[[int, int], Number], selection: str
) -> list[tuple[int, int, int]]:
    n = range(len(labels))
    pairs = [(a, p) for a in n for p in n if a != p and labels[a] == labels[p]]
    others = {a: [j for j in n if labels[j] != labels[a]] for a in n}
    if selection == "all":
        return [(a, p, j) for a, p in pairs for j in others[a]]
    if selection == "hard":
        found = []
        for a in n:
            mine = [p for b, p in pairs if b == a]
            if mine and others[a]:
                far = max(mine, key=lambda p: distance(a, p))
                near = min(others[a], key=lambda j: distance(a, j))
                found.append((a, far, near))
        return found
    found = []
    for a, p in pairs:
        farther = [j for j in others[a] if distance(a, j) > distance(a, p)]
        if farther:
            found.append((a, p, min(farther, key=lambda j: distance(a, j))))
        elif others[a]:
            found.append((a, p, max(others[a], key=lambda j: distance(a, j))))
    return found


def triplet_terms(loss: Any, y: Any, x: Any, weight: Any = None) -> Terms:
    measure = DISTANCES[loss.distance]
    y = np.asarray(y)
    w = [mp.mpf(1)] * len(y) if weight is None else exact(weight)
    if y.ndim == 1:
        chosen = triplets(list(y), lambda i, j: measure(x[i], x[j]), loss.selection)
        chosen = [(t, w[t[0]] * w[t[1]] * w[t[2]]) for t in chosen]
    else:
        chosen = [(tuple(row), w[i]) for i, row in enumerate(y)]
    terms = []
    for (a, p, n), mass in chosen:
        violation = measure(x[a], x[p]) - measure(x[a], x[n]) + mp.mpf(loss.margin)
        value = mp.log(1 + mp.exp(violation)) if loss.soft else max(violation, mp.mpf(0))
        if loss.average == "all" or value > 0:
            terms.append((mass, value))
    return terms


def contrastive_terms(loss: Any, y: Any, x: Any, weight: Any = None) -> Terms:
    measure = DISTANCES[loss.distance]
    y = np.asarray(y)
    w = [mp.mpf(1)] * len(y) if weight is None else exact(weight)
    if y.ndim == 1:
        pairs = [(i, j, y[i] == y[j], w[i] * w[j]) for i, j in itertools.combinations(range(len(y)), 2)]
    else:
        one = loss.similar_is_one
        pairs = [(i, j, bool(label) == one, w[k]) for k, (i, j, label) in enumerate(y)]
    terms = []
    for i, j, similar, mass in pairs:
        d = measure(x[i], x[j])
        terms.append((mass, d**2 if similar else max(mp.mpf(loss.margin) - d, mp.mpf(0)) ** 2))
    return terms


def nt_xent_terms(loss: Any, y: Any, x: Any, weight: Any = None) -> Terms:
    """Each pair of one label against the embeddings of other labels."""
    n = range(len(y))
    w = [mp.mpf(1)] * len(y) if weight is None else exact(weight)
    terms = []
    for a, p in itertools.permutations(n, 2):
        if y[a] == y[p] and w[a] * w[p] > 0:
            others = [(w[j], 1 - cosine(x[a], x[j])) for j in n if y[j] != y[a]]
            terms.append((w[a] * w[p], _against(1 - cosine(x[a], x[p]), others, loss.temperature)))
    return terms


def info_nce_terms(loss: Any, y: Any, x: Any, weight: Any = None) -> Terms:
    """Each query with its key against the keys of rows with another key."""
    w = [mp.mpf(1)] * len(y) if weight is None else exact(weight)
    terms = []
    for (query, key), mass in zip(y, w, strict=True):
        others = [(w[j], 1 - cosine(x[query], x[k])) for j, (_, k) in enumerate(y) if k != key]
        value = _against(1 - cosine(x[query], x[key]), others, loss.temperature)
        if loss.symmetric:
            others = [(w[j], 1 - cosine(x[key], x[q])) for j, (q, _) in enumerate(y) if q != query]
            value = (value + _against(1 - cosine(x[query], x[key]), others, loss.temperature)) / 2
        terms.append((mass, value))
    return terms


def _against(positive: Number, others: list[tuple[Number, Number]], temperature: float) -> Number:
    own = mp.exp(positive / temperature)
    return -mp.log(own / (own + mp.fsum(w * mp.exp(s / temperature) for w, s in others)))


# --- CTC ----------------------------------------------------------------------------------------------


def collapse(path: Sequence[int], blank: int) -> tuple[int, ...]:
    return tuple(c for c, _ in itertools.groupby(path) if c != blank)


def ctc_terms(loss: Any, y: Any, logits: Any, weight: Any = None) -> Terms:
    """``y`` is a list of (labels, number of frames)."""
    w = [mp.mpf(1)] * len(y) if weight is None else exact(weight)
    terms = []
    for (labels, frames), rows, mass in zip(y, logits, w, strict=True):
        p = []
        for row in rows[:frames]:
            e = [mp.exp(z) for z in row]
            p.append([v / mp.fsum(e) for v in e])
        classes = range(len(rows[0]))
        chance = mp.fsum(
            mp.fprod(p[t][c] for t, c in enumerate(path))
            for path in itertools.product(classes, repeat=frames)
            if collapse(path, loss.blank) == tuple(labels)
        )
        terms.append((mass, -mp.log(chance) if chance else mp.inf))
    return terms


# --- Dice ---------------------------------------------------------------------------------------------


def dice_terms(loss: Any, y: Any, f: Any, weight: Any = None) -> Terms:
    """``y`` and ``f`` are (samples, pixels, classes)."""
    w = [mp.mpf(1)] * len(f) if weight is None else exact(weight)
    terms = []
    for mask, scores, mass in zip(exact(y), f, w, strict=True):
        p = [_probabilities(loss, row) for row in scores]
        values = []
        for c in range(len(p[0])):
            a, b = [row[c] for row in mask], [row[c] for row in p]
            both = mp.fsum(u * v for u, v in zip(a, b, strict=True))
            power = 2 if loss.squared else 1
            size = mp.fsum(u**power for u in a) + mp.fsum(v**power for v in b)
            values.append(1 - (2 * both + loss.smooth) / (size + loss.smooth) if size + loss.smooth else mp.mpf(0))
        terms.append((mass, mp.fsum(values) / len(values)))
    return terms


def _probabilities(loss: Any, row: Vector) -> list[Number]:
    if loss.inputs == "probabilities":
        return list(row)
    if loss.class_axis is None:
        return [1 / (1 + mp.exp(-z)) for z in row]
    e = [mp.exp(z) for z in row]
    return [v / mp.fsum(e) for v in e]
