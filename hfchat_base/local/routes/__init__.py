"""The routes of the local server, one module per kind of path, and what they share (`http.py`)."""
