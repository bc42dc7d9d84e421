"""One question to an endpoint that speaks the OpenAI chat protocol, and its answer."""

from __future__ import annotations

import os

import requests


class ChatError(RuntimeError):
    """The endpoint gave no usable answer; the message says what to look at."""


def model_name() -> str:
    """Return the name of the model that answers."""
    return os.environ.get("LLM_MODEL") or "llama3.2"


def ask(instruction: str, text: str) -> str:
    """Return the model's answer; ChatError if there is none."""
    base = os.environ.get("LLM_BASE_URL") or "http://localhost:11434/v1"
    url = base.rstrip("/") + "/chat/completions"
    key = os.environ.get("LLM_API_KEY")
    body = {
        "model": model_name(),
        "messages": [
            {"role": "system", "content": instruction},
            {"role": "user", "content": text},
        ],
    }
    try:
        reply = requests.post(
            url,
            json=body,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=float(os.environ.get("LLM_TIMEOUT") or 60),
        )
    except requests.RequestException as error:
        raise ChatError(
            f"No answer from {url}, see LLM_BASE_URL and LLM_TIMEOUT: {error}"
        ) from error
    if not reply.ok:
        raise ChatError(f"{url} answered {reply.status_code} {reply.reason}: {reply.text[:300]}")
    try:
        content = reply.json()["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError) as error:
        raise ChatError(f"{url} did not answer like a chat endpoint: {reply.text[:300]}") from error
    return str(content or "").strip()  # null where a model refuses to answer
