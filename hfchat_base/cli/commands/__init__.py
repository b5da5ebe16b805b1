"""The commands, one module each. What a command needs beyond the base it imports when it runs."""
