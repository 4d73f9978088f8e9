"""Lossmith: choose a loss, trust it, train with it anywhere, find out why training goes wrong."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import losses as _losses
from ._version import __version__
from .core.errors import InputError
from .core.errors import near as _near
from .core.registry import find, from_config, get
from .losses import *  # noqa: F403

if TYPE_CHECKING:
    from .core.verify import check_derivatives, verify
    from .diagnose.diagnosis import Diagnosis, diagnose
    from .diagnose.doctor import Doctor
    from .diagnose.monitors.boosters import CatBoostMonitor, LightGBMMonitor
    from .diagnose.monitors.fit import FitMonitor
    from .diagnose.monitors.huggingface import huggingface_monitor
    from .diagnose.monitors.jax import JaxMonitor
    from .diagnose.monitors.keras import keras_monitor
    from .diagnose.monitors.lightning import lightning_monitor
    from .diagnose.monitors.run import RunOptions
    from .diagnose.monitors.sklearn import SklearnMonitor
    from .diagnose.monitors.torch import TorchMonitor
    from .diagnose.monitors.trouble import NonFiniteError
    from .diagnose.monitors.xgboost import xgboost_monitor
    from .diagnose.plan import Plan
    from .diagnose.readers.read import read_record
    from .diagnose.record import Record
    from .frameworks.catboost import to_catboost
    from .frameworks.estimators.classifier import LossClassifier
    from .frameworks.estimators.cv import LossClassifierCV, LossRegressorCV
    from .frameworks.estimators.mlp_classifier import LossMLPClassifier
    from .frameworks.estimators.mlp_regressor import LossMLPRegressor
    from .frameworks.estimators.quantiles import QuantileLossRegressor
    from .frameworks.estimators.regressor import LossRegressor
    from .frameworks.huggingface import to_huggingface
    from .frameworks.jax import to_jax
    from .frameworks.keras import register_keras, to_keras
    from .frameworks.lightgbm import to_lightgbm
    from .frameworks.sklearn import to_sklearn
    from .frameworks.torch import to_torch
    from .frameworks.translation.catboost import from_catboost
    from .frameworks.translation.keras import from_keras
    from .frameworks.translation.lightgbm import from_lightgbm
    from .frameworks.translation.optax import from_optax
    from .frameworks.translation.sklearn import from_sklearn
    from .frameworks.translation.torch import from_torch
    from .frameworks.translation.translate import Translation, translate
    from .frameworks.translation.xgboost import from_xgboost
    from .frameworks.xgboost import to_xgboost
    from .losses.linear import LinearCrossEntropy
    from .optimize import shards, solvers
    from .optimize.folded import MCP, SCAD, Box
    from .optimize.group import GroupLasso
    from .optimize.path import regularisation_path
    from .optimize.penalties import L1, L2, ElasticNet
    from .optimize.solve import solve
    from .plots.losses import plot
    from .workflow.final import predict
    from .workflow.run import run

# Names whose modules are heavier than a loss: imported when first used.
_LAZY = {
    "L1": "optimize.penalties",
    "L2": "optimize.penalties",
    "MCP": "optimize.folded",
    "SCAD": "optimize.folded",
    "Box": "optimize.folded",
    "Diagnosis": "diagnose.diagnosis",
    "Doctor": "diagnose.doctor",
    "ElasticNet": "optimize.penalties",
    "GroupLasso": "optimize.group",
    "LinearCrossEntropy": "losses.linear",
    "LossClassifier": "frameworks.estimators.classifier",
    "LossClassifierCV": "frameworks.estimators.cv",
    "LossMLPClassifier": "frameworks.estimators.mlp_classifier",
    "LossMLPRegressor": "frameworks.estimators.mlp_regressor",
    "LossRegressor": "frameworks.estimators.regressor",
    "LossRegressorCV": "frameworks.estimators.cv",
    "CatBoostMonitor": "diagnose.monitors.boosters",
    "LightGBMMonitor": "diagnose.monitors.boosters",
    "FitMonitor": "diagnose.monitors.fit",
    "JaxMonitor": "diagnose.monitors.jax",
    "RunOptions": "diagnose.monitors.run",
    "SklearnMonitor": "diagnose.monitors.sklearn",
    "huggingface_monitor": "diagnose.monitors.huggingface",
    "keras_monitor": "diagnose.monitors.keras",
    "lightning_monitor": "diagnose.monitors.lightning",
    "xgboost_monitor": "diagnose.monitors.xgboost",
    "NonFiniteError": "diagnose.monitors.trouble",
    "QuantileLossRegressor": "frameworks.estimators.quantiles",
    "Plan": "diagnose.plan",
    "Record": "diagnose.record",
    "read_record": "diagnose.readers.read",
    "TorchMonitor": "diagnose.monitors.torch",
    "plot": "plots.losses",
    "predict": "workflow.final",
    "regularisation_path": "optimize.path",
    "solve": "optimize.solve",
    "solvers": "optimize",
    "run": "workflow.run",
    "shards": "optimize",
    "check_derivatives": "core.verify",
    "diagnose": "diagnose.diagnosis",
    "verify": "core.verify",
    "from_catboost": "frameworks.translation.catboost",
    "from_keras": "frameworks.translation.keras",
    "from_lightgbm": "frameworks.translation.lightgbm",
    "from_optax": "frameworks.translation.optax",
    "from_sklearn": "frameworks.translation.sklearn",
    "from_torch": "frameworks.translation.torch",
    "from_xgboost": "frameworks.translation.xgboost",
    "to_catboost": "frameworks.catboost",
    "to_huggingface": "frameworks.huggingface",
    "to_jax": "frameworks.jax",
    "register_keras": "frameworks.keras",
    "to_keras": "frameworks.keras",
    "to_lightgbm": "frameworks.lightgbm",
    "to_sklearn": "frameworks.sklearn",
    "to_torch": "frameworks.torch",
    "to_xgboost": "frameworks.xgboost",
    "Translation": "frameworks.translation.translate",
    "translate": "frameworks.translation.translate",
}

__all__ = [
    "L1",
    "L2",
    "MCP",
    "SCAD",
    "Box",
    "CatBoostMonitor",
    "Diagnosis",
    "Doctor",
    "ElasticNet",
    "FitMonitor",
    "GroupLasso",
    "InputError",
    "JaxMonitor",
    "LightGBMMonitor",
    "LinearCrossEntropy",
    "LossClassifier",
    "LossClassifierCV",
    "LossMLPClassifier",
    "LossMLPRegressor",
    "LossRegressor",
    "LossRegressorCV",
    "NonFiniteError",
    "Plan",
    "QuantileLossRegressor",
    "Record",
    "RunOptions",
    "SklearnMonitor",
    "TorchMonitor",
    "Translation",
    "__version__",
    "check_derivatives",
    "diagnose",
    "find",
    "from_catboost",
    "from_config",
    "from_keras",
    "from_lightgbm",
    "from_optax",
    "from_sklearn",
    "from_torch",
    "from_xgboost",
    "get",
    "huggingface_monitor",
    "keras_monitor",
    "lightning_monitor",
    "plot",
    "predict",
    "read_record",
    "register_keras",
    "regularisation_path",
    "run",
    "shards",
    "solve",
    "solvers",
    "to_catboost",
    "to_huggingface",
    "to_jax",
    "to_keras",
    "to_lightgbm",
    "to_sklearn",
    "to_torch",
    "to_xgboost",
    "translate",
    "verify",
    "xgboost_monitor",
]
__all__ += _losses.__all__


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        close = [] if name.startswith("_") else _near(name, __all__)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise AttributeError(f"module 'lossmith' has no attribute {name!r}{hint}")
    return getattr(importlib.import_module(f"lossmith.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
