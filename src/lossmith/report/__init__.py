"""The report of a run: it draws what the run found out, and computes nothing."""
