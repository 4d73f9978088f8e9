"""Monitors: they watch a training run from inside and write its record, each in its framework's own form."""
