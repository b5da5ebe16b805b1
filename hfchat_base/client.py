"""The client of a HuggingChat server: `HuggingChat` and `AsyncHuggingChat`.

The two have the same names and signatures (a test holds them to it). What they do is written once,
in `_flows/`. `ClientBase` holds the settings and chooses the flow; each client adds the transport
that runs it. A client is cheap to make: it sends nothing before one of its methods is called.

`ClientPair` is for the wrappers, which need both clients of one session.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal

from typing_extensions import Self, Unpack

from hfchat_base._flows import conversations, discovery, histories, settings
from hfchat_base._flows.attachments import max_audio_bytes, transcribe
from hfchat_base._flows.commands import Flow
from hfchat_base._flows.context import ServerInfo
from hfchat_base._flows.index import ConversationIndex
from hfchat_base._flows.messages import ConversationState
from hfchat_base._flows.run_state import RunState
from hfchat_base._protocol.artifacts import render_messages
from hfchat_base._protocol.constants import (
    BILLING_URL,
    DEFAULT_BASE_URL,
    MAX_BODY_BYTES,
    SESSION_COOKIE,
    Generation,
)
from hfchat_base._protocol.models import Catalog
from hfchat_base._protocol.requests import check_conversation_id, check_share_id
from hfchat_base._protocol.responses import login_command
from hfchat_base._protocol.stored import StoredConversation
from hfchat_base._transport.aio import AsyncTransport
from hfchat_base._transport.curl import Connection
from hfchat_base._transport.sync import SyncTransport
from hfchat_base.auth.cookies import CookieInput
from hfchat_base.auth.session import Session
from hfchat_base.auth.sources import BASE_URL_VARIABLE, find_session, resolve_endpoint
from hfchat_base.conversation import AsyncConversation, Conversation, answer_options
from hfchat_base.errors import HuggingChatError
from hfchat_base.files import FileInput, Upload
from hfchat_base.policy import Policy, Retries, Timeouts
from hfchat_base.secret import hide_servers, reveal, reveal_values
from hfchat_base.streams import AnswerStream, AsyncAnswerStream, AsyncRunner, SyncRunner
from hfchat_base.time_zone import local_time_zone
from hfchat_base.types import (
    Answer,
    ArtifactsOption,
    AsHistory,
    ChatMessage,
    ConversationInfo,
    FetchedFile,
    FullConversation,
    McpCheck,
    McpServer,
    McpServerInfo,
    MessageOptions,
    Model,
    ModelDetails,
    ModelList,
    OnElicitation,
    ProtocolCheck,
    ReasoningEffort,
    Retry,
    RunningAnswer,
    ServerFeatures,
    ServerStatus,
    Settings,
    SettingsChanges,
    SharedConversation,
    User,
)
from hfchat_base.validation import (
    CALLBACK,
    FLAG,
    OPTIONAL_TEXT,
    TEXT,
    check,
    check_client,
    check_messages,
    check_servers,
)

__all__ = [
    "BASE_URL_VARIABLE",
    "BILLING_URL",
    "DEFAULT_BASE_URL",
    "MODEL_VARIABLE",
    "AsyncHuggingChat",
    "ClientPair",
    "HuggingChat",
]

MODEL_VARIABLE: Final = "HUGGINGCHAT_MODEL"


def _settings_lock(base_url: str, session: Session) -> settings.SettingsLock:
    """Find the lock of an account's settings, without the client, which can be dropped then."""
    cookies = session.cookies()
    # Gateways set cookies of their own, and some change with every response.
    known_by = [each.value for each in cookies if each.name == SESSION_COOKIE] or [
        each.value for each in cookies
    ]
    return settings.lock_for(base_url, known_by or [str(id(session))])


class ClientBase(ABC):
    """What both clients share, without a transport. `HuggingChat` describes the arguments."""

    _warns_if_dropped = True

    def __init__(
        self,
        base_url: str | None = None,
        cookies: CookieInput | Session | None = None,
        *,
        account: str | None = None,
        model: str | None = None,
        ephemeral: bool = False,
        stops_on_leave: bool = True,
        timeouts: Timeouts | None = None,
        proxy: str | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str = True,
        impersonate: str | None = "chrome",
        max_body_bytes: int = MAX_BODY_BYTES,
        retries: Retries | None = None,
        on_retry: Callable[[Retry], None] | None = None,
        messages_per_minute: int | None = None,
        timezone: str | Literal[False] | None = None,
        artifacts: ArtifactsOption | None = None,
        reasoning_effort: ReasoningEffort | None = None,
        provider: str | None = None,
        bill_to: str | None = None,
        restores_settings: bool | None = None,
    ) -> None:
        check_client(
            {
                "base_url": base_url,
                "cookies": None if isinstance(cookies, Session) else cookies,
                "account": account,
                "model": model,
                "ephemeral": ephemeral,
                "stops_on_leave": stops_on_leave,
                "timeouts": timeouts,
                "proxy": proxy,
                "headers": headers,
                "verify": verify,
                "impersonate": impersonate,
                "max_body_bytes": max_body_bytes,
                "retries": retries,
                "on_retry": on_retry,
                "messages_per_minute": messages_per_minute,
            }
        )
        endpoint = resolve_endpoint(base_url)
        policy = Policy(retries=retries or Retries(), timeouts=timeouts or Timeouts())
        self.ephemeral = ephemeral
        self._timeouts = policy.timeouts
        self._model = model or os.environ.get(MODEL_VARIABLE) or None
        self._stops_on_leave = stops_on_leave
        self._defaults = answer_options(
            {
                "artifacts": artifacts,
                "reasoning_effort": reasoning_effort,
                "provider": provider,
                "bill_to": bill_to,
                "restores_settings": restores_settings,
                "timezone": (local_time_zone() or False) if timezone is None else timezone,
            }
        )
        self._on_retry = on_retry
        self._session = find_session(reveal_values(cookies), endpoint, account)
        self._index = ConversationIndex()
        self.server = ServerInfo(
            endpoint,
            policy=policy,
            max_body_bytes=max_body_bytes,
            messages_per_minute=messages_per_minute,
            settings_lock=partial(_settings_lock, endpoint.base_url, self._session),
        )
        self._connection = Connection(
            endpoint,
            proxy=reveal(proxy),
            verify=verify,
            impersonate=impersonate,
            headers=reveal_values(headers or {}),
            connect_timeout=policy.timeouts.connect,
        )
        self._connect(self._connection, policy.timeouts)

    @abstractmethod
    def _connect(self, connection: Connection, timeouts: Timeouts) -> None:
        """Make the transport."""

    @classmethod
    def sharing(cls, other: ClientBase) -> Self:
        """Make a client that shares everything but the transport with another."""
        twin = cls.__new__(cls)
        twin.__dict__.update(other.__dict__)
        twin._connect(other._connection, other._timeouts)  # noqa: SLF001 - one of us
        return twin

    def as_managed(self) -> Self:
        """Let this client, not used yet, close without a warning when it is dropped unclosed.

        For wrappers: their users do not see the client, and make and drop models freely.
        """
        self._warns_if_dropped = False
        self._connect(self._connection, self._timeouts)
        return self

    @property
    def session(self) -> Session:
        """Whose cookies are sent, and where they were found."""
        return self._session

    @property
    def base_url(self) -> str:
        """Address of the server, without a slash at the end."""
        return self.server.endpoint.base_url

    @property
    def generation(self) -> Generation | None:
        """Which protocol the server speaks: ``current`` (chat-ui 0.20) or ``legacy`` (0.9.5).

        None until the first answer that shows it; `get_models` asks for one.
        """
        return self.server.dialect.name if self.server.dialect else None

    @property
    def login_command(self) -> str:
        """The command that logs in to this server in a terminal."""
        return login_command(self.base_url)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r}, {self._session!r})"

    @property
    def default_model(self) -> str:
        """The id of the model that is used where none is named.

        Yours, or the one that the account has chosen, or the first that the server lists.
        """
        return self._default_model(self._catalog())

    @property
    def default_vision_model(self) -> str | None:
        """The id of the model that is used for images, or None if no model sees them."""
        model = self._catalog().default_vision
        return model.id if model else None

    def known_model(self, name: str | None = None) -> ModelDetails | None:
        """Return what is already known of a model. Nothing is sent.

        Args:
            name: Its id or short name; by default the model that is used where none is named.

        Returns:
            Its details if they were read, or what the model list says; None if neither is known.
        """
        check("name", name, OPTIONAL_TEXT)
        return discovery.known_model(self.server, name or self._model)

    @property
    def text_models(self) -> list[str]:
        """The ids of the models that answer with text."""
        return [model.id for model in self._catalog().text_models]

    @property
    def vision_models(self) -> list[str]:
        """The ids of the models that see images."""
        return [model.id for model in self._catalog().vision_models]

    @property
    def image_models(self) -> list[str]:
        """The ids of the models that draw images."""
        return [model.id for model in self._catalog().image_models]

    @property
    def model_aliases(self) -> dict[str, str]:
        """Short names of models, each with the id that it stands for."""
        return dict(self._catalog().aliases)

    def _catalog(self) -> Catalog:
        """The model list, which `HuggingChat` reads if need be.

        Raises:
            HuggingChatError: It has not been read, and reading it would have to be awaited.
        """
        if self.server.catalog is None:
            msg = "The model list has not been read yet: await get_models() first."
            raise HuggingChatError(msg)
        return self.server.catalog

    def _chat(
        self,
        messages: Sequence[ChatMessage] | str,
        model: str | None,
        as_history: AsHistory | None,
        switch_to_vision_model: bool,
        *,
        web_search: bool = False,
        mcp_servers: Sequence[McpServer] = (),
        on_elicitation: OnElicitation | None = None,
        **answer: Any,
    ) -> tuple[Callable[[RunState], Flow[Answer]], OnElicitation | None]:
        check("model", model, OPTIONAL_TEXT)
        check("as_history", as_history, CALLBACK)
        check("on_elicitation", on_elicitation, CALLBACK)
        request = histories.HistoryRequest(
            check_messages(messages),
            model or self._model,
            check("web_search", web_search, FLAG),
            hide_servers(check_servers(mcp_servers)),
            as_history,
            check("switch_to_vision_model", switch_to_vision_model, FLAG),
            answer_options(answer).over(self._defaults),
        )
        return (
            lambda run: histories.answer_history(
                self.server, self._index, request, run, ephemeral=self.ephemeral
            ),
            on_elicitation,
        )

    def _create(self, model: str | None, system_prompt: str | None) -> Flow[StoredConversation]:
        check("model", model, OPTIONAL_TEXT)
        check("system_prompt", system_prompt, OPTIONAL_TEXT)
        return conversations.create(self.server, model or self._model, system_prompt)

    def _read(self, conversation_id: str) -> Flow[StoredConversation]:
        return conversations.read(self.server, check_conversation_id(conversation_id))

    def _delete(self, conversation_id: str) -> Flow[None]:
        self._index.forget(check_conversation_id(conversation_id))
        return conversations.delete(self.server, conversation_id)

    def _delete_all(self) -> Flow[None]:
        self._index.forget_all()
        return conversations.delete_all(self.server)

    def _read_share(self, share: str) -> Flow[StoredConversation]:
        return conversations.read_share(self.server, check_share_id(share))

    def _full(self, stored: StoredConversation) -> FullConversation:
        is_raw = self._defaults.artifacts == "raw"
        return FullConversation(
            id=stored.id,
            title=stored.title,
            model=stored.model,
            system_prompt=stored.system_prompt,
            messages=stored.messages if is_raw else render_messages(stored.messages),
        )

    def _shared(self, stored: StoredConversation) -> SharedConversation:
        return SharedConversation(**dict(self._full(stored)))

    def _download(self, conversation_id: str, sha: str) -> Flow[bytes]:
        check("sha", sha, TEXT)
        return conversations.download(self.server, check_conversation_id(conversation_id), sha)

    def _check_mcp_server(self, url: str, headers: Mapping[str, str] | None) -> Flow[McpCheck]:
        check_servers([{"name": "server", "url": url, "headers": headers or {}}])
        return discovery.check_mcp_server(self.server, url, headers or {})

    def _transcribe(self, audio: FileInput) -> Flow[str]:
        upload = Upload.from_source(audio, max_bytes=max_audio_bytes(self.server))
        return transcribe(self.server, upload)

    def _import(self, share: str) -> Flow[StoredConversation]:
        return conversations.import_share(self.server, check_share_id(share))

    def _default_model(self, catalog: Catalog) -> str:
        if self._model:
            return catalog.resolve(self._model).id
        return catalog.default.id if catalog.default else ""


class HuggingChat(ClientBase):
    """A HuggingChat server, synchronously. Safe between threads.

        with HuggingChat() as client:
            print(client.create_conversation().send("Hello").text)

    A client that is garbage-collected without being closed closes its connections, with a
    `ResourceWarning`, like files and sockets. After a fork the child opens its own connections; a
    stream continues in the process that opened it.

    Args:
        base_url: Address of the server, with its path. By default ``HUGGINGCHAT_BASE_URL``, or
            HuggingChat itself.
        cookies: The session: a dict, a ``Cookie`` header, JSON, a Netscape or JSON file, a cookie
            jar, or the `session` of another client. By default what ``HUGGINGCHAT_COOKIES`` or
            ``HUGGINGCHAT_COOKIE_FILE`` holds, the session that ``hfchat login`` has saved, that of
            a browser on this machine, or a guest's. An access token (``hf_…``) lists and reads,
            but cannot chat.
        account: Which saved session to use if there are several. By default
            ``HUGGINGCHAT_ACCOUNT``, or the newest login.
        model: Id or short name of the model to use where none is named. By default
            ``HUGGINGCHAT_MODEL``, or the server's own default.
        ephemeral: Whether `chat` and `stream_chat` delete each conversation right after its answer,
            so that the account keeps no trace. Every call then sends the whole history.
        stops_on_leave: Whether closing a stream early also stops the run on the server.
        timeouts: Deadlines, in seconds.
        proxy: Address of a proxy, such as ``socks5://user:password@host:1080``. By default what the
            environment says (``https_proxy`` and the like).
        headers: Headers to send with every request, for servers behind a gateway; cookies of a
            gateway belong in `cookies`.
        verify: Whether to check certificates, or the path of a file with the ones to trust.
        impersonate: The browser whose TLS and headers to imitate (see curl_cffi), or None.
        max_body_bytes: The largest request body that the server takes, in bytes.
        retries: How often to repeat requests that are safe to repeat.
        on_retry: Called before every wait for another attempt, with its reason and length.
        messages_per_minute: The server's limit. By default it is learnt when it is first reached.
            Calls then wait until they fit into it, so that a batch of any size finishes.
        timezone: Name of the time zone that is sent with the messages of calls that do not say,
            such as ``Europe/Berlin``; models with tools are told the local time. By default that of
            this machine, where it is known, as the page does. False sends none.
        artifacts: What to do about documents that models write in tags of their own, for all calls
            that do not say; see `hfchat_base.types.ArtifactsOption`.
        reasoning_effort: How long models may think, likewise; see `MessageOptions`.
        provider: Who runs the model (HuggingChat only), likewise.
        bill_to: The organisation that pays (HuggingChat only), likewise.
        restores_settings: Whether the account gets its settings back, likewise.

    Raises:
        InvalidRequestError: An argument or a variable cannot be read.
    """

    def _connect(self, connection: Connection, timeouts: Timeouts) -> None:
        self._transport = SyncTransport(
            connection,
            self._session,
            response_timeout=timeouts.response,
            head_timeout=timeouts.first_event,
            on_retry=self._on_retry,
            warns=self._warns_if_dropped,
        )
        self._runner = SyncRunner(
            self.server,
            self._transport,
            stops_on_leave=self._stops_on_leave,
            defaults=self._defaults,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def to_sync(self) -> HuggingChat:
        """Make a synchronous client with the same session, settings, model list and history."""
        return HuggingChat.sharing(self)

    def to_async(self) -> AsyncHuggingChat:
        """Make an asynchronous client with the same session, settings, model list and history."""
        return AsyncHuggingChat.sharing(self)

    def close(self) -> None:
        """Close the connections. The client cannot be used any more."""
        self._transport.close()

    def check_server(self) -> ServerStatus:
        """Send one request, without retries, to see whether the server answers.

        Raises:
            TransportError: It does not.
        """
        return self._runner.run(discovery.check_server())

    def get_models(self, *, refresh: bool = False) -> list[Model]:
        """List the server's models, the default one first as the server has it.

        The list is fetched once and cached. The JSON routes are tried first, then the page. If
        neither can be read, a built-in list is used, with a warning that gives its date.

        Args:
            refresh: Whether to fetch it again.

        Raises:
            TransportError: The server cannot be reached.
            MissingAuthError: It shows nothing to people who are not logged in.
            RateLimitError: It asks to wait.
            ServerError: A gateway does not reach it.
        """
        return ModelList(self._runner.run(discovery.models(self.server, refresh=refresh)).models)

    def whoami(self) -> User | None:
        """Ask the server whose session this is: None for a guest, or when the session is over."""
        return self._runner.run(discovery.whoami(self.server))

    def logout(self) -> None:
        """End the session on the server, and delete the saved one that it came from.

        Raises:
            TransportError: The server could not be reached. The saved session is deleted anyway.
        """
        try:
            self._runner.run(discovery.logout(self.server))
        finally:
            self._session.forget()

    def create_conversation(
        self, model: str | None = None, system_prompt: str | None = None
    ) -> Conversation:
        """Begin a conversation.

        Args:
            model: A model's id or short name; by default `default_model`.
            system_prompt: What the model reads before anything else.

        Raises:
            ModelNotFoundError: There is no such model; the message names the nearest.
            LoginRequired: The server does not allow guests.
            TooManyConversationsError: The account has reached its limit of conversations.
        """
        return self._conversation(self._runner.run(self._create(model, system_prompt)))

    def get_conversation(self, conversation_id: str) -> Conversation:
        """Get a conversation, to continue it after its last message.

        Raises:
            ConversationNotFoundError: There is none.
            AccessDeniedError: It is somebody else's.
        """
        return self._conversation(self._runner.run(self._read(conversation_id)))

    def read_conversation(self, conversation_id: str) -> FullConversation:
        """Read a conversation with all its messages, in one request.

        Raises:
            ConversationNotFoundError: There is none.
            AccessDeniedError: It is somebody else's.
        """
        return self._full(self._runner.run(self._read(conversation_id)))

    def download_file(self, conversation_id: str, sha: str) -> bytes:
        """Fetch a file of a message.

        Args:
            conversation_id: The message's conversation.
            sha: What the file is fetched by; see `~hfchat_base.types.MessageFile`.

        Raises:
            FileNotAvailableError: The server does not have it.
        """
        return self._runner.run(self._download(conversation_id, sha))

    def list_conversations(self) -> Generator[ConversationInfo, None, None]:
        """List all conversations, the newest first; pages are read as they are needed.

        Raises:
            MissingAuthError: The server shows nothing to people who are not logged in.
        """
        page, more = 0, True
        while more:
            infos, more = self._runner.run(conversations.list_page(self.server, page))
            yield from infos
            page += 1

    def delete_conversation(self, conversation_id: str) -> None:
        """Delete a conversation.

        Raises:
            ConversationNotFoundError: There is none.
        """
        self._runner.run(self._delete(conversation_id))

    def fetch_message_id(self, conversation_id: str) -> str:
        """Fetch the id of the last message of a conversation.

        Raises:
            ConversationNotFoundError: There is none.
        """
        return self._runner.run(self._read(conversation_id)).latest().id

    def settings(self) -> Settings:
        """Read the account's settings; a guest has some, too.

        Raises:
            ResponseError: The server refused.
        """
        return self._runner.run(settings.read(self.server))

    def update_settings(self, **changes: Unpack[SettingsChanges]) -> Settings:
        """Change some of the account's settings; all others stay as they are.

            client.update_settings(reasoning_effort_overrides={"org/model": "high"})

        Where a setting has a value for each model, only the models that are named change; None
        takes a value away. The user's browser shows the same settings. They count from the next
        message on.

        Args:
            **changes: See `~hfchat_base.types.SettingsChanges` and `~hfchat_base.types.Settings`.

        Returns:
            All settings, as they are now.

        Raises:
            InvalidRequestError: The server has no such setting, or the value is not one for it.
        """
        return self._runner.run(settings.update(self.server, changes))

    def get_model(self, name: str) -> ModelDetails:
        """Read all that the server says of a model. It is fetched once and cached.

        Args:
            name: Its id or short name.

        Raises:
            ModelNotFoundError: There is no such model; the message names the nearest.
        """
        check("name", name, TEXT)
        return self._runner.run(discovery.model_details(self.server, name))

    def mcp_servers(self, *, refresh: bool = True) -> list[McpServerInfo]:
        """List the server's own MCP servers; ``mcp_servers=`` of a call takes their names.

        Args:
            refresh: Whether to fetch the list again if it was read before.
        """
        return list(self._runner.run(discovery.mcp_servers(self.server, refresh=refresh)))

    def check_mcp_server(self, url: str, headers: Mapping[str, str] | None = None) -> McpCheck:
        """Have the server check whether it can use an MCP server, and which tools that offers.

        Args:
            url: Its address.
            headers: Headers to send there, such as an authorisation.

        Raises:
            InvalidRequestError: It is not a web address, or the server has no MCP servers.
        """
        return self._runner.run(self._check_mcp_server(url, headers))

    def transcribe(self, audio: FileInput) -> str:
        """Turn a recording into text, where the server can.

        Args:
            audio: A path, bytes, an open file, a data URL or an `Upload`: WebM, Ogg, WAV, FLAC,
                MPEG or MP4. Servers take 25 MiB, but no more than a request's body may have
                (`max_body_bytes`: 15 MiB on HuggingChat).

        Returns:
            What was said; empty if nothing was.

        Raises:
            FileTooLargeError: It is too large.
            InvalidRequestError: It is not such a recording, or the server does not transcribe.
        """
        return self._runner.run(self._transcribe(audio))

    def read_share(self, share: str) -> SharedConversation:
        """Read a conversation that somebody has shared, without importing it.

        Args:
            share: Its address, or the id at the end of it.

        Raises:
            ConversationNotFoundError: There is no such share.
            InvalidRequestError: The server is a legacy one, where a share can only be imported.
        """
        return self._shared(self._runner.run(self._read_share(share)))

    def running_answers(self) -> list[RunningAnswer]:
        """List the answers that are being written now, in all conversations of the account.

        Raises:
            InvalidRequestError: The server is a legacy one, which does not publish it.
        """
        return self._runner.run(conversations.running(self.server))

    def features(self) -> ServerFeatures:
        """Read what the server has switched on, and its public configuration.

        Raises:
            InvalidRequestError: The server is a legacy one, which does not publish it.
        """
        return self._runner.run(discovery.features(self.server))

    def check_protocol(self) -> list[ProtocolCheck]:
        """Compare what the server says with what this version knows, by reading alone.

        For reports: the result holds names of fields, never values. The first conversation of the
        list is read as well, if there is one.

        Raises:
            HuggingChatError: The server cannot be reached, or is not a chat-ui server.
        """
        return self._runner.run(discovery.check_protocol(self.server))

    def delete_all_conversations(self) -> None:
        """Delete all conversations of the account. They cannot be brought back."""
        self._runner.run(self._delete_all())

    def import_share(self, share: str) -> Conversation:
        """Copy a shared conversation into this account.

        Args:
            share: Its address, or the id at the end of it.

        Raises:
            ConversationNotFoundError: There is no such share.
        """
        return self._conversation(self._runner.run(self._import(share)))

    def stream_chat(
        self,
        messages: Sequence[ChatMessage] | str,
        *,
        model: str | None = None,
        as_history: AsHistory | None = None,
        switch_to_vision_model: bool = True,
        **options: Unpack[MessageOptions],
    ) -> AnswerStream:
        """Stream the answer to a history that the caller keeps.

        The client finds the conversation that already has the beginning of the history, and sends
        only what is new. Several calls may run at the same time; each then gets its own
        conversation.

        Args:
            messages: The whole history, or one user's message as text.
            model: A model's id or short name; by default `default_model`.
            as_history: Called with the answer; returns the history, including the answer, that
                the next call will pass. By default that is `messages` and the answer's text.
            switch_to_vision_model: Whether another model may answer if there are images and the
                named one does not accept them; otherwise that is an error.
            **options: See `MessageOptions`.

        Returns:
            An iterator over events, and a context manager. Nothing is sent before the first event.
        """
        return self._runner.stream(
            *self._chat(messages, model, as_history, switch_to_vision_model, **options)
        )

    def chat(
        self,
        messages: Sequence[ChatMessage] | str,
        *,
        model: str | None = None,
        **options: Unpack[MessageOptions],
    ) -> Answer:
        """Get the answer to a history that the caller keeps; see `stream_chat`.

        Raises:
            ResponseError: The server refused the message.
            StreamError: The run did not end well; `partial` holds what had arrived.
        """
        with self.stream_chat(messages, model=model, **options) as stream:
            return stream.result()

    def fetch_files(self, answer: Answer) -> list[FetchedFile]:
        """Fetch the files of an answer, in its order.

        A file that cannot be fetched raises nothing: it is returned with the reason in place of its
        bytes, so that the answer and the other files are not lost.
        """
        return self._runner.run(conversations.fetch_files(self.server, answer))

    def _conversation(self, stored: StoredConversation) -> Conversation:
        state = ConversationState.from_stored(stored)
        return Conversation(self._runner, self._index, state)

    def _catalog(self) -> Catalog:
        return self._runner.run(discovery.models(self.server))


class AsyncHuggingChat(ClientBase):
    """A HuggingChat server, asynchronously; see `HuggingChat` for the arguments.

        async with AsyncHuggingChat() as client:
            conversation = await client.create_conversation()
            print((await conversation.send("Hello")).text)

    Properties cannot be awaited: `default_model` and the like want a `get_models()` before.
    """

    def _connect(self, connection: Connection, timeouts: Timeouts) -> None:
        self._transport = AsyncTransport(
            connection,
            self._session,
            response_timeout=timeouts.response,
            head_timeout=timeouts.first_event,
            on_retry=self._on_retry,
            warns=self._warns_if_dropped,
        )
        self._runner = AsyncRunner(
            self.server,
            self._transport,
            stops_on_leave=self._stops_on_leave,
            defaults=self._defaults,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def to_sync(self) -> HuggingChat:
        """Make a synchronous client with the same session, settings, model list and history."""
        return HuggingChat.sharing(self)

    def to_async(self) -> AsyncHuggingChat:
        """Make an asynchronous client with the same session, settings, model list and history."""
        return AsyncHuggingChat.sharing(self)

    async def close(self) -> None:
        """Close the connections. The client cannot be used any more."""
        await self._transport.close()

    async def check_server(self) -> ServerStatus:
        """Send one request to see whether the server answers; see `HuggingChat.check_server`."""
        return await self._runner.run(discovery.check_server())

    async def get_models(self, *, refresh: bool = False) -> list[Model]:
        """List the server's models; see `HuggingChat.get_models`."""
        catalog = await self._runner.run(discovery.models(self.server, refresh=refresh))
        return ModelList(catalog.models)

    async def whoami(self) -> User | None:
        """Ask the server whose session this is; see `HuggingChat.whoami`."""
        return await self._runner.run(discovery.whoami(self.server))

    async def logout(self) -> None:
        """End the session on the server; see `HuggingChat.logout`."""
        try:
            await self._runner.run(discovery.logout(self.server))
        finally:
            self._session.forget()

    async def create_conversation(
        self, model: str | None = None, system_prompt: str | None = None
    ) -> AsyncConversation:
        """Begin a conversation; see `HuggingChat.create_conversation`."""
        return self._conversation(await self._runner.run(self._create(model, system_prompt)))

    async def get_conversation(self, conversation_id: str) -> AsyncConversation:
        """Get a conversation, to continue it; see `HuggingChat.get_conversation`."""
        return self._conversation(await self._runner.run(self._read(conversation_id)))

    async def read_conversation(self, conversation_id: str) -> FullConversation:
        """Read a conversation with its messages; see `HuggingChat.read_conversation`."""
        return self._full(await self._runner.run(self._read(conversation_id)))

    async def download_file(self, conversation_id: str, sha: str) -> bytes:
        """Fetch a file of a message; see `HuggingChat.download_file`."""
        return await self._runner.run(self._download(conversation_id, sha))

    async def list_conversations(self) -> AsyncGenerator[ConversationInfo, None]:
        """List all conversations; see `HuggingChat.list_conversations`."""
        page, more = 0, True
        while more:
            infos, more = await self._runner.run(conversations.list_page(self.server, page))
            for info in infos:
                yield info
            page += 1

    async def delete_conversation(self, conversation_id: str) -> None:
        """Delete a conversation; see `HuggingChat.delete_conversation`."""
        await self._runner.run(self._delete(conversation_id))

    async def fetch_message_id(self, conversation_id: str) -> str:
        """Fetch the id of the last message; see `HuggingChat.fetch_message_id`."""
        return (await self._runner.run(self._read(conversation_id))).latest().id

    async def settings(self) -> Settings:
        """Read the account's settings; see `HuggingChat.settings`."""
        return await self._runner.run(settings.read(self.server))

    async def update_settings(self, **changes: Unpack[SettingsChanges]) -> Settings:
        """Change some of the account's settings; see `HuggingChat.update_settings`."""
        return await self._runner.run(settings.update(self.server, changes))

    async def get_model(self, name: str) -> ModelDetails:
        """Read all that the server says of a model; see `HuggingChat.get_model`."""
        check("name", name, TEXT)
        return await self._runner.run(discovery.model_details(self.server, name))

    async def mcp_servers(self, *, refresh: bool = True) -> list[McpServerInfo]:
        """List the server's own MCP servers; see `HuggingChat.mcp_servers`."""
        return list(await self._runner.run(discovery.mcp_servers(self.server, refresh=refresh)))

    async def check_mcp_server(
        self, url: str, headers: Mapping[str, str] | None = None
    ) -> McpCheck:
        """Have the server check an MCP server; see `HuggingChat.check_mcp_server`."""
        return await self._runner.run(self._check_mcp_server(url, headers))

    async def transcribe(self, audio: FileInput) -> str:
        """Turn a recording into text, where the server can; see `HuggingChat.transcribe`."""
        return await self._runner.run(self._transcribe(audio))

    async def read_share(self, share: str) -> SharedConversation:
        """Read a conversation that somebody has shared; see `HuggingChat.read_share`."""
        return self._shared(await self._runner.run(self._read_share(share)))

    async def running_answers(self) -> list[RunningAnswer]:
        """List the answers that are being written now; see `HuggingChat.running_answers`."""
        return await self._runner.run(conversations.running(self.server))

    async def features(self) -> ServerFeatures:
        """Read what the server has switched on; see `HuggingChat.features`."""
        return await self._runner.run(discovery.features(self.server))

    async def check_protocol(self) -> list[ProtocolCheck]:
        """Compare what the server says with what is known; see `HuggingChat.check_protocol`."""
        return await self._runner.run(discovery.check_protocol(self.server))

    async def delete_all_conversations(self) -> None:
        """Delete all conversations of the account; see `HuggingChat.delete_all_conversations`."""
        await self._runner.run(self._delete_all())

    async def import_share(self, share: str) -> AsyncConversation:
        """Copy a shared conversation into this account; see `HuggingChat.import_share`."""
        return self._conversation(await self._runner.run(self._import(share)))

    def stream_chat(
        self,
        messages: Sequence[ChatMessage] | str,
        *,
        model: str | None = None,
        as_history: AsHistory | None = None,
        switch_to_vision_model: bool = True,
        **options: Unpack[MessageOptions],
    ) -> AsyncAnswerStream:
        """Stream the answer to a history; see `HuggingChat.stream_chat`."""
        return self._runner.stream(
            *self._chat(messages, model, as_history, switch_to_vision_model, **options)
        )

    async def chat(
        self,
        messages: Sequence[ChatMessage] | str,
        *,
        model: str | None = None,
        **options: Unpack[MessageOptions],
    ) -> Answer:
        """Get the answer to a history; see `HuggingChat.chat`."""
        async with self.stream_chat(messages, model=model, **options) as stream:
            return await stream.result()

    async def fetch_files(self, answer: Answer) -> list[FetchedFile]:
        """Fetch the files of an answer; see `HuggingChat.fetch_files`."""
        return await self._runner.run(conversations.fetch_files(self.server, answer))

    def _conversation(self, stored: StoredConversation) -> AsyncConversation:
        state = ConversationState.from_stored(stored)
        return AsyncConversation(self._runner, self._index, state)


class ClientPair:
    """A synchronous and an asynchronous client, each made when it is first needed.

    They share session, model list and history, so a chat that one of them began continues with the
    other in the same conversation. Safe between threads.

    No lock guards it, because a process may be forked while another thread holds one. Clients are
    put into a dict with `setdefault`, which is atomic, and a client that loses the race is dropped
    unused.

    Args:
        settings: The arguments of `HuggingChat`.
        client: A client to use instead of a new one; `close` leaves it open.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        client: HuggingChat | AsyncHuggingChat | None = None,
    ) -> None:
        self.settings = dict(settings)
        self._given = client
        self._made: dict[str, Any] = {}
        if client is not None:
            client.server.wants_details = True  # frameworks plan with them
            self._made["first"] = client
            self._made["sync" if isinstance(client, HuggingChat) else "async"] = client

    @property
    def sync(self) -> HuggingChat:
        """The synchronous client."""
        client: HuggingChat = self._get("sync", lambda: self._first.to_sync().as_managed())
        return client

    @property
    def asynchronous(self) -> AsyncHuggingChat:
        """The asynchronous client."""
        client: AsyncHuggingChat = self._get("async", lambda: self._first.to_async().as_managed())
        return client

    @property
    def any(self) -> HuggingChat | AsyncHuggingChat | None:
        """A client that knows what all know, open or closed; None if none was needed yet."""
        return self._made.get("first")

    def serves(self, settings: Mapping[str, Any]) -> bool:
        """Whether a model with these settings can use these clients."""
        return self._given is not None or self.settings == settings

    def close(self) -> None:
        """Close the synchronous client; a later call makes another like it."""
        if not isinstance(self._given, HuggingChat) and (client := self._made.pop("sync", None)):
            client.close()

    async def aclose(self) -> None:
        """Close both clients; a later call makes others like them."""
        is_ours = not isinstance(self._given, AsyncHuggingChat)
        if is_ours and (client := self._made.pop("async", None)):
            await client.close()
        self.close()

    def __deepcopy__(self, _memo: object) -> ClientPair:
        # A copy of a model continues its conversations.
        return self

    @property
    def _first(self) -> HuggingChat | AsyncHuggingChat:
        """The client whose session, model list and history all others share."""
        first: HuggingChat | AsyncHuggingChat = self._get("first", self._make)
        return first

    def _make(self) -> HuggingChat:
        client = HuggingChat(**self.settings).as_managed()
        client.server.wants_details = True
        return client

    def _get(self, name: str, make: Callable[[], Any]) -> Any:
        client = self._made.get(name)
        return self._made.setdefault(name, make()) if client is None else client
