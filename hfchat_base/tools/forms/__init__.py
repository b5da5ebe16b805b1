"""The forms in which models write tool calls, one module per family of forms.

Each form is read by a generator over the growing text (`hfchat_base.tools.source`): it is given the
position where the form begins and returns what it found, or None if something else stands there.
Where in an answer a form may stand is decided by `hfchat_base.tools.parser` alone.
"""
