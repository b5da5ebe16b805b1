"""The account's settings: read, changed one by one, and wanted by a message."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from hfchat_base import AsyncHuggingChat, HuggingChat, InvalidRequestError
from hfchat_base.local import ChatRequest, FunctionBackend, LocalModel, LocalServer
from tests.support.faults.fault_server import FaultServer
from tests.support.faults.http1 import response
from tests.support.faults.kinds import Instead

if TYPE_CHECKING:
    from tests.support.attempts import Operation, Try

THINKER = "think/effort"
SETTINGS = "/api/v2/user/settings"


def superjson(value: Any) -> Instead:
    """A response in superjson."""
    body = json.dumps({"json": value}).encode()
    return Instead(response(body, content_type="application/json"))


def update(**changes: Any) -> Operation:
    """A step that changes settings."""
    return lambda client: client.update_settings(**changes)


class On:
    """Steps of an attempt that all get the client."""

    def __init__(self, *steps: Operation) -> None:
        self._client: Any = None
        self.steps: tuple[Operation, ...] = tuple(self._with_client(step) for step in steps)

    def _with_client(self, step: Operation) -> Operation:
        def run(value: Any) -> Any:
            self._client = self._client or value
            return step(self._client)

        return run


def writes(server: LocalServer) -> list[Any]:
    """What settings were written."""
    paths = (SETTINGS, "/settings")
    return [r.json for r in server.requests if r.method == "POST" and r.path in paths]


def test_change_keeps_all_others(server: LocalServer, attempt: Try) -> None:
    """A change leaves every other setting as it was, though a server resets what is left out."""
    settings = attempt(
        server.base_url,
        *On(
            update(share_conversations_with_model_authors=False),
            update(custom_prompts={"echo/base": "Be brief."}),
            update(direct_paste=True),
            lambda client: client.settings(),
        ).steps,
    )
    assert settings.share_conversations_with_model_authors is False
    assert settings.custom_prompts == {"echo/base": "Be brief."}
    assert settings.direct_paste is True


def test_change_by_model(server: LocalServer, attempt: Try) -> None:
    """A setting by model changes for the models that are named; None takes a value away."""
    settings = attempt(
        server.base_url,
        *On(
            update(custom_prompts={"a": "1", "b": "2"}),
            update(custom_prompts={"a": None, "c": "3"}),
            lambda client: client.settings(),
        ).steps,
    )
    assert settings.custom_prompts == {"b": "2", "c": "3"}


def test_answer_of_a_change(server: LocalServer, attempt: Try) -> None:
    """A change returns the settings as they are then, and is not sent if it changes nothing."""
    step = update(direct_paste=True)
    settings = attempt(server.base_url, *On(step, step).steps)
    assert settings.direct_paste is True
    assert len(writes(server)) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reasoning_efort_overrides": {}}, "Did you mean 'reasoning_effort_overrides'"),
        ({"reasoning_effort_overrides": {"m": "max"}}, "should be 'low', 'medium' or 'high'"),
        ({"direct_paste": "yes"}, "direct_paste should be"),
        ({"custom_prompts": "brief"}, "custom_prompts should be"),
    ],
)
def test_wrong_change(
    changes: dict[str, Any], message: str, server: LocalServer, attempt: Try
) -> None:
    """Unknown settings and wrong values are refused before anything is written."""
    with pytest.raises(InvalidRequestError, match=message):
        attempt(server.base_url, update(**changes))
    assert writes(server) == []


def test_setting_of_the_other_generation(
    generation: str, server: LocalServer, attempt: Try
) -> None:
    """A setting that this server does not have is refused."""
    name = "disable_stream" if generation == "current" else "haptics_enabled"
    with pytest.raises(InvalidRequestError, match=f"This server has no setting '{name}'"):
        attempt(server.base_url, update(**{name: True}))
    assert writes(server) == []


# --- options of an answer -------------------------------------------------------------------------


def chat(**options: Any) -> Operation:
    """A step that asks the model that reasons."""
    options.setdefault("model", THINKER)
    return lambda client: client.chat("Hello.", **options)


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ({"reasoning_effort": "low"}, "reasoning_effort_overrides", {THINKER: "low"}),
        ({"artifacts": False}, "artifacts_overrides", {THINKER: False}),
        ({"artifacts": True}, "artifacts_overrides", {THINKER: True}),
    ],
)
def test_option_is_written(
    options: dict[str, Any], name: str, value: Any, current_server: LocalServer, attempt: Try
) -> None:
    """An option that is the account's is written before the message is sent, and stays."""
    on = On(chat(**options), lambda client: client.settings())
    settings = attempt(current_server.base_url, *on.steps)
    assert getattr(settings, name) == value
    sent = [r.path for r in current_server.requests if r.method == "POST"]
    assert sent.index(SETTINGS) < next(i for i, p in enumerate(sent) if len(p) > len(SETTINGS) + 5)


@pytest.mark.parametrize(("wanted", "told"), [(None, True), (True, True), (False, False)])
def test_artifacts_can_be_switched_off(wanted: bool | None, told: bool, attempt: Try) -> None:
    """A model that does not know of artifacts writes none."""

    def write(request: ChatRequest) -> str:
        if "<artifact" in request.messages[0]["content"]:
            return '<artifact identifier="page" type="html" title="A page"><p>Hi</p></artifact>'
        return "```html\n<p>Hi</p>\n```"

    model = LocalModel("my/writer", FunctionBackend(write), supports_artifacts=True)
    options: dict[str, Any] = {} if wanted is None else {"artifacts": wanted}
    with LocalServer(models=[model]) as server:
        answer = attempt(server.base_url, chat(model="my/writer", **options))
        (prompt,) = server.prompts
    assert ("<artifact" in str(prompt.messages)) == told
    assert [each.content.strip() for each in answer.artifacts] == (["<p>Hi</p>"] if told else [])
    assert "<artifact" not in answer.text


def test_option_of_the_client(current_server: LocalServer, attempt: Try) -> None:
    """What a client wants holds for all calls that do not want anything else."""
    on = On(chat(), chat(reasoning_effort="high"), chat())
    attempt(current_server.base_url, *on.steps, reasoning_effort="low")
    efforts = [body["reasoningEffortOverrides"][THINKER] for body in writes(current_server)]
    assert efforts == ["low", "high", "low"]


def test_option_in_a_conversation(current_server: LocalServer, attempt: Try) -> None:
    """A conversation's message takes the options, too."""
    attempt(
        current_server.base_url,
        lambda client: client.create_conversation(THINKER),
        lambda conversation: conversation.send("Hello.", reasoning_effort="medium"),
    )
    assert [b["reasoningEffortOverrides"] for b in writes(current_server)] == [{THINKER: "medium"}]


def test_option_that_the_account_has_already(current_server: LocalServer, attempt: Try) -> None:
    """Nothing is written if the account has what is wanted."""
    on = On(chat(reasoning_effort="low"), chat(reasoning_effort="low"))
    attempt(current_server.base_url, *on.steps)
    assert len(writes(current_server)) == 1


def test_settings_are_restored(current_server: LocalServer, attempt: Try) -> None:
    """The account gets its settings back if that is asked for, and keeps what it got since."""
    settings = attempt(
        current_server.base_url,
        *On(
            update(reasoning_effort_overrides={"other/model": "high"}),
            chat(reasoning_effort="low", artifacts=False, restores_settings=True),
            lambda client: client.settings(),
        ).steps,
    )
    assert settings.reasoning_effort_overrides == {"other/model": "high"}
    assert settings.artifacts_overrides == {}


def test_settings_are_restored_after_a_failure(current_server: LocalServer, attempt: Try) -> None:
    """Also when the answer fails."""
    seen: list[Any] = []

    def fail(client: Any) -> Any:
        seen.append(client)
        return client.chat("Hello.", model="broken/http500", artifacts=True, restores_settings=True)

    with pytest.raises(Exception, match="failed"):
        attempt(current_server.base_url, fail)
    assert [body["artifactsOverrides"] for body in writes(current_server)] == [
        {"broken/http500": True},
        {},
    ]


def test_model_that_cannot_reason(current_server: LocalServer, attempt: Try) -> None:
    """A model that cannot reason is not asked to; nothing is made or written."""
    with pytest.raises(InvalidRequestError, match=f"cannot reason.*{THINKER} can"):
        attempt(current_server.base_url, chat(model="echo/base", reasoning_effort="low"))
    assert [request for request in current_server.requests if request.method == "POST"] == []


def test_model_that_is_said_to_reason(current_server: LocalServer, attempt: Try) -> None:
    """A self-hosted server may be told that a model can reason; then it is asked to."""
    attempt(
        current_server.base_url,
        *On(
            update(reasoning_overrides={"echo/base": True}),
            chat(model="echo/base", reasoning_effort="low"),
        ).steps,
    )
    assert writes(current_server)[-1]["reasoningEffortOverrides"] == {"echo/base": "low"}


@pytest.mark.parametrize(
    "options",
    [{"reasoning_effort": "low"}, {"provider": "x"}, {"bill_to": "x"}, {"artifacts": False}],
    ids=lambda options: next(iter(options)),
)
def test_legacy_servers_have_none(
    options: dict[str, Any], legacy_server: LocalServer, attempt: Try
) -> None:
    """A legacy server has none of these options, and says so before anything is sent."""
    with pytest.raises(InvalidRequestError, match="protocol of mid-2025"):
        attempt(legacy_server.base_url, chat(**options))
    assert [request for request in legacy_server.requests if request.method == "POST"] == []


@pytest.mark.parametrize(
    "options",
    [{"reasoning_effort": "max"}, {"provider": 1}, {"bill_to": 1}, {"restores_settings": "yes"}],
    ids=lambda options: next(iter(options)),
)
def test_wrong_option(options: dict[str, Any], server: LocalServer, attempt: Try) -> None:
    """An option of a wrong type is refused, for a call and for a client."""
    with pytest.raises(InvalidRequestError, match=f"{next(iter(options))} should be"):
        attempt(server.base_url, chat(**options))
    with pytest.raises(InvalidRequestError, match=f"{next(iter(options))} should be"):
        attempt(server.base_url, **options)


# --- what only HuggingChat has --------------------------------------------------------------------

DETAILS = {
    "id": THINKER,
    "displayName": THINKER,
    "supportsReasoning": True,
    "providers": [{"provider": "together"}, {"provider": "groq"}],
}
PAYERS = {"organizations": [{"preferred_username": "acme"}]}


def test_provider(current_server: LocalServer, attempt: Try) -> None:
    """A provider of the model can be chosen; another one is refused with those that there are."""
    with FaultServer(current_server.base_url) as proxy:
        proxy.on(f"GET /api/v2/models/{THINKER}", superjson(DETAILS), always=True)
        attempt(proxy.url, chat(provider="groq"))
        assert writes(current_server)[-1]["providerOverrides"] == {THINKER: "groq"}
        with pytest.raises(InvalidRequestError, match="auto, fastest, cheapest, together, groq"):
            attempt(proxy.url, chat(provider="grok"))


def test_provider_where_there_is_none(current_server: LocalServer, attempt: Try) -> None:
    """A self-hosted server, which has no providers, would ignore the choice, so it is refused."""
    with pytest.raises(InvalidRequestError, match="names no providers"):
        attempt(current_server.base_url, chat(provider="fastest"))


def test_payer(current_server: LocalServer, attempt: Try) -> None:
    """An organisation of the account can be billed; another one is refused."""
    with FaultServer(current_server.base_url) as proxy:
        proxy.on("GET /api/v2/user/billing-orgs", superjson(PAYERS), always=True)
        attempt(proxy.url, chat(bill_to="acme"))
        assert writes(current_server)[-1]["billingOrganization"] == "acme"
        with pytest.raises(InvalidRequestError, match="It can bill acme"):
            attempt(proxy.url, chat(bill_to="other"))


def test_payer_is_taken_away(current_server: LocalServer, attempt: Try) -> None:
    """An organisation that pays is restored to nobody, though a server keeps one that is left out.

    (R: ``settings``.)
    """
    with FaultServer(current_server.base_url) as proxy:
        proxy.on("GET /api/v2/user/billing-orgs", superjson(PAYERS), always=True)
        on = On(chat(bill_to="acme", restores_settings=True), lambda client: client.settings())
        assert attempt(proxy.url, *on.steps).billing_organization is None
        on = On(
            chat(bill_to="acme"),
            update(billing_organization=None),
            lambda client: client.settings(),
        )
        assert attempt(proxy.url, *on.steps).billing_organization is None


def test_payer_where_nobody_pays(current_server: LocalServer, attempt: Try) -> None:
    """A self-hosted server bills nobody."""
    with pytest.raises(InvalidRequestError, match="bills no organisation"):
        attempt(current_server.base_url, chat(bill_to="acme"))


# --- at once --------------------------------------------------------------------------------------

EFFORTS = ["low", "high", "medium"] * 3


def assert_each_had_its_own(server: LocalServer) -> None:
    """Check that the model got for each message what that message wants."""
    effort = None
    seen = []
    for request in server.requests:
        if request.method != "POST":
            continue
        if request.path == SETTINGS:
            effort = request.json["reasoningEffortOverrides"].get(THINKER)
        elif "inputs" in (request.json or {}):
            seen.append(request.json["inputs"])
            assert request.json["inputs"] == effort
    assert sorted(seen) == sorted(EFFORTS)
    assert [(p.messages[-1]["content"], p.reasoning_effort) for p in server.prompts] == [
        (effort, effort) for effort in seen
    ]


def test_threads_that_want_different_settings(current_server: LocalServer) -> None:
    """Calls of several clients of one account follow each other, so that each has its own."""
    cookies = {"hf-chat": "two-clients-in-threads"}
    with (
        HuggingChat(current_server.base_url, cookies) as one,
        HuggingChat(current_server.base_url, cookies) as other,
        ThreadPoolExecutor(len(EFFORTS)) as pool,
    ):

        def ask(number: int) -> str:
            client = (one, other)[number % 2]
            effort: Any = EFFORTS[number]
            return client.chat(effort, model=THINKER, reasoning_effort=effort).text

        assert all(pool.map(ask, range(len(EFFORTS))))
    assert_each_had_its_own(current_server)


async def test_tasks_that_want_different_settings(current_server: LocalServer) -> None:
    """And so do the calls of several tasks."""
    cookies = {"hf-chat": "two-clients-in-tasks"}
    async with (
        AsyncHuggingChat(current_server.base_url, cookies) as one,
        AsyncHuggingChat(current_server.base_url, cookies) as other,
    ):

        async def ask(number: int) -> str:
            client = (one, other)[number % 2]
            effort: Any = EFFORTS[number]
            return (await client.chat(effort, model=THINKER, reasoning_effort=effort)).text

        assert all(await asyncio.gather(*map(ask, range(len(EFFORTS)))))
    assert_each_had_its_own(current_server)


def test_stream_that_is_dropped_lets_the_settings_go(current_server: LocalServer) -> None:
    """A stream that is closed before its answer has started holds up nobody."""
    with HuggingChat(current_server.base_url) as client:
        for effort in ("low", "high"):
            options: Any = {"reasoning_effort": effort}
            with client.stream_chat("Hello.", model=THINKER, **options) as stream:
                next(iter(stream))
        assert client.chat("Hello.", model=THINKER, reasoning_effort="medium").text
