"""Changes of a plan that remedies are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from lossmith.diagnose.plan import Array, Plan, adam, evaluating, reference_step, shuffled, train
from lossmith.diagnose.probes.hidden import hidden_parameters

Change = Callable[[Plan], Plan]
RATES = (1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e3)
ENOUGH = 300
"""Steps of a short but sufficient training."""


def chained(*changes: Change) -> Change:
    """Make several changes one after the other.

    Parameters
    ----------
    changes : callable
        Plan -> plan.

    Returns
    -------
    callable
        All of them.
    """

    def change(plan: Plan) -> Plan:
        for each in changes:
            plan = each(plan)
        return plan

    return change


def usual_loss(task: str) -> Callable[[Any, Any], Any]:
    """Losses of the samples that suit a task: squared error, or cross-entropy on logits.

    Parameters
    ----------
    task : str
        "regression", "binary" or "multiclass".

    Returns
    -------
    callable
        (output, target) -> losses.
    """
    import torch.nn.functional as F

    usual: dict[str, Callable[[Any, Any], Any]] = {
        "regression": lambda out, y: (out - y) ** 2,
        "binary": lambda out, y: F.binary_cross_entropy_with_logits(out, y, reduction="none"),
        "multiclass": lambda out, y: F.cross_entropy(out, y, reduction="none"),
    }
    return usual[task]


def with_usual_loss(plan: Plan) -> Plan:
    """Learn by the loss that suits the task, on raw outputs, and read them accordingly."""
    return replace(plan, loss=usual_loss(plan.task), read=None if plan.task != "regression" else plan.read)


def with_reference_step(plan: Plan) -> Plan:
    """Step as it should be done, by an optimiser of the doctor's own."""
    rate = plan.learning_rate if plan.optimizer is adam else 3e-3
    return replace(plan, step=reference_step, optimizer=adam, learning_rate=rate)


def with_proper_modes(plan: Plan) -> Plan:
    """Train in training mode, evaluate in evaluation mode, and let batch norms remember at the usual pace."""
    return prepared(replace(plan, step=reference_step, evaluate=evaluating), _pace_norms)


def with_shuffling(plan: Plan) -> Plan:
    """Shuffle."""
    return replace(plan, order=shuffled)


def with_fading_rate(plan: Plan) -> Plan:
    """Let the learning rate fall to a tenth along half a cosine, over the whole run."""
    steps = plan.steps
    return replace(plan, schedule=lambda step: 0.1 + 0.45 * (1.0 + math.cos(math.pi * min(1.0, step / steps))))


def with_enough_steps(plan: Plan) -> Plan:
    """Train longer."""
    return with_fading_rate(replace(plan, steps=max(plan.steps, ENOUGH)))


def with_larger_batches(plan: Plan) -> Plan:
    """Take at least 32 rows a step."""
    return replace(plan, batch_size=max(32, plan.batch_size))


def without_penalty(plan: Plan) -> Plan:
    """Take away weight decay, and penalties that the step brings."""
    return with_reference_step(replace(plan, weight_decay=0.0))


def with_tried_rate(plan: Plan) -> Plan:
    """Take the learning rate that lowers the loss most in 40 steps, by an optimiser of the doctor's own, clipped."""
    plan = with_fading_rate(with_reference_step(replace(plan, clip=5.0)))
    x, y = plan.arrays(plan.train)
    ends = []
    for factor in RATES:
        loop = train(replace(plan, learning_rate=3e-3 * factor, steps=40, schedule=None))
        with evaluating(loop.model):
            end = float(plan.loss(loop.model(x), y).mean())
        ends.append(end if math.isfinite(end) else math.inf)
    # A step below the best of short trials serves longer ones better.
    return replace(plan, learning_rate=3e-3 * RATES[int(np.argmin(ends))] * 0.6)


def prepared(plan: Plan, change: Callable[[Any], None]) -> Plan:
    """Show the new model to one more function before training.

    Parameters
    ----------
    plan : Plan
        The training.
    change : callable
        Changes the model in place.

    Returns
    -------
    Plan
        With it.
    """
    return replace(plan, prepare=(*plan.prepare, change))


def _pace_norms(model: Any) -> None:
    for module in model.modules():
        if getattr(module, "running_mean", None) is not None:
            module.momentum = 0.1


def redrawn(model: Any) -> None:
    """Draw all parameters by the layers' own default.

    Parameters
    ----------
    model : torch.nn.Module
        Changed in place.
    """
    for module in model.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()


def with_new_parameters(plan: Plan) -> Plan:
    """Draw all parameters by the layers' own default."""
    return prepared(plan, redrawn)


def unfrozen(plan: Plan) -> Plan:
    """Ask every parameter for a gradient, and let the model know of those that it keeps in plain lists."""

    def thaw(model: Any) -> None:
        for number, p in enumerate(hidden_parameters(model)):
            model.register_parameter(f"kept_{number}", p)
        for p in model.parameters():
            p.requires_grad_(True)

    return prepared(with_reference_step(plan), thaw)


def with_dropout(rate: float) -> Change:
    """Set the rate of every dropout.

    Parameters
    ----------
    rate : float
        From 0 to 1.

    Returns
    -------
    callable
        Plan -> plan.
    """

    def set_rate(model: Any) -> None:
        for module in model.modules():
            if type(module).__name__.startswith(("Dropout", "AlphaDropout")):
                module.p = rate

    return lambda plan: prepared(plan, set_rate)


def rectified(plan: Plan) -> Plan:
    """Put rectifiers in place of what squashes to between 0 and 1, with weights drawn for them."""
    import torch

    def swap(model: Any) -> None:
        _swapped(model, lambda out: bool((out >= 0.0).all() and (out <= 1.0).all()), torch.nn.ReLU)
        for p in model.parameters():
            if p.ndim >= 2:
                torch.nn.init.kaiming_uniform_(p, nonlinearity="relu")
            elif p.ndim == 1:
                p.data.zero_()

    return prepared(plan, swap)


def leaky(plan: Plan) -> Plan:
    """Put leaky rectifiers in place of what gives zero for two fifths of its inputs or more."""
    import torch

    def swap(model: Any) -> None:
        _swapped(model, lambda out: bool((out == 0.0).float().mean() >= 0.4), lambda: torch.nn.LeakyReLU(0.1))

    return prepared(plan, swap)


def _swapped(model: Any, unwanted: Callable[[Any], bool], make: Callable[[], Any]) -> None:
    """Replace activations between layers by what they make of numbers from -20 to 20: names may be the user's own."""
    import torch

    line = torch.linspace(-20.0, 20.0, 64)[None]
    places = list(model.named_modules(remove_duplicate=False))
    last = max((k for k, (_, m) in enumerate(places) if list(m.parameters(recurse=False))), default=0)
    swapped: tuple[str, ...] = ()
    for place, child in places[:last]:  # what follows the last layer is the output's
        out = None if place.startswith(swapped) else _elementwise(child, line)
        if out is not None and unwanted(out):
            parent, _, name = place.rpartition(".")
            setattr(model.get_submodule(parent), name, make())
            swapped += (f"{place}.",)


def _elementwise(module: Any, line: Any) -> Any:
    """What a module makes of a row of numbers; none if it is no activation."""
    import torch

    if list(module.parameters()):
        return None
    try:
        out, half = module(line), module(line[:, ::2])
    except (RuntimeError, ValueError, IndexError, TypeError, NotImplementedError):
        return None  # it takes other shapes
    if not isinstance(out, torch.Tensor) or out.shape != line.shape or torch.equal(out, line):
        return None
    return (
        out if torch.allclose(out[:, ::2], half, atol=1e-5) else None
    )  # else rows or chance are at work: softmax, dropout


def with_raw_output(plan: Plan) -> Plan:
    """Take what stands behind the last layer off the output, and learn by the loss that expects raw scores."""
    import torch

    def strip(model: Any) -> None:
        places = list(model.named_modules(remove_duplicate=False))
        last = max((k for k, (_, m) in enumerate(places) if list(m.parameters(recurse=False))), default=len(places))
        for place, child in places[last + 1 :]:
            if not list(child.children()) and _acts(child):
                parent, _, name = place.rpartition(".")
                setattr(model.get_submodule(parent), name, torch.nn.Identity())

    return prepared(with_usual_loss(plan), strip)


def _acts(module: Any) -> bool:
    """Whether a module changes numbers, and not only their shape."""
    import torch

    table = torch.linspace(-3.0, 5.0, 12).reshape(4, 3)
    try:
        out = module(table)
    except (RuntimeError, ValueError, IndexError, TypeError, NotImplementedError):
        return False  # it takes other shapes
    same = isinstance(out, torch.Tensor) and out.numel() == table.numel()
    return same and not torch.equal(out.flatten(), table.flatten())


def with_scaled_inputs(plan: Plan) -> Plan:
    """Centre and scale the columns by medians and quartiles of the training rows, and bound them at 8."""
    before = plan.inputs or (lambda x: x)
    x = before(plan.train[0])
    centre, spread = _middle(x)
    return replace(plan, inputs=lambda z: np.clip((before(z) - centre) / spread, -8.0, 8.0))


def _middle(x: Array) -> tuple[Array, Array]:
    kept = np.where(np.isfinite(x), x, np.nan)
    low, centre, high = np.nanquantile(kept, [0.25, 0.5, 0.75], axis=0)
    spread, whole = (high - low) / 1.349, np.nanstd(kept, axis=0)
    # A column that is constant for half of the rows has no quartiles: its standard deviation serves.
    return centre, np.where(spread > 0.05 * whole, spread, np.where(whole > 1e-12, whole, 1.0))


def with_scaled_target(plan: Plan) -> Plan:
    """Learn the target centred and scaled, and read predictions back in its unit."""
    a, b = float(np.mean(plan.train[1])), float(np.std(plan.train[1])) or 1.0
    read = plan.read or (lambda out: out)
    return replace(plan, targets=lambda y: (y - a) / b, read=lambda out: read(out * b + a))


def with_robust_loss(plan: Plan) -> Plan:
    """Bound the pull of far rows: Huber's loss with the scale of the target's middle, and inputs bounded."""
    if plan.task == "regression":
        import torch

        y = plan.train[1]
        centre = float(np.median(y))
        scale = 1.4826 * float(np.median(np.abs(y - centre))) or 1.0
        plan = replace(
            plan,
            loss=lambda out, y: torch.nn.functional.huber_loss(out, y, reduction="none", delta=0.7 * scale),
            weight_decay=min(plan.weight_decay, 1e-2),
        )
    return with_scaled_inputs(plan)


def with_prior_shift(plan: Plan) -> Plan:
    """Keep the loss, and read the scores as if classes were equally frequent."""
    import torch

    counts = np.bincount(np.asarray(plan.train[1], np.int64))
    shift = torch.tensor(np.log(np.maximum(counts, 1) / counts.sum()), dtype=torch.float32)
    if plan.task == "binary":
        return replace(plan, read=lambda out: torch.sigmoid(out - (shift[1] - shift[0])))
    return replace(plan, read=lambda out: torch.softmax(out - shift, 1))


def without_bad_rows(plan: Plan) -> Plan:
    """Leave out rows with cells that are not finite, after columns that hold hardly anything else were blanked."""
    x, y = plan.train
    lost = (~np.isfinite(x.reshape(len(x), -1))).mean(0) > 0.5
    if lost.any() and x.ndim == 2:
        before = plan.inputs or (lambda z: z)
        plan, x = replace(plan, inputs=lambda z: before(np.where(lost, 0.0, z).astype(z.dtype))), x[:, ~lost]
    good = np.isfinite(x.reshape(len(x), -1)).all(1) & np.isfinite(np.asarray(y, np.float64))
    return replace(plan, train=(plan.train[0][good], y[good]))


def without_leaks(plan: Plan) -> Plan:
    """Blank the column that tells the target, and hold out only rows that training does not see."""
    from lossmith.diagnose.probes.split import strengths

    (x, y), (held, held_y) = plan.train, plan.valid
    strong = strengths(x.reshape(len(x), -1), np.asarray(y, np.float64), plan.task)
    first, second = np.argsort(-strong)[:2] if len(strong) > 1 else (0, 0)
    before = plan.inputs or (lambda z: z)
    if strong[first] - strong[second] > 0.15:
        keep = np.arange(x.shape[1]) != first
        return replace(plan, inputs=lambda z: before(z) * keep.astype(np.float32))
    known = {row.tobytes() for row in np.round(x, 5)}
    new = np.array([row.tobytes() not in known for row in np.round(held, 5)])
    return replace(plan, valid=(held[new], held_y[new])) if new.any() else plan


def without_doubtful_rows(plan: Plan) -> Plan:
    """Leave out training rows whose labels contradict their 15 nearest neighbours."""
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    (x, y), size = plan.train, min(15, len(plan.train[1]) - 1)
    flat = (x.reshape(len(x), -1) - _middle(x)[0].reshape(-1)) / _middle(x)[1].reshape(-1)
    if plan.task == "regression":
        model = KNeighborsRegressor(size).fit(flat, y)
        away = np.abs(model.predict(flat) - y)
        keep = away <= np.quantile(away, 0.7)
    else:
        model = KNeighborsClassifier(size).fit(flat, y)
        votes = model.predict_proba(flat)
        keep = votes[np.arange(len(y)), np.searchsorted(model.classes_, y)] >= votes.max(1) - 1.0 / size
    return replace(plan, train=(x[keep], y[keep]))


def with_same_labels(plan: Plan) -> Plan:
    """Rename training labels, or change their unit, so that they agree with held-out rows nearby."""
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    (x, y), (held, held_y) = plan.train, plan.valid
    size = min(7, len(y) - 1)
    if plan.task == "regression":
        said = KNeighborsRegressor(size).fit(x, y).predict(held)
        sign = 1.0 if np.corrcoef(said, held_y)[0, 1] >= 0 else -1.0
        ratio = sign * float(np.std(held_y) / (np.std(y) + 1e-12))
        return replace(plan, train=(x, ((y - y.mean()) * ratio + held_y.mean()).astype(np.float32)))
    said = KNeighborsClassifier(size).fit(x, y).predict(held)
    names = np.arange(int(max(y.max(), held_y.max())) + 1)
    for code in np.unique(said):
        names[code] = np.bincount(held_y[said == code], minlength=len(names)).argmax()
    return replace(plan, train=(x, names[y]))


def restrained(plan: Plan) -> Plan:
    """Hold the model back: more weight decay, dropout, a calmer rate."""
    calm = replace(with_reference_step(plan), weight_decay=3.0, learning_rate=min(plan.learning_rate, 1e-3))
    return with_fading_rate(with_dropout(0.3)(calm))
