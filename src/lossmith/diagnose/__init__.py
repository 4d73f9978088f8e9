"""Why training goes wrong: symptoms, causes, remedies."""
