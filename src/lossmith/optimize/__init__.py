"""Fit a linear model under any loss of the catalogue and any of the penalties, and find best constants."""

from __future__ import annotations

from . import shards, solvers
from .constant import best_constant
from .folded import MCP, SCAD, Box
from .group import GroupLasso
from .objective import Objective
from .path import RegularisationPath, regularisation_path
from .penalties import L1, L2, ElasticNet, Penalty
from .result import History, Solution, Step
from .solve import solve

__all__ = [
    "L1",
    "L2",
    "MCP",
    "SCAD",
    "Box",
    "ElasticNet",
    "GroupLasso",
    "History",
    "Objective",
    "Penalty",
    "RegularisationPath",
    "Solution",
    "Step",
    "best_constant",
    "regularisation_path",
    "shards",
    "solve",
    "solvers",
]
