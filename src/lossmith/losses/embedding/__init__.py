"""Losses on embeddings, put together from a distance, a selection of pairs or triplets, and a reducer."""

from __future__ import annotations

from .losses import Contrastive, Triplet

__all__ = ["Contrastive", "Triplet"]
