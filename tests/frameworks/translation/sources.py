"""Losses as users of each library write them, one for each meaning in the tables and more; and their printed code."""

from __future__ import annotations

from typing import Any

import lossmith as lm

SOURCES = (
    "huber",
    "huber(delta=2)",
    "log_cosh",
    "tukey",
    "quantile(q=0.9)",
    "pseudo_huber(delta=2)",
    "0.25 * hinge",
    "squared_hinge",
    "poisson_nll",
    "gaussian_nll(inputs='variance')",
    "multi_margin",
    "kl_divergence",
    "focal(gamma=1.5, alpha=0.3)",
    "lm.CategoricalCrossEntropy(label_smoothing=0.1, class_weights=(1, 3, 0.5, 2))",
    "ctc",
    "ctc(blank=2)",
    "dice(class_axis=-1)",
    "nt_xent",
    "triplet(margin=1, distance='euclidean')",
    "lm.WeightedSum(('mse', 'mae'), (1.0, 0.5))",
    "torch.nn.MSELoss()",
    "torch.nn.L1Loss()",
    "torch.nn.SmoothL1Loss(beta=2)",
    "torch.nn.HuberLoss(delta=0.5)",
    "torch.nn.PoissonNLLLoss()",
    "torch.nn.PoissonNLLLoss(log_input=False)",
    "torch.nn.GaussianNLLLoss()",
    "torch.nn.GaussianNLLLoss(full=True)",
    "torch.nn.BCEWithLogitsLoss()",
    "torch.nn.BCELoss()",
    "torch.nn.CrossEntropyLoss()",
    "torch.nn.CrossEntropyLoss(ignore_index=2)",
    "torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0, 0.5, 2.0]))",
    "torch.nn.CrossEntropyLoss(label_smoothing=0.1)",
    "torch.nn.KLDivLoss(reduction='batchmean')",
    "torch.nn.MultiMarginLoss(p=2, margin=0.5)",
    "torch.nn.TripletMarginLoss()",
    "torchvision.ops.sigmoid_focal_loss()",
    "keras.losses.Huber(delta=2.0)",
    "keras.losses.LogCosh()",
    "keras.losses.Poisson()",
    "keras.losses.Hinge()",
    "keras.losses.BinaryCrossentropy()",
    "keras.losses.BinaryCrossentropy(from_logits=True)",
    "keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True)",
    "keras.losses.SparseCategoricalCrossentropy()",
    "keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2)",
    "keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)",
    "keras.losses.CategoricalFocalCrossentropy(from_logits=True)",
    "keras.losses.KLDivergence()",
    "keras.losses.CTC()",
    "keras.losses.Dice(axis=(1, 2, 3))",
    "optax.losses.l2_loss",
    "optax.losses.huber_loss(delta=2.0)",
    "optax.losses.hinge_loss",
    "optax.losses.sigmoid_focal_loss(alpha=0.3)",
    "optax.losses.softmax_cross_entropy_with_integer_labels",
    "optax.losses.softmax_cross_entropy",
    "optax.losses.kl_divergence",
    "optax.losses.ctc_loss",
    "optax.losses.triplet_margin_loss",
    "optax.losses.ntxent(temperature=0.5)",
    "optax.losses.dice_loss",
    "optax.losses.binary_dice_loss",
    "sklearn.metrics.mean_pinball_loss(alpha=0.9)",
    "sklearn.metrics.log_loss",
    "sklearn.linear_model.SGDRegressor(loss='huber')",
    "reg:squarederror",
    "reg:pseudohubererror(huber_slope=2.0)",
    "reg:quantileerror(quantile_alpha=0.1)",
    "binary:logistic",
    "multi:softprob",
    "count:poisson",
    "reg:gamma",
    "tweedie(power=1.3)",
    "LGBMRegressor(objective='huber')",
    "LGBMRegressor(objective='quantile', alpha=0.3)",
    "Huber:delta=2",
    "Focal:focal_alpha=0.3;focal_gamma=2",
)


def executed(code: str) -> dict[str, Any]:
    """Run printed code and return its names."""
    names: dict[str, Any] = {}
    exec(compile(code, "printed", "exec"), names)
    return names


def distinct(to: str) -> list[str]:
    """Return the sources without those for which the same is printed as for an earlier one."""
    first: dict[str, str] = {}
    for source in SOURCES:
        found = lm.translate(source, to=to)
        first.setdefault(found.code.partition("import")[2] + found.reduction + repr(found.loss), source)
    return list(first.values())
