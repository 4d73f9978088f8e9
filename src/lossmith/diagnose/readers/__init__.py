"""Logs of other programs, read into records: guessed where they do not say, and the guess is noted."""
