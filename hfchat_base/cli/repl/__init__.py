"""The interactive chat: reading lines, the loop, and its slash commands."""
