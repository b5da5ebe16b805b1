"""Everything the server remembers, in memory. It knows nothing of HTTP or of models."""
