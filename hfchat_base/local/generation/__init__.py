"""One generation: from a stored conversation to a stored answer, and the events in between.

It knows the store and the models, and nothing of HTTP.
"""
