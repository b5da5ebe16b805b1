"""What hfchat costs, measured next to its floors and its peers on one machine in one run.

    uv run --all-extras --group benchmarks python -m benchmarks

`__main__` is the command, `tables` holds one module for each table, `measuring` takes the
figures, `servers` are what the measured clients talk to, `report` is what a table is and its
Markdown, `drawing` its picture. `peer_clients` asks with hugchat and g4f, `load` asks for many
answers at once, of the servers in `stamped`, and `relay` counts bytes. The modules that
take long or need a peer are commands of their own: ``python -m benchmarks.leaks``, ``.peers``,
``.soak``, ``.small_model_tasks``.
"""
