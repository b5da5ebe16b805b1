"""Everything that takes more than one request, each written once, as a generator.

One file a concern: `discovery` (which server is this, which models has it), `conversations` (make,
read, change), `run` (one answer), `chat` (an answer to a whole history). A flow yields the commands
of `_flows/commands.py` and never does anything itself; the drivers in `_transport/` run it.
"""
