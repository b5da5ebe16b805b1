"""How a chat-ui server writes values down: JSON, superjson, devalue and JavaScript literals.

Pure functions from Python values to text. What the values mean lives elsewhere.
"""
