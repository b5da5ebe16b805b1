"""The protocol, without sockets, clocks or sleeps.

What lives here decides what to send and understands what came. What does not: anything that opens a
connection, waits, or starts a thread or a task (`_transport/`), and the objects that callers hold
(`client.py`, `conversation.py`).

In comments and docstrings (R) means: seen in a recording of a real server, which is named where it
helps (`tests/recordings/`); (S): read in the source of chat-ui.
"""
