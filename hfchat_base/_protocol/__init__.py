"""The protocol, without sockets, clocks or sleeps.

What lives here decides what to send and understands what came. What does not: anything that opens a
connection, waits, or starts a thread or a task (`_transport/`), and the objects that callers hold
(`client.py`, `conversation.py`).
"""
