"""The HTTP of the local server: who may ask what, and in which words it is answered."""
