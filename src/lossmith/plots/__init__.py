"""Pictures: each function returns a matplotlib Figure; they draw what they are given and compute nothing."""
