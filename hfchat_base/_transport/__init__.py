"""The only place that touches sockets: two small drivers over curl_cffi, which run flows.

`curl.py` is what they share: one request on one curl handle. `sync.py` and `aio.py` differ
honestly, in how they wait, read and abort. No knowledge of chat-ui lives here.

curl_cffi's own sessions are not used. Their streams take a thread each (sync) or one of ten slots
(async), cannot be abandoned at once, follow the server's cookies, and send a browser's `Accept`;
its handles below them have none of this and are as easy to drive.
"""
