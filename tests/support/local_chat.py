"""A few lines of client, so that the tests of the server need none of the project's own."""

from __future__ import annotations

import base64
import json
import threading
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from hfchat_base.local import LocalServer

Event = dict[str, Any]

_TLS = httpx.create_ssl_context()  # never used, but costly to make


def events_of(body: str) -> list[Event]:
    """Read a stream's lines, without keepAlives and padding."""
    events = [json.loads(line) for line in body.split("\n") if line.strip()]
    for event in events:
        if event["type"] == "stream":
            event["token"] = event["token"].rstrip("\0")
    return [event for event in events if event.get("status") != "keepAlive"]


def final(events: list[Event]) -> str:
    """Return the text of the final answer."""
    return str(next(event["text"] for event in events if event["type"] == "finalAnswer"))


class Chat:
    """One client of a server."""

    def __init__(self, server: LocalServer, cookies: dict[str, str] | None = None) -> None:
        self.server = server
        self.http = httpx.Client(base_url=server.base_url, cookies=cookies, timeout=60, verify=_TLS)
        url = httpx.URL(server.base_url)
        self.origin = f"http://{url.host}:{url.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.http.close()

    def create(self, model: str = "echo/base", **body: str) -> str:
        """Make a conversation."""
        response = self.http.post("/conversation", json={"model": model, **body})
        assert response.status_code == 200, response.text
        return str(response.json()["conversationId"])

    def messages(self, conversation: str) -> list[Event]:
        """Read a conversation's messages."""
        v2 = self.http.get(f"/api/v2/conversations/{conversation}")
        if v2.headers["content-type"] == "application/json":
            messages: list[Event] = v2.json()["json"]["messages"]
        else:
            messages = self.http.get(f"/api/conversation/{conversation}").json()["messages"]
        return messages

    def request(
        self,
        conversation: str,
        text: str | None = None,
        *,
        files: tuple[tuple[str, str, bytes], ...] = (),
        parent: str | None = None,
        **data: object,
    ) -> httpx.Request:
        """Build a message; it is appended to the last one unless a parent is given."""
        fields = {"id": parent or self.messages(conversation)[-1]["id"], **data}
        if text is not None:
            fields["inputs"] = text
        parts: list[tuple[str, Any]] = [("data", (None, json.dumps(fields)))]
        parts += [
            ("files", (f"base64;{name}", base64.b64encode(content), mime))
            for name, mime, content in files
        ]
        return self.http.build_request(
            "POST",
            f"/conversation/{conversation}",
            files=parts,
            headers={"origin": self.origin, "accept": "*/*"},
        )

    def post(self, conversation: str, text: str | None = None, **more: Any) -> httpx.Response:
        """Send a message and wait for the whole answer."""
        return self.http.send(self.request(conversation, text, **more))

    def send(self, conversation: str, text: str | None = None, **more: Any) -> list[Event]:
        """Send a message that is taken, and return the events of the answer."""
        response = self.post(conversation, text, **more)
        assert response.status_code == 200, response.text
        return events_of(response.text)

    def ask(self, text: str, model: str = "echo/base", **more: Any) -> list[Event]:
        """Send the first message of a new conversation."""
        return self.send(self.create(model), text, **more)

    def under_way(self, conversation: str, text: str, **more: Any) -> UnderWay:
        """Send a message, and return as soon as the answer begins."""
        return UnderWay(self, self.request(conversation, text, **more))

    def stop(self, conversation: str, **body: object) -> None:
        """Stop a conversation's runs."""
        self.http.post(f"/conversation/{conversation}/stop-generating", json=body)


class UnderWay:
    """An answer that is being streamed, gathered in a thread."""

    def __init__(self, chat: Chat, request: httpx.Request) -> None:
        self._chat = chat
        self._body = ""
        self._news = threading.Condition()
        self._left = False
        self._thread = threading.Thread(target=self._gather, args=(request,))
        self._thread.start()

    def wait_for(self, text: str) -> None:
        """Wait until a text has come."""
        with self._news:
            assert self._news.wait_for(lambda: text in self._body, timeout=60), self._body

    def leave(self) -> None:
        """Close the connection with the next piece that comes."""
        self._left = True
        self._thread.join()

    def finish(self) -> list[Event]:
        """Wait for the end, and return all events."""
        self._thread.join()
        return events_of(self._body)

    @property
    def so_far(self) -> list[Event]:
        """All events that have come whole."""
        return events_of(self._body.rpartition("\n")[0])

    def _gather(self, request: httpx.Request) -> None:
        response = self._chat.http.send(request, stream=True)
        try:
            for text in response.iter_text():
                with self._news:
                    self._body += text
                    self._news.notify_all()
                if self._left:
                    return
        finally:
            response.close()
