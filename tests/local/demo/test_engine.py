"""The engine's life: it starts, it fails with a reason, and it ends whatever happens."""

from __future__ import annotations

import gc
import importlib.util
import platform
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from hfchat_base.errors import HuggingChatError, MissingRequirementsError
from hfchat_base.local.demo import DemoEngine, demo_model
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path


def _is_up(base_url: str) -> bool:
    try:
        return httpx.get(f"{base_url.removesuffix('/v1')}/health", trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_it_ends_with_its_context(weights: Path) -> None:
    """It ends when it is stopped, and it can be started again."""
    engine = DemoEngine(weights)
    with engine:
        url = engine.base_url
        assert _is_up(url)
    assert not _is_up(url)
    with pytest.raises(RuntimeError, match="not running"):
        _ = engine.base_url
    engine.stop()
    with engine:
        assert _is_up(engine.base_url)


def test_it_ends_when_it_is_forgotten(weights: Path) -> None:
    """Without a word about resources that were not released."""
    engine = DemoEngine(weights).start()
    url = engine.base_url
    del engine
    gc.collect()
    assert not _is_up(url)


@pytest.mark.parametrize("way", ["exit", "kill"])
def test_it_ends_with_its_parent(way: str, weights: Path) -> None:
    """It ends with its parent, even one that does not stop it or is killed."""
    script = (
        "import sys\n"
        "from hfchat_base.local.demo import DemoEngine\n"
        "engine = DemoEngine(sys.argv[1]).start()\n"
        "print(engine.base_url, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-W", "error", "-c", script, str(weights)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert _is_up(url)
        if way == "kill":
            parent.kill()
        _, complaints = parent.communicate()
    assert complaints == ""
    until(lambda: not _is_up(url))


def test_only_who_has_the_key_is_answered(engine: DemoEngine) -> None:
    """Web pages may call loopback ports, and so may other users of the machine."""
    url = f"{engine.base_url}/chat/completions"
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
    assert httpx.post(url, json=body, trust_env=False).status_code == 401
    key = {"authorization": f"Bearer {engine.api_key}"}
    assert httpx.post(url, json=body, headers=key, trust_env=False).status_code == 200


def test_a_file_that_is_no_model_is_rejected_with_the_reason(tmp_path: Path) -> None:
    """The reason is llama.cpp's."""
    nonsense = tmp_path / "nonsense.gguf"
    nonsense.write_bytes(b"nonsense" * 100)
    with pytest.raises(HuggingChatError, match=r"nonsense\.gguf cannot be loaded: .*magic"):
        DemoEngine(nonsense).start()


def test_loading_has_a_deadline(weights: Path) -> None:
    """The process is ended, and the error says so."""
    with pytest.raises(HuggingChatError, match=r"took more than 0\.01 s"):
        DemoEngine(weights, start_timeout=0.01).start()


def test_without_the_engine_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before anything is downloaded."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(MissingRequirementsError, match=r"\[model\]"):
        demo_model()
    with pytest.raises(MissingRequirementsError, match=r"\[model\]"):
        DemoEngine(tmp_path).start()


def test_where_there_is_no_engine_another_way_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installing the extra would not help there."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(MissingRequirementsError, match=r"does not exist for .* riscv64.*Ollama"):
        demo_model()
