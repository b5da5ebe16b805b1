"""Sessions: what one is, where it is found, how it is kept, and how somebody logs in.

`session.py` is the session of a client, `find.py` the order in which one is looked for. Each way to
one has its file: `cookies.py` (what a cookie is, and what a caller has), `set_cookie.py` (what a
server sets), `store.py` (saved ones, their values perhaps in the keyring: `vault.py`),
`browsers.py` (the profiles of browsers). `login.py` makes a new one, in a `window.py`.
"""
