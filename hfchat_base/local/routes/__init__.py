"""The routes of the local server: one module for each kind of path, and `common.py` for all."""
