"""The only place that touches sockets: two small drivers over curl_cffi, which run flows.

`sync.py` and `aio.py` are the drivers; they differ in how they wait, read and abort. `multi.py` has
the transfers of one event loop, for `aio.py`. What both share: `curl.py` (one request on one curl
handle), `callbacks.py` (the functions that libcurl calls) and `interpreters.py` (the commands of
flows). No knowledge of chat-ui lives here.

curl_cffi's own sessions are not used. Their streams take a thread each (sync) or one of ten slots
(async), cannot be abandoned at once, follow the server's cookies, and send a browser's `Accept`;
its handles below them have none of this and are as easy to drive.
"""
