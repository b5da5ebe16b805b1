"""Everything that takes more than one request, each written once, as a generator.

One file for each operation: `discovery` (what the server is and has), `conversations` (make, read,
change), `messages` (send one in a conversation), `histories` (answer a whole history), `run` (one
answer). A flow yields the commands of `_flows/commands.py` and never does anything itself; the
drivers in `_transport/` run it.
"""
