"""What a person gets to read when the endpoint does not do what it should."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fake_llm import FakeLLM

CONFIG = Path(__file__).with_name("label_config.xml").read_text()


def failure(client: Any, project: int, tasks: int = 1) -> str:
    body = {
        "tasks": [{"id": number, "data": {"text": "Never again."}} for number in range(tasks)],
        "project": f"{project}.1741593600",
        "label_config": CONFIG,
    }
    response = client.post("/predict", json=body)
    assert response.status_code == 500
    return response.json["detail"]


def test_it_cannot_be_reached(client: Any, project: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_BASE_URL", "http://127.0.0.1:1/v1")
    detail = failure(client, project, tasks=20)
    assert "No answer from http://127.0.0.1:1/v1/chat/completions" in detail
    assert "LLM_BASE_URL" in detail


def test_it_is_too_slow(
    client: Any, project: int, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_TIMEOUT", "0.2")
    done = threading.Event()
    llm.reply = lambda text: str(done.wait(5))
    detail = failure(client, project)
    done.set()
    assert "LLM_TIMEOUT" in detail


def test_after_a_failure_the_waiting_tasks_are_not_asked_about(
    client: Any, project: int, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_CONCURRENCY", "2")
    llm.status = 503

    def reply(text: str) -> str:
        time.sleep(0.05)
        return text

    llm.reply = reply
    failure(client, project, tasks=50)
    assert len(llm.requests) < 10


def test_it_refuses(client: Any, project: int, llm: FakeLLM) -> None:
    llm.status, llm.raw = 401, b'{"error": "bad key"}'
    detail = failure(client, project)
    assert "401" in detail
    assert "bad key" in detail


@pytest.mark.parametrize("raw", [b"<html>hello</html>", b"[]", b'{"choices": []}', b"null"])
def test_it_is_of_another_kind(client: Any, project: int, llm: FakeLLM, raw: bytes) -> None:
    llm.raw = raw
    assert "did not answer like a chat endpoint" in failure(client, project)
