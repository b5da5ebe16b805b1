"""Sessions: what one is, where it comes from, how it is saved, and how to log in.

* `cookies.py`: what a cookie is, and reading it from what callers have and servers set.
* `session.py`: the session of one client.
* `sources.py`: where a session comes from: the environment, the saved session, browsers, a guest.
* `store.py`: saved sessions, in files and in the system's keyring.
* `login.py`: logging in, in a window of `browser_window.py` or with cookies.
"""
