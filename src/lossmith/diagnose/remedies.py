"""What to do about each cause: in words, as code, and as a change that can be tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

from lossmith.diagnose import repairs
from lossmith.diagnose.repairs import Change, chained


@final
@dataclass(frozen=True)
class Remedy:
    """One thing to do.

    Attributes
    ----------
    id : str
        Stable.
    text : str
        What to do, in a sentence.
    code : str
        The same as lines to copy (PyTorch).
    change : callable or None
        Plan -> plan, for `Doctor.try_remedy`; None where only the user can do it.
    """

    id: str
    text: str
    code: str
    change: Change | None = None


RATE = Remedy(
    "rate-by-trial",
    "Take the learning rate from short trials, clip the gradient, let the rate fade.",
    "for factor in (1e-3, 1e-2, 0.1, 1, 10, 100): try_40_steps(lr=factor * lr)   # keep the lowest loss\n"
    "torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)",
    repairs.with_tried_rate,
)
STEP = Remedy(
    "reference-step",
    "Write the step as it should be: zero_grad, backward, step, with an optimiser of this very model's parameters.",
    "optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)\n"
    "model.train(); optimizer.zero_grad(); loss_fn(model(x), y).backward(); optimizer.step()",
    repairs.with_reference_step,
)
REDRAW = Remedy(
    "default-initialisation",
    "Draw the parameters by the layers' default (Kaiming's rule); scale inputs if they are far from 0.",
    "for m in model.modules():\n    if hasattr(m, 'reset_parameters'): m.reset_parameters()",
    chained(repairs.with_new_parameters, repairs.with_scaled_inputs),
)
LEAKY = Remedy(
    "leaky-rectifiers",
    "Let activations pass something on both sides of zero, and draw the parameters by the layers' default.",
    "torch.nn.LeakyReLU(0.1)   # in place of ReLU, or of two activations in a row; reset_parameters()",
    chained(repairs.with_new_parameters, repairs.with_scaled_inputs, repairs.leaky),
)
USUAL = Remedy(
    "usual-loss",
    "Give raw scores to the loss that is merged with its link: cross-entropy on logits; squared error for numbers.",
    "loss = lm.to_torch(lm.CategoricalCrossEntropy())   # or lm.BinaryCrossEntropy(), lm.MeanSquaredError()",
    repairs.with_usual_loss,
)
RAW = Remedy(
    "raw-output",
    "Take the activation off the output; the loss on logits brings its own.",
    "model[-1] = torch.nn.Identity()",
    repairs.with_raw_output,
)
SCALE = Remedy(
    "scale-inputs",
    "Centre and scale the input columns by the training rows, robustly if there are extremes.",
    "scaler = sklearn.preprocessing.RobustScaler().fit(X_train)   # transform training, held-out and later rows by it",
    repairs.with_scaled_inputs,
)
FLOAT32 = Remedy(
    "float32-or-scaler",
    "Work in float32, or scale the loss: torch.amp with a GradScaler, parameters kept in float32.",
    "scaler = torch.amp.GradScaler(); scaler.scale(loss).backward(); scaler.step(optimizer); scaler.update()",
    chained(repairs.with_usual_loss, repairs.with_reference_step),
)
MODES = Remedy(
    "proper-modes",
    "Call model.train() before training and model.eval() before evaluation; leave the norms' momentum at 0.1.",
    "model.train()   # ... one epoch ...\nmodel.eval()\nwith torch.no_grad(): evaluate(model)",
    repairs.with_proper_modes,
)
FADE = Remedy(
    "gentle-schedule",
    "Let the learning rate fade over the whole run, not over a part of it.",
    "torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=total_steps, eta_min=0.1 * lr)",
    repairs.with_fading_rate,
)
LONGER = Remedy(
    "train-longer",
    "Train longer: the loss was still falling.",
    "steps = max(10 * steps, 300)",
    repairs.with_enough_steps,
)
LIGHTER = Remedy(
    "less-decay",
    "Take away the penalty; bring it back in small doses.",
    "weight_decay=0.0",
    repairs.without_penalty,
)
THIN = Remedy("less-dropout", "Set dropout to 0.1.", "module.p = 0.1", repairs.with_dropout(0.1))
LARGER = Remedy(
    "larger-batches",
    "Take at least 32 rows a step, or a smaller rate.",
    "DataLoader(data, batch_size=32, shuffle=True)",
    chained(repairs.with_larger_batches, repairs.with_fading_rate),
)
THAW = Remedy(
    "unfreeze",
    "Ask every parameter for a gradient, and look for detach() in the forward pass.",
    "for p in model.parameters(): p.requires_grad_(True)",
    repairs.unfrozen,
)
CLIP = Remedy("clip", "Clip the gradient's norm.", "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)")
RECTIFY = Remedy(
    "rectifiers",
    "Use rectifiers between layers, drawn by Kaiming's rule; or batch norm, or residual connections.",
    "model[1] = torch.nn.ReLU()   # in place of torch.nn.Sigmoid()\n"
    "torch.nn.init.kaiming_uniform_(layer.weight, nonlinearity='relu')",
    repairs.rectified,
)
WIDER = Remedy(
    "wider", "Give the narrowest layer more units.", "layer = torch.nn.Linear(n, 32)   # in place of Linear(n, 1)"
)
CONVEX = Remedy(
    "start-convex",
    "Train by the convex loss first and go on with the bounded one from there; start the output at the median.",
    "fit(model, lm.Huber()); fit(model, lm.Tukey())",
    chained(repairs.with_usual_loss, repairs.with_new_parameters),
)
TARGET = Remedy(
    "scale-target",
    "Learn the target centred and scaled, and turn predictions back.",
    "y_scaled = (y - y.mean()) / y.std(); prediction = model(x) * y.std() + y.mean()",
    repairs.with_scaled_target,
)
CLEAN = Remedy(
    "drop-doubtful-rows",
    "Look at rows whose labels contradict their neighbours; train without them, or with a bounded loss.",
    "keep = KNeighborsClassifier(15).fit(X, y).predict(X) == y",
    repairs.without_doubtful_rows,
)
RENAME = Remedy(
    "same-labels",
    "Code targets by one function for training and evaluation: class names, units and signs.",
    "encoder = sklearn.preprocessing.LabelEncoder().fit(names)   # once, saved with the model",
    repairs.with_same_labels,
)
PIPELINE = Remedy(
    "one-pipeline",
    "Prepare inputs of training, evaluation and use by one fitted pipeline.",
    "pipeline = sklearn.pipeline.make_pipeline(scaler, encoder).fit(X_train); pipeline.transform(X_valid)",
)
HOLD = Remedy(
    "regularise",
    "Hold the model back: weight decay, dropout, early stopping, fewer columns; or get more rows.",
    "torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=3.0)",
    repairs.restrained,
)
THRESHOLD = Remedy(
    "prior-shift",
    "Keep the proper loss and move the threshold: divide probabilities by the classes' shares.",
    "p = torch.softmax(logits - torch.log(class_share), 1)",
    repairs.with_prior_shift,
)
UNWEIGHTED = Remedy(
    "no-class-weights",
    "Take the weights away; if you need them, weigh by 1 / count, and recalibrate.",
    "loss = lm.to_torch(lm.CategoricalCrossEntropy())",
    repairs.with_usual_loss,
)
ROBUST = Remedy(
    "robust-loss",
    "If the extremes are errors: Huber's loss with a scale estimated from the middle, and bounded inputs.",
    "scale = 1.4826 * np.median(np.abs(y - np.median(y))); loss = lm.Huber(delta=0.7 * scale)",
    repairs.with_robust_loss,
)
DROP = Remedy(
    "drop-bad-rows",
    "Leave out or impute cells that are not finite.",
    "X = X[numpy.isfinite(X).all(1)]",
    repairs.without_bad_rows,
)
HONEST = Remedy(
    "honest-split",
    "Drop the leaking column; split before anything is copied, one entity on one side.",
    "X = X.drop(columns=leak); GroupShuffleSplit().split(X, y, groups)",
    repairs.without_leaks,
)
SHUFFLE = Remedy("shuffle", "Shuffle the rows each pass.", "DataLoader(data, shuffle=True)", repairs.with_shuffling)

REMEDIES: Mapping[str, tuple[Remedy, ...]] = MappingProxyType(
    {
        "learning-rate-too-high": (RATE, CLIP),
        "learning-rate-too-low": (RATE, LONGER),
        "learning-rate-decay": (FADE, RATE),
        "too-few-steps": (LONGER, RATE),
        "optimizer-not-stepping": (STEP,),
        "gradient-not-reset": (STEP,),
        "fp16-overflow": (FLOAT32,),
        "fp16-underflow": (FLOAT32,),
        "weight-decay-too-high": (LIGHTER,),
        "dropout-too-high": (THIN,),
        "dropout-in-eval": (MODES,),
        "batchnorm-eval-mode": (MODES, SCALE),
        "batch-too-small": (LARGER, RATE),
        "frozen-layers": (THAW,),
        "zero-initialisation": (REDRAW,),
        "dead-relu": (LEAKY, REDRAW, RATE),
        "deep-sigmoid": (RECTIFY,),
        "bad-initialisation-small": (REDRAW,),
        "bad-initialisation-large": (REDRAW,),
        "double-softmax": (RAW,),
        "wrong-output-activation": (RAW,),
        "missing-sigmoid": (USUAL,),
        "mse-on-logits": (USUAL,),
        "wrong-loss-for-target": (USUAL,),
        "local-minimum": (CONVEX,),
        "model-too-small": (WIDER,),
        "unscaled-inputs": (SCALE,),
        "unscaled-target": (TARGET,),
        "label-noise": (CLEAN,),
        "label-mismatch": (RENAME,),
        "train-eval-mismatch": (PIPELINE,),
        "no-regularisation": (HOLD,),
        "class-imbalance": (THRESHOLD,),
        "class-weights-inverted": (UNWEIGHTED,),
        "outliers": (ROBUST,),
        "nan-in-data": (DROP,),
        "data-leak": (HONEST,),
        "sorted-batches": (SHUFFLE,),
    }
)
"""Remedies of each cause, the one to try first in front."""
