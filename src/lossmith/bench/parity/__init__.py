"""Parity: every loss in every array library and precision, compared number by number."""
