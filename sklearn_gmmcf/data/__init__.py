"""A matrix with missing entries, wherever it lies."""
