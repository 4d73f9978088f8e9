"""What the arguments of an estimator stand for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.loss import Loss
from ...core.registry import from_config, get
from ...optimize.folded import MCP, SCAD
from ...optimize.penalties import L1, L2, ElasticNet, Penalty
from ..links import Link, output_link

Array = np.ndarray[Any, Any]

# Strength of a penalty that is given by name, in units of the mean loss; scikit-learn's SGD and Huber estimators
# take the same.
DEFAULT_ALPHA = 1e-4


def made_loss(spec: Any) -> Loss:
    """Return the loss behind a Loss, its name, or its configuration.

    Raises
    ------
    TypeError
        For anything else.
    """
    made = get(spec) if isinstance(spec, str) else from_config(spec) if isinstance(spec, dict) else spec
    if not isinstance(made, Loss):
        raise TypeError(f"loss={spec!r} is not accepted; give a Loss or its name, such as 'huber(delta=1.35)'")
    return made


def made_penalty(spec: Any, alpha: float | None, l1_ratio: float) -> Penalty | None:
    """Return the penalty behind a name or a Penalty, scaled; None for none and for strength 0.

    Parameters
    ----------
    spec : None, "l1", "l2", "elasticnet", "mcp", "scad" or Penalty
        Which one.
    alpha : float or None
        Strength for a name (None: 1e-4), a factor on its own strength for a Penalty (None: 1).
    l1_ratio : float
        Of "elasticnet".

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    _check_alpha(alpha)
    if spec is None:
        return None
    if isinstance(spec, Penalty):
        penalty = spec if alpha is None else _scaled(spec, float(alpha))
    else:
        penalty = _named(spec, DEFAULT_ALPHA if alpha is None else float(alpha), l1_ratio)
    return None if own_strength(penalty) == 0.0 else penalty


def own_strength(penalty: Penalty) -> float | None:
    """Return the field ``alpha`` of a penalty, None for those that have none, such as limits."""
    return dataclasses.asdict(penalty).get("alpha")


def _check_alpha(alpha: Any) -> None:
    if alpha is None:
        return
    if isinstance(alpha, (bool, str)) or not 0 <= alpha < np.inf:
        raise ValueError(f"alpha={alpha!r} is not accepted; give a number >= 0")


def _scaled(penalty: Penalty, factor: float) -> Penalty:
    own = own_strength(penalty)
    if own is None:
        raise ValueError(f"alpha={factor:g} has no meaning for {penalty!r}, which has no strength; leave it out")
    return dataclasses.replace(penalty, alpha=own * factor)  # type: ignore[call-arg]


def _named(spec: Any, alpha: float, l1_ratio: float) -> Penalty:
    known: dict[str, Penalty] = {
        "l1": L1(alpha),
        "l2": L2(alpha),
        "elasticnet": ElasticNet(alpha, l1_ratio),
        "mcp": MCP(alpha),
        "scad": SCAD(alpha),
    }
    if not isinstance(spec, str) or spec not in known:
        names = ", ".join(map(repr, known))
        raise ValueError(
            f"penalty={spec!r} is not accepted; give None, {names} or a Penalty, such as Box() or GroupLasso"
        )
    return known[spec]


def link_of(loss: Loss) -> Link:
    """Return the link of a loss on raw scores, losses on rows of scores included.

    Raises
    ------
    ValueError
        For a loss on other predictions.
    """
    if loss.tier == "row-wise" and loss.traits.task == "multiclass" and getattr(loss, "inputs", "") == "scores":
        return RowScores()
    return output_link(loss)


@dataclass(frozen=True)
class RowScores(Link):
    """Losses on a row of scores that are no logits, such as MultiMargin: the largest decides."""

    def encode(self, y: Array) -> Array:
        """Turn class codes into what the loss takes."""
        return np.asarray(y).astype(np.intp)

    def decode(self, raw: Array) -> Array:
        """Return the scores."""
        return raw

    def to_config(self) -> dict[str, Any]:
        """Return a JSON-able description."""
        return {"kind": "row_scores"}
