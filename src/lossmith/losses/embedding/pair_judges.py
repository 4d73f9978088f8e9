"""Judges of pairs, each in NumPy for small batches and as a compiled loop with the same meaning."""

from __future__ import annotations

import numpy as np

from ...engine.compiled import compiled
from ...ops import exp, log, sigmoid, softplus
from .classes import Classes
from .geometry import Floats, Integers
from .lanes import highest, total
from .prices import contrast, contrast_slope
from .tiles import Tile


def contrastive(tile: Tile, classes: Classes, margin: float) -> None:
    """Fill a tile with the costs of all pairs of an anchor, half to each end; the pull is that of the whole pair.

    Parameters
    ----------
    tile : Tile
        Distances in, losses and pulls out.
    classes : Classes
        The batch; pairs of one class are similar.
    margin : float
        Distance beyond which dissimilar pairs cost nothing.
    """
    similar = classes.same(tile.rows)
    partner = np.broadcast_to(classes.weight, tile.near.shape).copy()
    np.fill_diagonal(partner[:, tile.rows], 0.0)
    tile.values[:] = 0.5 * (partner * contrast(tile.near, similar, margin)).sum(axis=1)
    tile.counts[:] = 0.5 * partner.sum(axis=1)
    tile.pull[...] = classes.weight[tile.rows, None] * partner * contrast_slope(tile.near, similar, margin)


def against_negatives(tile: Tile, classes: Classes, temperature: float, single: bool) -> None:
    """Fill a tile with -log(e^(s_p / t) / (e^(s_p / t) + sum_n w_n e^(s_n / t))), summed over positives p.

    It is log(1 + e^v) with v = log(sum_n w_n e^(s_n / t)) - s_p / t, which keeps the digits of small losses.

    Parameters
    ----------
    tile : Tile
        Similarities in, losses and pulls out.
    classes : Classes
        The batch; embeddings of other classes are negatives.
    temperature : float
        What similarities are divided by.
    single : bool
        Column i is the only positive of row i, instead of all others of its class.
    """
    own, weight = classes.weight[tile.rows, None], classes.weight
    same = classes.same(tile.rows)
    positive = np.zeros_like(tile.near)
    if single:
        np.fill_diagonal(positive[:, tile.rows], 1.0)
    else:
        positive[...] = classes.partner(tile.rows) * weight
    level = np.where(same, -np.inf, tile.near).max(axis=1, keepdims=True)
    parts = np.where(same, 0.0, weight * np.exp((tile.near - level) / temperature))
    whole = parts.sum(axis=1, keepdims=True)
    v = np.where(positive > 0.0, np.log(whole) + (level - tile.near) / temperature, 0.0)
    drawn = positive * sigmoid(v)
    share = drawn.sum(axis=1, keepdims=True) / np.where(whole > 0.0, whole, 1.0)
    tile.values[:] = (positive * softplus(v)).sum(axis=1)
    tile.counts[:] = positive.sum(axis=1)
    tile.pull[...] = own / temperature * (share * parts - drawn)


@compiled()
def against_negatives_loop(
    start: int, near: Floats, pull: Floats, values: Floats, counts: Floats,
    first: Integers, last: Integers, weight: Floats, temperature: float, single: bool,
) -> None:  # fmt: skip
    """Do what ``against_negatives`` does."""
    for row in range(near.shape[0]):
        a = start + row
        lo, hi = first[a], last[a]
        s, g = near[row], pull[row]
        level = max(highest(s[:lo]), highest(s[hi:]))
        _exponentials(s[:lo], weight[:lo], level, temperature, g[:lo])
        _exponentials(s[hi:], weight[hi:], level, temperature, g[hi:])
        whole = total(g[:lo]) + total(g[hi:])
        base = log(whole)
        values[row] = counts[row] = drawn = 0.0
        for p in range(lo, hi):
            taken = (1.0 if p == a else 0.0) if single else (0.0 if p == a else weight[p])
            g[p] = 0.0
            if taken > 0.0:
                v = base + (level - s[p]) / temperature
                values[row] += taken * softplus(v)
                counts[row] += taken
                g[p] = -weight[a] / temperature * (taken * sigmoid(v))
                drawn += taken * sigmoid(v)
        _scale(g[:lo], weight[a] / temperature * (drawn / (whole if whole > 0.0 else 1.0)))
        _scale(g[hi:], weight[a] / temperature * (drawn / (whole if whole > 0.0 else 1.0)))


def _exponentials(s: Floats, weight: Floats, level: float, temperature: float, out: Floats) -> None:
    for j in range(s.size):
        out[j] = weight[j] * exp((s[j] - level) / temperature)


def _scale(x: Floats, factor: float) -> None:
    for j in range(x.size):
        x[j] *= factor
