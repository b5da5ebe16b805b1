"""hfchat."""
