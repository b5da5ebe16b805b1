"""Sessions: where they come from (`find.py`), in which forms (`cookies.py`), what they are."""
