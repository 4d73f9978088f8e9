"""Forward through a network and back, in buffers that are made once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse

from .architecture import Architecture

Array = np.ndarray[Any, Any]

# Rows that prediction takes at a time: their activations stay in the cache.
_BLOCK = 2048


@dataclass(frozen=True)
class Affine:
    """A fixed last step, ``centre + scale * score`` of each output, that is not trained.

    With it a network works in units near 1 whatever the target's unit, and the loss still sees the target's own.

    Attributes
    ----------
    centre, scale : ndarray, shape (k,)
        Of each output.
    """

    centre: Array
    scale: Array

    def astype(self, dtype: Any) -> Affine:
        """Return the same in another dtype."""
        return Affine(self.centre.astype(dtype), self.scale.astype(dtype))

    def apply(self, f: Array) -> None:
        """Change scores in place."""
        f *= self.scale
        f += self.centre


@dataclass(frozen=True)
class Network:
    """A network with its numbers.

    Attributes
    ----------
    architecture : Architecture
        Layers and activations.
    theta : ndarray, shape (architecture.count,)
        Weights and biases, float32 or float64.
    affine : Affine or None
        What its outputs go through.

    Examples
    --------
    >>> import numpy as np
    >>> net = Network(Architecture((2, 1), "relu"), np.array([1.0, -1.0, 0.5]))
    >>> net.scores(np.array([[3.0, 1.0]])).tolist()
    [[2.5]]
    """

    architecture: Architecture
    theta: Array
    affine: Affine | None = None

    def scores(self, X: Any) -> Array:
        """Compute the outputs, without dropout.

        Parameters
        ----------
        X : ndarray or CSR matrix, shape (n, inputs)
            Features.

        Returns
        -------
        ndarray, shape (n, outputs)
            In the dtype of the network.
        """
        found = np.empty((X.shape[0], self.architecture.outputs), self.theta.dtype)
        for start in range(0, X.shape[0], _BLOCK):
            here = slice(start, start + _BLOCK)
            found[here] = self._block(X[here])
        return found

    def _block(self, rows: Any) -> Array:
        made = self.architecture
        h: Array = rows
        for i, (weights, biases) in enumerate(made.layers(self.theta)):
            h = np.asarray(h @ weights)
            h += biases
            (made.hidden if i < made.depth - 1 else made.last).apply(h)
        if self.affine is not None:
            self.affine.apply(h)
        return h

    def plain(self) -> Network:
        """Return a network of the same outputs without :attr:`affine`, which is taken into the last layer."""
        theta = self.theta.copy()
        if self.affine is not None:
            weights, biases = self.architecture.layers(theta)[-1]
            weights *= self.affine.scale
            biases *= self.affine.scale
            biases += self.affine.centre
        return Network(self.architecture, theta)


class Passes:
    """One network's buffers for batches of up to so many rows.

    Attributes
    ----------
    gradient : ndarray, shape (count,)
        What :meth:`backward` fills.
    activations : list of ndarray
        Of the hidden layers and the outputs, as the last :meth:`forward` left them; rows beyond the batch are old.
    rows : int
        How many rows that was.
    """

    def __init__(self, network: Network, batch: int, rng: np.random.Generator) -> None:
        made, dtype = network.architecture, network.theta.dtype
        self.architecture, self.affine, self.rng = made, network.affine, rng
        self._layers = made.layers(network.theta)
        self.gradient = np.empty_like(network.theta)
        self._gradients = made.layers(self.gradient)
        self.activations = [np.empty((batch, size), dtype) for size in made.sizes[1:]]
        self._deltas = [np.empty((batch, size), dtype) for size in made.sizes[1:]]
        self._slopes = [np.empty((batch, size), dtype) for size in made.sizes[1:]]
        hidden = made.sizes[1:-1] if made.dropout else ()
        self._masks = [np.empty((batch, size), dtype) for size in hidden]
        self._kept = [np.empty((batch, size), dtype) for size in hidden]
        self._draws = np.empty(batch * max(hidden, default=0), np.float32)
        self._ones = np.ones(batch, dtype)
        self.rows = 0

    def forward(self, X: Any) -> Array:
        """Compute the outputs (m, k) of some rows, with dropout; a view that the next call overwrites."""
        made, m = self.architecture, X.shape[0]
        self.rows, h = m, X
        for i, (weights, biases) in enumerate(self._layers):
            z = self.activations[i][:m]
            if issparse(h):
                z[...] = h @ weights
            else:
                np.matmul(h, weights, out=z)
            z += biases
            if i < made.depth - 1:
                made.hidden.apply_keeping(z, self._slopes[i][:m])
                h = self._dropped(i, z) if made.dropout else z
            else:
                made.last.apply_keeping(z, self._slopes[i][:m])
        if self.affine is not None:
            # Apart: what the last activation needs on the way back must not change.
            f = self._slopes[-1][:m]
            np.copyto(f, z)
            self.affine.apply(f)
            return f
        return z

    def _dropped(self, i: int, a: Array) -> Array:
        """Leave out a share at random, and scale up what stays so that expectations are kept."""
        m, rate = len(a), self.architecture.dropout
        mask, kept = self._masks[i][:m], self._kept[i][:m]
        draws = self._draws[: a.size].reshape(a.shape)
        self.rng.random(out=draws, dtype=np.float32)
        np.greater_equal(draws, rate, out=mask, casting="unsafe")
        mask *= 1.0 / (1.0 - rate)
        return np.multiply(a, mask, out=kept)

    def backward(self, X: Any, slope: Array) -> None:
        """Fill :attr:`gradient` from the gradient (m, k) by the outputs of the last :meth:`forward`."""
        made, m = self.architecture, self.rows
        delta = self._deltas[-1][:m]
        np.copyto(delta, slope)
        if self.affine is not None:
            delta *= self.affine.scale
        made.last.pull(delta, self.activations[-1][:m], self._slopes[-1][:m])
        for i in range(made.depth - 1, -1, -1):
            into_weights, into_biases = self._gradients[i]
            np.matmul(self._ones[:m], delta, out=into_biases)
            if i == 0:
                self._first(X, delta, into_weights)
                return
            np.matmul(self._input(i).T, delta, out=into_weights)
            before = self._deltas[i - 1][:m]
            np.matmul(delta, self._layers[i][0].T, out=before)
            if made.dropout:
                before *= self._masks[i - 1][:m]
            made.hidden.pull(before, self.activations[i - 1][:m], self._slopes[i - 1][:m])
            delta = before

    def _input(self, i: int) -> Array:
        """Return what went into layer i > 0."""
        return (self._kept if self.architecture.dropout else self.activations)[i - 1][: self.rows]

    def _first(self, X: Any, delta: Array, into: Array) -> None:
        if issparse(X):
            into[...] = X.T @ delta
        else:
            np.matmul(X.T, delta, out=into)
