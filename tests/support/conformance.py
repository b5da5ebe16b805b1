"""Plays a recording of a real server against a local one, and lists where the two differ.

Ids are learnt as they come: where both sides have an id in the same place, ours stands for theirs
from then on. Dates, cookies' lives, ports, the number of keepAlives and the way that the bytes of a
stream were cut are no differences.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDINGS = Path(__file__).parent.parent / "recordings"

_ID = re.compile(
    r"(?<![0-9a-f])(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{24})(?![0-9a-f])"
    r"|call_[0-9a-f]{8}|__sveltekit_\w+|(?<=shareId\":\")[\w-]{7}|(?<=/r/)[\w-]{7}"
)
_NOISE = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"), "DATE"),
    (re.compile(r"Expires=[^;]+GMT"), "Expires=DATE"),
    (re.compile(r'(expiresAt|expiration)(\\?"): ?\d{13}'), r"\1\2:MOMENT"),
    (re.compile(r"http://127\.0\.0\.1:3\d{3}(?=[/\"\\]|$)"), "ORIGIN"),
    (re.compile(r"%3A%2F%2F127\.0\.0\.1%3A\d+"), "%3A%2F%2FHOST"),
    (re.compile(r"code_challenge=[\w-]+"), "code_challenge=CHALLENGE"),
    (re.compile(r"codeVerifier=[\w-]+"), "codeVerifier=VERIFIER"),
    (re.compile(r'"signature":"\w+"'), '"signature":"SIGNATURE"'),
)
_TLS = httpx.create_ssl_context()  # never used, but costly to make
_KEEP_ALIVE = '{"type":"status","status":"keepAlive"}\n'
_COMPARED_HEADERS = (
    "content-type",
    "vary",
    "allow",
    "cache-control",
    "content-disposition",
    "location",
    "set-cookie",
)


@dataclass(frozen=True)
class Got:
    """Our answer to one request."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


@dataclass
class Player:
    """Plays the exchanges of one recording.

    Attributes:
        recording: The recording.
        base_url: Our server.
        rewrite: Turns what was recorded into what we say on purpose.
        slow: Whether the sequence numbers of the resume log depend on timing.
        stopped: Is set once a run of the recording has been stopped.
    """

    recording: dict[str, Any]
    base_url: str
    rewrite: Callable[[str], str] = str
    slow: bool = False
    stopped: threading.Event = field(default_factory=threading.Event)
    ids: dict[str, str] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = self._new_client()
        self.origin = str(httpx.URL(self.base_url).copy_with(raw_path=b"/")).rstrip("/")

    @property
    def exchanges(self) -> list[dict[str, Any]]:
        """The exchanges of the recording."""
        exchanges: list[dict[str, Any]] = self.recording["exchanges"]
        return exchanges

    def new_client(self) -> None:
        """Go on as somebody else."""
        self.client.close()
        self.client = self._new_client()

    def play(self, index: int) -> None:
        """Send one request and compare the answer."""
        self.compare(index, self.send(index))

    def play_all(self, start: int = 0, end: int | None = None) -> None:
        """Play exchanges one after the other."""
        for index in range(len(self.exchanges))[start:end]:
            self.play(index)

    def start(self, index: int) -> Streaming:
        """Send one request in a thread, and watch the answer come."""
        return Streaming(self, index)

    def request(self, index: int) -> httpx.Request:
        """Build the request of an exchange, with our ids and origin."""
        recorded = self.exchanges[index]["request"]
        headers = {
            name: self.origin if name == "origin" and "evil" not in value else value
            for name, value in recorded["headers"].items()
        }
        path = self.ours(recorded["path"])
        build = self.client.build_request
        if "json" in recorded:
            body = json.loads(self.ours(json.dumps(recorded["json"])))
            return build(recorded["method"], path, json=body, headers=headers)
        if "data" in recorded:
            return build(recorded["method"], path, content=recorded["data"], headers=headers)
        if "multipart" not in recorded:
            return build(recorded["method"], path, headers=headers)
        if not recorded["multipart"]:
            headers["content-type"] = "multipart/form-data; boundary=b"
            return build(recorded["method"], path, content=b"--b--\r\n", headers=headers)
        parts = [self._part(part) for part in recorded["multipart"]]
        return build(recorded["method"], path, files=parts, headers=headers)

    def send(self, index: int) -> Got:
        """Send the request of an exchange."""
        response = self.client.send(self.request(index))
        return Got(response.status_code, response.headers, response.content)

    def compare(self, index: int, got: Got) -> None:
        """Note every difference between an answer of ours and the recorded one."""
        recorded = self.exchanges[index]["response"]
        where = f"[{index}] {self.exchanges[index]['request']['method']}"
        self._same(f"{where} status", recorded["status"], got.status)
        if "base64" in recorded:
            self._same(f"{where} body", recorded["base64"], base64.b64encode(got.body).decode())
        else:
            theirs = recorded.get("text", "".join(text for _, text in recorded.get("chunks", [])))
            theirs = theirs.replace("<4096 spaces>", " " * 4096)
            self.learn(theirs, got.text)
            mine = self.theirs(got.text)
            if theirs.endswith("…"):
                theirs, mine = theirs[:-1], mine[: len(theirs) - 1]
            theirs, mine = self._calm(self.rewrite(theirs)), self._calm(mine)
            if recorded.get("cut_by_client"):
                mine = "\n".join(mine.split("\n")[: theirs.count("\n")]) + "\n"
            self._same(f"{where} body", theirs, mine)
        if "content-length" in got.headers:
            self._same(f"{where} length", len(got.body), int(got.headers["content-length"]))
        for name in _COMPARED_HEADERS:
            values = got.headers.get_list(name)
            theirs, mine = recorded["headers"].get(name, ""), values[-1] if values else ""
            self.learn(theirs, mine)
            theirs, mine = self.rewrite(_plain(theirs)), self.theirs(_plain(mine))
            self._same(f"{where} {name}", self._calm(theirs), self._calm(mine))

    def learn(self, theirs: str, ours: str) -> None:
        """Note which of our ids stand for which of theirs."""
        known = set(self.ids.values())
        for their_id, our_id in zip(_ID.findall(theirs), _ID.findall(ours), strict=False):
            if their_id not in self.ids and our_id not in known:
                self.ids[their_id] = our_id

    def ours(self, text: str) -> str:
        """Put our ids for theirs."""
        for their_id, our_id in self.ids.items():
            text = text.replace(their_id, our_id)
        return text

    def theirs(self, text: str) -> str:
        """Put their ids for ours."""
        text = text.replace(self.origin, "ORIGIN")
        for their_id, our_id in self.ids.items():
            text = text.replace(our_id, their_id)
        return text

    def _new_client(self) -> httpx.Client:
        return httpx.Client(base_url=self.base_url, timeout=100, verify=_TLS)

    def _part(self, part: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
        if "filename" in part:
            return part["name"], (part["filename"], part["data"].encode(), part["content_type"])
        data = part["data"] if isinstance(part["data"], str) else json.dumps(part["data"])
        return part["name"], (None, self.ours(data))

    def _calm(self, text: str) -> str:
        for pattern, calm in _NOISE:
            text = pattern.sub(calm, text)
        first, keep_alive, rest = text.partition(_KEEP_ALIVE)
        text = first + keep_alive + rest.replace(_KEEP_ALIVE, "")
        if self.slow:
            text = re.sub(r"materializedSeq(\\?\"):\d+", r"materializedSeq\1:N", text)
            text = _merge_frames(text)
        return text

    def _same(self, what: str, theirs: object, ours: object) -> None:
        if theirs != ours:
            self.differences.append(f"{what}\n  recorded: {theirs}\n  ours:     {ours}")


class Streaming:
    """A request under way in a thread."""

    def __init__(self, player: Player, index: int) -> None:
        self._player = player
        self._index = index
        self._body = b""
        self._news = threading.Condition()
        self._leave = False
        self._got: Got | None = None
        self._thread = threading.Thread(target=self._run, args=(player.request(index),))
        self._thread.start()

    def wait_for(self, pattern: str, count: int = 1) -> re.Match[str]:
        """Wait until a pattern has come so many times; return the last."""

        def last() -> re.Match[str] | None:
            found = list(re.finditer(pattern, self._body.decode(errors="ignore")))
            return found[count - 1] if len(found) >= count else None

        with self._news:
            match = self._news.wait_for(last, timeout=100)
        assert match is not None, f"{pattern} did not come"
        return match

    def leave(self) -> None:
        """Close the connection."""
        self._leave = True

    def finish(self) -> None:
        """Wait for the end and compare."""
        self._thread.join()
        assert self._got is not None
        self._player.compare(self._index, self._got)

    def _run(self, request: httpx.Request) -> None:
        response = self._player.client.send(request, stream=True)
        try:
            for chunk in response.iter_bytes():
                with self._news:
                    self._body += chunk
                    self._news.notify_all()
                if self._leave:
                    break
        finally:
            response.close()
        self._got = Got(response.status_code, response.headers, self._body)


def load(generation: str, scenario: str) -> dict[str, Any]:
    """Read a recording."""
    path = RECORDINGS / generation / f"{scenario}.json"
    recording: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return recording


def settings_in(text: str) -> str:
    """Pick the settings out of the data of a legacy page, which is a list that refers to itself."""
    data = json.loads(text.partition("\n")[0])["nodes"][0]["data"]

    def value(index: int) -> Any:
        found = data[index]
        if isinstance(found, dict):
            return {key: value(each) for key, each in found.items()}
        if isinstance(found, list):
            return found if found[:1] == ["Date"] else [value(each) for each in found]
        return found

    return json.dumps(value(data[0]["settings"]))


def _plain(header: str) -> str:
    """Put the contents of a login's state parameter in its place."""
    head, state, value = header.partition("&state=")
    return head + state + base64.b64decode(unquote(value)).decode() if state else header


def _merge_frames(text: str) -> str:
    """Join the tokens of a resume stream, and forget its numbers and heartbeats."""
    text = text.replace(": heartbeat\n\n", "")
    text = re.sub(r"id: \d+\n", "id: N\n", text)
    return re.sub(r'"\}\n\nid: N\nevent: update\ndata: \{"type":"stream","token":"', "", text)
