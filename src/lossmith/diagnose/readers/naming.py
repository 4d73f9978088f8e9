"""What the columns of a log mean: by their names, or as the user says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import final

from ..record import SCALARS

STEP = "step"

# Names in order of preference, with separators made "_". A field is claimed by the best name in the log.
_ALIASES: dict[str, tuple[str, ...]] = {
    STEP: (
        "step",
        "global_step",
        "trainer_global_step",
        "steps",
        "iteration",
        "iterations",
        "iter",
        "it",
        "n_iter",
        "round",
        "boosting_round",
        "tree",
        "batch",
        "update",
        "num_updates",
    ),
    "loss": (
        "loss",
        "train_loss",
        "training_loss",
        "loss_train",
        "train_loss_step",
        "loss_step",
        "batch_loss",
        "loss_batch",
        "train_batch_loss",
        "tr_loss",
        "trainloss",
        "train_loss_epoch",
        "loss_epoch",
        "avg_loss",
        "running_loss",
        "mean_loss",
        "total_loss",
        "learn_loss",
    ),
    "eval_loss": (
        "eval_loss",
        "val_loss",
        "valid_loss",
        "validation_loss",
        "dev_loss",
        "test_loss",
        "loss_val",
        "loss_valid",
        "loss_validation",
        "loss_eval",
        "loss_test",
        "val_loss_epoch",
        "heldout_loss",
        "valloss",
    ),
    "learning_rate": ("learning_rate", "lr", "current_lr", "train_learning_rate", "train_lr", "optimizer_lr", "lr_0"),
    "grad_norm": (
        "grad_norm",
        "gradient_norm",
        "gnorm",
        "grad_l2",
        "global_grad_norm",
        "total_grad_norm",
        "train_grad_norm",
        "grad_2_0_norm_total",
    ),
    "parameter_norm": ("parameter_norm", "param_norm", "weight_norm", "params_norm"),
    "update_norm": ("update_norm",),
    "epoch": ("epoch", "epochs", "ep", "train_epoch"),
    "seconds": ("seconds", "elapsed", "elapsed_time", "time", "wall_time", "walltime", "timestamp", "total_time"),
}
_EVAL = re.compile(
    r"^(?:val|valid|validation|test|eval|dev|heldout|held_out)(?:_\d+)?_(.+)$|^(.+)_(?:val|valid|eval|test)$"
)
_TRAIN = re.compile(r"^(?:train|training|learn)_(.+)$")
# Where nothing is called a loss: measures that fall as a model gets better.
_LOSSLIKE = re.compile(
    r"loss|nll|cross_?entropy|objective|cost|deviance|mse|mae|mape|rmse|(?:^|_)l[12]$|error|perplexity"
)


def plain(name: str) -> str:
    """Write a column's name in one way.

    Parameters
    ----------
    name : str
        As in the log.

    Returns
    -------
    str
        Lower case, with one "_" for each run of other characters.

    Examples
    --------
    >>> plain("Train/Loss (step)")
    'train_loss_step'
    """
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


@final
class Naming:
    """Decides what each column of one log is.

    Parameters
    ----------
    said : mapping of str to str, optional
        From fields of `Step` ("step", "loss", "eval_loss" ...) to columns, where the user knows.

    Attributes
    ----------
    guesses : dict of str to str
        Fields and the columns that they were read from under another name.

    Raises
    ------
    ValueError
        If ``said`` names a field that does not exist.

    Examples
    --------
    >>> naming = Naming()
    >>> naming.learn(["iteration", "train/loss", "val/acc"])
    >>> naming.field("train/loss"), naming.field("val/acc"), naming.guesses
    ('loss', 'eval_acc', {'step': 'iteration', 'loss': 'train/loss'})
    """

    def __init__(self, said: Mapping[str, str] | None = None) -> None:
        self._said = dict(said or {})
        known = (STEP, *SCALARS)
        for field in self._said:
            if field not in known:
                raise ValueError(f"columns: {field!r} is not a field of a step; give one of {', '.join(known)}")
        self._fields: dict[str, str] = {column: field for field, column in self._said.items()}
        self._taken: set[str] = set(self._said)
        self._seen: dict[str, None] = {}
        self.guesses: dict[str, str] = {}

    def learn(self, names: Iterable[str]) -> None:
        """Decide about columns that were not seen before.

        Parameters
        ----------
        names : iterable of str
            As in the log.
        """
        unseen = [name for name in names if name not in self._seen]
        if not unseen:
            return
        self._seen.update(dict.fromkeys(unseen))
        fresh = [name for name in unseen if name not in self._fields]
        for field, aliases in _ALIASES.items():
            self._claim(field, sorted((n for n in fresh if plain(n) in aliases), key=lambda n: aliases.index(plain(n))))
        self._claim("learning_rate", [n for n in fresh if n not in self._fields and plain(n).startswith("lr_")])
        left = [n for n in fresh if n not in self._fields]
        losses = [n for n in left if _LOSSLIKE.search(plain(n))]
        self._claim("loss", [n for n in losses if not _EVAL.match(plain(n))])
        self._claim("eval_loss", [n for n in losses if _EVAL.match(plain(n)) and n not in self._fields])
        for name in fresh:
            self._fields.setdefault(name, _metric(name))

    def missing(self) -> dict[str, str]:
        """Return the columns that the user said and the log lacks.

        Returns
        -------
        dict of str to str
            By field; empty when all is well.
        """
        return {field: column for field, column in self._said.items() if column not in self._seen}

    def lacks(self, column: str) -> str:
        """Say that a column is not there, and which are.

        Parameters
        ----------
        column : str
            One of those missing.

        Returns
        -------
        str
            One line.
        """
        return f"it has no column {column!r}; its columns are {', '.join(self._seen)}"

    def field(self, name: str) -> str:
        """Tell what a column is.

        Parameters
        ----------
        name : str
            As in the log, learned before.

        Returns
        -------
        str
            "step", a scalar field of `Step`, or the name of a metric.
        """
        return self._fields[name]

    @property
    def note(self) -> str | None:
        """The guesses in one line; None when every column had our own name or was said."""
        if not self.guesses:
            return None
        return "columns read by their names: " + ", ".join(f"{f} from '{c}'" for f, c in self.guesses.items())

    def _claim(self, field: str, candidates: list[str]) -> None:
        if field in self._taken or not candidates:
            return
        self._taken.add(field)
        self._fields[candidates[0]] = field
        if candidates[0] != field:
            self.guesses[field] = candidates[0]


def _metric(name: str) -> str:
    short = plain(name)
    held_out = _EVAL.match(short)
    if held_out:
        return f"eval_{held_out.group(1) or held_out.group(2)}"
    learned = _TRAIN.match(short)
    return learned.group(1) if learned else short or name
