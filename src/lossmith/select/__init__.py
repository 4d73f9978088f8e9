"""What the data say, what theory says about them, and which losses follow."""
