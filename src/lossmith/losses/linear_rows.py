"""Cross-entropy of a few rows of logits against labels, and its gradient written over the logits.

Larger tables on the CPU go to the row kernels of the engine, which compile the texts of the loss on all logits. The
rest is one text for NumPy and torch (``xp`` is either module: the functions it names are spelled alike in both).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Array = Any


@dataclass(frozen=True)
class Targets:
    """What rows of logits z are measured against.

    The coefficients of a row are c_k = class_weights_k ((1 - smoothing) [k is the label] + smoothing / K), and its loss
    is sum_k c_k (lse - z_k + z_loss * lse^2) with lse = log sum_k exp z_k.

    Attributes
    ----------
    label : integer array, shape (n,)
        One for each row.
    smoothing : float
        Share of the target that falls evenly on all classes.
    class_weights : floating array, shape (k,), or None
        One for each class; ones if None.
    z_loss : float
        Price of a large normaliser.
    """

    label: Array
    smoothing: float
    class_weights: Array | None
    z_loss: float

    def of(self, part: slice) -> Targets:
        """Return those of some rows."""
        return Targets(self.label[part], self.smoothing, self.class_weights, self.z_loss)

    def masses(self, k: int) -> Array:
        """Return the sum of the coefficients of each row, or one number if all have the same."""
        return self.hard() + self.even(k) * self.classes(k)

    def hard(self) -> Array:
        """Return what the label's coefficient has more than smoothing gives it."""
        keep = 1.0 - self.smoothing
        return keep if self.class_weights is None else keep * self.class_weights[self.label]

    def even(self, k: int) -> float:
        """Return the share of smoothing that falls on each class."""
        return self.smoothing / k

    def classes(self, k: int) -> Any:
        """Return the sum of the class weights."""
        return k if self.class_weights is None else self.class_weights.sum()


def cross_entropy(xp: Any, z: Array, rows: Array, targets: Targets, gradient: bool) -> Array:
    """Compute the values of rows of logits; the logits are lost, to their gradient if it is wanted.

    The label's logit is left out of the sum and added at the end, so that neither the value nor the slope of a
    confident row cancels.

    Parameters
    ----------
    xp : module
        numpy or torch.
    z : floating array, shape (n, k)
        Logits; overwritten.
    rows : integer array, shape (n,)
        0 ... n-1.
    targets : Targets
        Of these rows.
    gradient : bool
        Whether to leave the gradient in z.

    Returns
    -------
    array, shape (n,)
        Values.
    """
    label, by_class, k = targets.label, targets.class_weights, z.shape[1]
    hard, even = targets.hard(), targets.even(k)
    spread = even * targets.classes(k)
    top = xp.amax(z, 1)
    z -= top[:, None]
    own = z[rows, label]
    lag = 0.0
    if even:
        lag = -even * (xp.sum(z, 1) if by_class is None else z @ by_class)
    z[rows, label] = -float("inf")
    xp.exp(z, out=z)
    others, mine = xp.sum(z, 1), xp.exp(own)
    total = others + mine
    # Where the label leads, the sum is 1 + others, and its logarithm may be far below 1.
    low = xp.where(own == 0.0, xp.log1p(others), xp.log(total))
    level = top + low
    ridge = targets.z_loss * (hard + spread)
    value = hard * (low - own) + spread * low + lag
    if targets.z_loss:
        value = value + ridge * level * level
    if gradient:
        rest = spread + 2.0 * ridge * level
        z *= ((hard + rest) / total)[:, None]
        z[rows, label] = (rest * mine - hard * others) / total
        if even:
            z -= even if by_class is None else even * by_class
    return value


def cap(xp: Any, z: Array, softcap: float) -> None:
    """Bend logits smoothly into -softcap ... softcap, in place."""
    z /= softcap
    xp.tanh(z, out=z)
    z *= softcap


def uncap(z: Array, capped: Array, softcap: float) -> None:
    """Turn the gradient z by the capped logits into the one by the logits, in place; ``capped`` is lost."""
    capped /= softcap
    capped *= capped
    capped *= z
    z -= capped
