"""What `hfchat demo` runs and shows: two short programs, and how their source is put on the screen.

The command itself is `hfchat_base/cli/commands/demo.py`. The programs import LangChain and
LlamaIndex, so they are themselves imported only when their turn has come.
"""
