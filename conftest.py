import os

# Doctests draw, too, and need no screen for it.
os.environ.setdefault("MPLBACKEND", "Agg")
