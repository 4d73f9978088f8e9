"""Divergences between a target distribution and a predicted one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core import contract
from ..core.domain import UNIT, Domain, Interval
from ..core.elementwise import inputs_among
from ..core.registry import register
from ..core.row_targets import probability_rows, row_shape
from ..core.rowwise import LOGITS, Kernel, RowWiseLoss
from ..core.traits import About, Traits
from ..engine import rows
from ..engine.rows import Texts
from ..ops import absolute, full_like, log, times, where, word
from ..ops.arrays import Softmax
from .binary import share_of
from .multiclass import plain_bend, plain_pull
from .softmax import PlainForm, SoftmaxForm, straight, surprise_pull

Array = Any


_NEAR = 0.0625
_THIN = 1e-30  # float32 still divides by it


@word
def _excess(y: Array, p: Array, ratio: Array) -> Array:
    """Return y log(y / p) - y + p, given log(y / p), of which no digit cancels where y and p are close.

    With s = (p - y) / (p + y) it is (p - y) s (1 - s (1 - s) (1/3 + s^2/5 + s^4/7 + ...)).
    """
    whole, apart = y + p, p - y
    s = apart / where(whole == 0.0, full_like(whole, 1.0), whole)
    x = s * s
    series = 1.0 / 3.0 + x * (1.0 / 5.0 + x * (1.0 / 7.0 + x * (1.0 / 9.0 + x * (1.0 / 11.0 + x * (1.0 / 13.0)))))
    return where(absolute(s) < _NEAR, apart * s * (1.0 - s * (1.0 - s) * series), times(y, ratio) + apart)


@word
def _divergence_term(y: Array, parts: Softmax) -> Array:
    """Y log(y / p) - y + p in each class; a p too small to divide by has its logarithm still."""
    p, thin, one = parts.probability, parts.probability < _THIN, full_like(y, 1.0)
    ratio = log(where(y == 0.0, one, y) / where(thin, one, p))
    return _excess(y, p, ratio + where(thin, parts.surprise, 0.0 * one))


ON_LOGITS = SoftmaxForm(Texts(_divergence_term, surprise_pull), straight)


@word
def _log_term(y: Array, f: Array) -> Array:
    return times(y, log(where(y == 0.0, full_like(y, 1.0), y)) - f)


@word
def _log_pull(y: Array, f: Array) -> Array:
    return -y + 0.0 * full_like(f, 0.0)


def _log_bend(y: Array, f: Array) -> Array:
    return full_like(f, 0.0)


@word
def _plain_term(y: Array, p: Array) -> Array:
    """Y log(y / p) - y + p in each class: the same sum for distributions, and no term is negative."""
    return _excess(y, p, log(where(y == 0.0, full_like(y, 1.0), share_of(y, p))))


@register("kl_divergence", aliases=("kl", "kullback_leibler", "kld"))
@dataclass(frozen=True)
class KLDivergence(RowWiseLoss):
    """Kullback-Leibler divergence KL(P || Q) = sum_i P(i) log(P(i) / Q(i)) of target P and prediction Q.

    Parameters
    ----------
    inputs : {"logits", "log_probabilities", "probabilities"}
        What the rows of y_pred (n, k) say about Q. y_true always holds probabilities. Q = 0 where P > 0
        costs infinity; P = 0 costs nothing.

    Notes
    -----
    By logits and by probabilities the value is summed up from the terms P log(P/Q) - P + Q, none of which is negative;
    for distributions that is the same sum, and it keeps its digits where P and Q nearly agree. By log-probabilities
    the value is sum P (log P - log Q) as it stands, and as good as the last digits of log Q.

    By probabilities the gradient is -P/Q, the one of textbooks and frameworks. Only changes that keep the
    sum of Q mean something, and along these the gradient is exact. Differences that move one probability alone find
    1 - P/Q: give a softmax's results, not free numbers, to ``torch.autograd.gradcheck``.

    References
    ----------
    Kullback and Leibler (1951), On Information and Sufficiency, Ann. Math. Stat. 22.

    Examples
    --------
    >>> import lossmith as lm
    >>> round(float(lm.KLDivergence(inputs="probabilities")([[0.7, 0.3]], [[0.5, 0.5]])), 7)
    0.0822829
    """

    inputs: str = inputs_among("logits", "log_probabilities", "probabilities")
    forms: ClassVar[Mapping[str, Any]] = {
        "logits": ON_LOGITS,
        "log_probabilities": PlainForm(Texts(_log_term, _log_pull), _log_bend),
        "probabilities": PlainForm(Texts(_plain_term, plain_pull), plain_bend),
    }
    prediction_domains: ClassVar[Mapping[str, tuple[Domain, ...]]] = {
        "logits": LOGITS,
        "log_probabilities": (Interval(float("-inf"), 0.0, "both"),),
        "probabilities": (UNIT,),
    }
    claims = Traits(
        "distribution",
        convex=True,
        lipschitz=lambda loss: {"logits": 2.0**0.5, "log_probabilities": 1.0}.get(loss.inputs, float("inf")),
        smooth=lambda loss: {"logits": 0.5, "log_probabilities": 0.0}.get(loss.inputs, float("inf")),
        symmetric=True,
        robust=lambda loss: "no" if loss.inputs == "probabilities" else "bounded",
        proper=True,
        calibrated=True,
        elicits="mean",
        constant_hessian=lambda loss: loss.inputs == "log_probabilities",
    )
    about = About(
        formula=r"\ell(P, Q) = \sum_i P(i) \log \frac{P(i)}{Q(i)}",
        gradient=r"Q - P \text{ by the logits; } -P/Q \text{ by the probabilities}",
        pros="measures information lost when Q stands for P",
        cons="infinite where Q misses mass of P; not symmetric",
        best_for="soft targets, distillation, variational autoencoders",
        reference="Kullback and Leibler (1951), Ann. Math. Stat. 22",
        note="torch's kl_div takes (log Q, P) in the other order and its 'mean' also divides by k",
    )

    def read_targets(self, y_true: Any, f: Array) -> Array:
        """Check the target distributions; what a kernel checks is left to it."""
        fused = self.by_kernel(f)
        if self.inputs == "probabilities" and not fused:
            probability_rows(f, f, "y_pred", "KLDivergence")
        return (row_shape if fused else probability_rows)(contract.targets(y_true, f), f, "y_true", "KLDivergence")

    @property
    def kernel(self) -> Kernel | None:
        """Compiled loops, for logits and probabilities."""
        return None if self.inputs == "log_probabilities" else self._by_rows

    def _by_rows(self, y: Array, f: Array, values: Array, slopes: Array | None) -> None:
        run = rows.softmax if self.inputs == "logits" else rows.plain
        if run(self.forms[self.inputs].texts, f, y, values, slopes) >= 0:
            if self.inputs == "probabilities":
                probability_rows(f, f, "y_pred", "KLDivergence")
            probability_rows(y, f, "y_true", "KLDivergence")

    def _check_predictions(self, f: Array) -> None:
        """Leave probabilities to the check of their rows."""
        if self.inputs != "probabilities":
            super()._check_predictions(f)

    def value_and_slope(self, form: Any, y: Array, f: Array, *parameters: Any) -> tuple[Array, Array]:
        """Evaluate both formulas, from one softmax if they are on logits."""
        both: tuple[Array, Array] = form.value_and_slope(y, f, *parameters)
        return both

    def parameters(self, f: Array) -> tuple[Any, ...]:
        """Return nothing."""
        return ()
