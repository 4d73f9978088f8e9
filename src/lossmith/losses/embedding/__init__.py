"""Losses on embeddings, put together from a geometry, classes and a judge of tiles (see :mod:`.tiles`)."""

from __future__ import annotations

from .contrastive import Contrastive
from .nt_xent import InfoNCE, NTXent
from .triplet import Triplet

__all__ = ["Contrastive", "InfoNCE", "NTXent", "Triplet"]
