"""Every example of the chat model's docstring runs."""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from hfchat_base.local import LocalServer
from langchain_huggingchat import ChatHuggingChat
from tests.support.pictures import PNG

_BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_examples(
    server: LocalServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The blocks run one after the other, against whatever server the environment names."""
    monkeypatch.setenv("HUGGINGCHAT_BASE_URL", server.base_url)
    monkeypatch.chdir(tmp_path)
    Path("image.png").write_bytes(PNG)
    blocks = _BLOCK.findall(inspect.getdoc(ChatHuggingChat) or "")
    assert len(blocks) == 12
    names: dict[str, Any] = {}
    for block in blocks:
        code = compile(textwrap.dedent(block), "docstring", "exec", dont_inherit=True)
        exec(code, names)  # noqa: S102 - our own docstring
    names["llm"].close()
    assert "I love programming." in capsys.readouterr().out
