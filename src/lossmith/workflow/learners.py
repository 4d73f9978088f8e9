"""The learners, and models brought back from their description."""

from __future__ import annotations

from typing import Any

from lossmith.core.errors import InputError
from lossmith.core.registry import from_config
from lossmith.frameworks.lightgbm import boosting_available
from lossmith.workflow.boosted import BoostedLearner, BoostedModel
from lossmith.workflow.fitted import FORMAT, Fitted, Model, TrainingCurve
from lossmith.workflow.linear import LinearLearner, LinearModel
from lossmith.workflow.links import link_from_config

__all__ = ["BoostedLearner", "Fitted", "LinearLearner", "TrainingCurve", "boosting_available", "revive"]


def revive(config: dict[str, Any]) -> Fitted:
    """Make a trained model from what ``Fitted.to_config()`` returned; nothing in it is run as code.

    Parameters
    ----------
    config : dict
        Straight from JSON.

    Returns
    -------
    Fitted
        Gives the same predictions; its curve is None.

    Raises
    ------
    InputError
        When the dictionary is no such description, or LightGBM is needed and missing.
    """
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise InputError(f"this is no {FORMAT} model description; train again with this version of lossmith")
    try:
        loss = from_config(config["loss"])
        link = link_from_config(config["link"], loss)
        return Fitted(loss, link, _model(config["model"]), None, str(config["curvature"]))
    except InputError:
        raise
    except (KeyError, TypeError, ValueError) as fault:
        raise InputError(f"this model description is damaged ({fault}); train again") from None


def _model(config: dict[str, Any]) -> Model:
    kind = config.get("kind")
    if kind == "linear":
        return LinearModel.from_config(config)
    if kind != "boosted":
        raise InputError(f"no model is called {kind!r}; it was written by another version of lossmith")
    if (fault := boosting_available()) is not None:
        raise InputError(f"this model needs LightGBM. {fault}")
    return BoostedModel.from_config(config)
