"""What the notebooks talk to where nobody has logged in.

Each model is a Python function that reads the prompt that arrived, as any model does, and gives the
same answer every time, so that the notebooks can be tests. `chat.py` is for LangChain's notebook,
`reader.py` for that of LlamaIndex, `clerk.py` for that of agents, `caller.py` for that of OpenAI's
client. `company.py` is a network around a server, for the one of self-hosted servers.
"""
