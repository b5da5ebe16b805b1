"""What `hfchat demo` runs and shows: two short programs, and what is said around them (`show.py`).

The command itself is `hfchat_base/cli/commands/demo.py`. The programs import LangChain and
LlamaIndex, so they are themselves imported only when their turn has come.
"""
