"""Everything that takes more than one request, each written once, as a generator.

A flow yields the commands of `commands.py` and never does anything itself; the drivers in
`_transport/` run it. What the flows of one client share is in `context.py`.

* The server and the account: `discovery` (what the server is and has), `settings`.
* Conversations: `conversations` (make, read, change, delete), `messages` (send one in a
  conversation), `histories` (answer a whole history; `index` finds its conversation), `attachments`
  (what models can read of them).
* One answer: `run` (send, read, decide how it ended), `run_state` (its states), `stream_reader`
  (read one stream), `resume` (after a lost connection).

In comments and docstrings (R) means: seen in a recording of a real server; (S): read in the source
of chat-ui.
"""
