"""Write a diagnosis as one HTML page: offline, every value escaped, the evidence marked on the curves."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

from ..diagnose.diagnosis import Diagnosis
from ..diagnose.symptoms import ADVICE, RULES
from . import html, pictures, words

_MOST_METRICS = 7
_FACTS = (
    ("task", "task"),
    ("loss", "loss"),
    ("optimizer", "optimiser"),
    ("framework", "framework"),
    ("precision", "precision"),
    ("rows", "training rows"),
    ("batch_size", "rows of a step"),
    ("steps_per_epoch", "steps of an epoch"),
    ("planned_steps", "steps planned"),
    ("classes", "classes"),
    ("class_counts", "rows of each class"),
    ("target_mean", "mean of the target"),
    ("target_std", "spread of the target"),
    ("input_mean_max", "largest mean of an input column"),
    ("input_std_max", "largest spread of an input column"),
    ("input_std_min", "smallest spread of an input column"),
)


def write_diagnosis(diagnosis: Diagnosis, path: str | os.PathLike[str], source: str = "") -> Path:
    """Write the page.

    Parameters
    ----------
    diagnosis : Diagnosis
        What was found.
    path : path
        The HTML file; replaced as a whole or not at all.
    source : str
        The log it was found in, as the user named it.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        When it cannot be written.
    """
    from ..plots.files import write_output

    target = Path(path)
    write_output(target, render_diagnosis(diagnosis, source).encode("utf-8"))
    return target


def render_diagnosis(diagnosis: Diagnosis, source: str = "") -> str:
    """Return a diagnosis as HTML.

    Parameters
    ----------
    diagnosis : Diagnosis
        What was found.
    source : str
        The log it was found in.

    Returns
    -------
    str
        A whole page without scripts, links outward or fetched parts.
    """
    return html.environment().get_template("diagnosis.html.j2").render(**_context(diagnosis, source))


def _context(found: Diagnosis, source: str) -> dict[str, Any]:
    record = found.record
    name = source or record.facts.source or "a recorded run"
    rules = {rule.id: rule for rule in RULES}
    losses = _losses(found)
    seen = {s.id for s in (*found.symptoms, *found.muted)} | {check.id for check in found.not_run}
    return {
        "found": found,
        "title": Path(name).name or name,
        "source": name,
        "headline": _headline(found),
        "causes": found.likely,
        "rules": rules,
        "advice": ADVICE,
        "silent": [rule for rule in RULES if rule.id not in seen],
        "share": _shares(found),
        "facts": [
            (label, _fact(value)) for key, label in _FACTS if (value := getattr(record.facts, key)) not in (None, ())
        ],
        "losses": html.safe(losses) if losses.svg else None,
        "figures": [html.safe(picture) for picture in _pictures(found) if picture.svg],
        "counted": _counted(found),
        "steps": record.total,
        "command": f"lossmith diagnose {shlex.quote(name)}",
        "version": html.version(),
    }


def _headline(found: Diagnosis) -> str:
    if found.clean:
        return "Nothing wrong was found in this run." if not found.symptoms else "Nothing that needs mending was found."
    if found.likely and found.likely[0].probability >= 0.5:
        return f"Most likely: {found.likely[0].name}."
    names = [s.name for s in found.findings[:3]]
    more = len(found.findings) - len(names)
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    told = f"{listed}, and {more} more" if more else listed
    return told[:1].upper() + told[1:] + "."


def _shares(found: Diagnosis) -> dict[str, str]:
    """Where in the run each symptom would have been raised."""
    steps, _ = found.record.column("loss")
    if not steps.size or steps.max() <= steps.min():
        return {}
    begun, whole = int(steps.min()), int(steps.max() - steps.min())
    return {name: words.percent((step - begun) / whole) for name, step in found.raised.items()}


def _fact(value: Any) -> str:
    if isinstance(value, tuple):
        told = ", ".join(words.number(count) for count in value[:12])
        return told + (f" and {len(value) - 12} more" if len(value) > 12 else "")
    return words.number(value)


def _counted(found: Diagnosis) -> str:
    if not found.findings:
        return found.headline
    return ", ".join(s.name for s in found.findings[:4]) + (" ..." if len(found.findings) > 4 else "")


def _losses(found: Diagnosis) -> pictures.Picture:
    from ..plots.diagnosis import plot_losses

    caption = "Loss over the steps: batches pale, their running median strong. Dashed: where a symptom first shows."
    return pictures.picture(lambda: plot_losses(found.record, found.symptoms), "Losses", caption, "losses")


def _pictures(found: Diagnosis) -> list[pictures.Picture]:
    from ..plots import diagnosis as plots

    record, symptoms = found.record, found.symptoms
    held = [name for name in record.names if name not in _NO_METRICS and not name.startswith("samples.")]
    return [
        pictures.picture(
            lambda: plots.plot_columns(record, ("grad_norm", "update_norm"), symptoms, "norm", True),
            "Gradient and update",
            "Norms of the gradient and of the update over all parameters.",
            "norms",
        ),
        pictures.picture(
            lambda: plots.plot_columns(record, ("learning_rate",), symptoms, "learning rate", True),
            "Learning rate",
            "The learning rate in force.",
            "rate",
        ),
        pictures.picture(
            lambda: plots.plot_columns(record, held[:_MOST_METRICS], symptoms, "metric", False),
            "Metrics",
            "Whatever else was measured; eval marks held-out rows.",
            "metrics",
        ),
        *_layer_pictures(found),
    ]


_NO_METRICS = frozenset(
    ("loss", "eval_loss", "learning_rate", "grad_norm", "parameter_norm", "update_norm", "epoch", "seconds")
)


def _layer_pictures(found: Diagnosis) -> list[pictures.Picture]:
    from ..plots import diagnosis as plots

    kinds = (
        ("gradient_norm", "gradient norm", True, "Norm of each layer's gradient; a fan that opens downward vanishes."),
        ("dead_share", "dead units", False, "Share of each layer's units that are zero for every sample."),
        ("saturated_share", "saturated", False, "Share of each layer's activations at the flat ends."),
    )
    return [
        pictures.picture(
            lambda key=key, y=y, log=log: plots.plot_layers(found.record, key, y, log),  # type: ignore[misc]
            y,
            caption,
            f"layers{index}",
        )
        for index, (key, y, log, caption) in enumerate(kinds)
    ]
