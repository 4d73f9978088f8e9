"""Losses of other libraries in Lossmith's words and back: a table for each library, read in both directions."""
