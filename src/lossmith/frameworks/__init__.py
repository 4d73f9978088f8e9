"""One thin file for each ecosystem: a loss in the habits of its users."""
