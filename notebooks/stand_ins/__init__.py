"""The models that answer in these notebooks where nobody has logged in.

Each is a Python function that reads the prompt that arrived, as any model does, and gives the same
answer every time, so that the notebooks can be tests. `chat.py` is for LangChain's notebook,
`reader.py` for that of LlamaIndex.
"""
