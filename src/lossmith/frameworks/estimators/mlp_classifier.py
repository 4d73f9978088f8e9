"""The network on classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

from ...core.loss import Loss
from ...network.criterion import Task
from ...network.events import Watch
from ..sklearn_responses import indices
from .base import Classification, checked, counting
from .classifier import class_loss, class_weighted, known_classes
from .mlp import FLOATS, NetworkModel, Parameters, documented
from .mlp_recipe import network_link, outputs_of

Array = np.ndarray[Any, Any]


@dataclass(repr=False, eq=False)
class ClassParameters(Parameters):
    """The arguments of the estimator of classes."""

    loss: Loss | str = "log_loss"
    class_weight: Any = field(default=None, kw_only=True)


@documented
class LossMLPClassifier(Classification, NetworkModel, ClassParameters):
    """A feed-forward network for classification under any loss on logits or margins.

    It minimises ``mean(loss(y, network(x))) + penalty(weights)``, weighted if weights are given, from the loss's best
    constant on. Losses on one score (``"bce"``, ``"binary_focal"``, ``"hinge"``) separate two classes, losses on a row
    of scores (``"cross_entropy"``, ``"categorical_focal"``, ``"multi_margin"``) any number. Losses on logits have
    ``predict_proba``; the others do not, since their scores are no probabilities: wrap the estimator in
    ``CalibratedClassifierCV``.

    Features are not scaled: put ``StandardScaler`` before it in a pipeline.

    Parameters
    ----------
    loss : Loss or str
        A loss, its name, or a call in text such as ``"binary_focal(gamma=1)"``. ``"log_loss"`` is BinaryCrossEntropy
        for two classes and CategoricalCrossEntropy for more.
    {parameters}
    class_weight : dict or "balanced", optional
        Weights of the labels, times those of the samples; "balanced" gives all classes the same total.

    Attributes
    ----------
    classes_ : ndarray, shape (k,)
        Labels in ascending order.
    {attributes}

    Warns
    -----
    {warns}

    References
    ----------
    Rumelhart, Hinton and Williams (1986), Learning representations by back-propagating errors, Nature 323; Srivastava
    et al. (2014), Dropout, JMLR 15.

    Examples
    --------
    >>> import lossmith as lm
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> net = lm.LossMLPClassifier("categorical_focal", (16,), learning_rate=0.01, random_state=0).fit(X, y)
    >>> net.score(X, y) > 0.95
    True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, watch: Watch | None = None) -> LossMLPClassifier:
        """Fit.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, d)
            Finite features; float32 ones make a float32 network.
        y : array_like, shape (n,)
            Labels of any kind.
        sample_weight : array_like, shape (n,), optional
            Numbers >= 0: 0 leaves a row out.
        watch : callable, optional
            ``watch(event)`` is called with a StartEvent of ``lossmith.network``, with a StepEvent after each step and
            with an EpochEvent after each epoch; training stops when it returns True. :class:`lossmith.FitMonitor`
            is one that puts the run on record.

        Returns
        -------
        LossMLPClassifier
            Itself.

        Raises
        ------
        ValueError
            For data or arguments that do not fit, and for labels of one class only.
        ImportError
            For a backend that is not installed.
        """
        X, y, weight = self._checked(X, y, sample_weight, reset=True)
        before = vars(self).get("classes_")
        self.classes_, codes = known_classes(y)
        if before is not None and not np.array_equal(before, self.classes_):
            self.__dict__.pop("network_", None)  # a warm start would mistake one class for another
        task = self._task(X, codes, weight)
        self._train(task, outputs_of(task.loss, codes, len(self.classes_)), codes, watch)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> LossMLPClassifier:
        """Go over some rows once, in batches, from where the network is.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.
        classes : array_like, shape (k,), optional
            All labels that will ever come; needed in the first call unless all are among these rows.

        Returns
        -------
        LossMLPClassifier
            Itself.

        Raises
        ------
        ValueError
            For labels that are not among the classes.
        """
        first = "network_" not in vars(self)
        X, y, weight = self._checked(X, y, sample_weight, reset=first)
        if first:
            self.classes_, _ = known_classes(y if classes is None else np.asarray(classes))
        codes = indices(y, self.classes_, "y")
        task = self._task(X, codes, weight)
        self._train_on(task, outputs_of(task.loss, codes, len(self.classes_)), None)
        return self

    def _checked(self, X: Any, y: Any, sample_weight: Any, reset: bool) -> tuple[Any, Array, Array | None]:
        found = checked(self, X, y, sample_weight, numeric=False, dtype=FLOATS, reset=reset)
        check_classification_targets(found[1])
        return counting(*found)

    def _task(self, X: Any, codes: Array, weight: Array | None) -> Task:
        loss = class_loss(self.loss, len(self.classes_))
        self._link = network_link(loss)
        weight = class_weighted(self.class_weight, self.classes_, codes, weight)
        return Task(loss, X, self._link.encode(codes), weight)
