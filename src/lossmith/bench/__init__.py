"""Every loss family against every installed peer that has it, in one run."""
