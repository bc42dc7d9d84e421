"""A MODEL_DIR for the tests, and a client that talks to the model like Label Studio does."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_llm import FakeLLM

# label_studio_ml reads it when it is imported, which is why no import of it stands above.
os.environ["MODEL_DIR"] = tempfile.mkdtemp()
atexit.register(shutil.rmtree, os.environ["MODEL_DIR"], ignore_errors=True)

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def model_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def llm(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLLM]:
    server = FakeLLM()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("LLM_BASE_URL", server.url)
    monkeypatch.setenv("LLM_MODEL", "test-model")
    monkeypatch.setenv("LLM_TIMEOUT", "10")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("LLM_API_KEY", "LLM_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def project() -> int:
    """Return a project id that no other test has, as stored keys outlive a test."""
    return next(_numbers)


@pytest.fixture
def client() -> Iterator[Any]:
    from model import LanguageModelLabeller

    from label_studio_ml.api import init_app

    app = init_app(model_class=LanguageModelLabeller)
    app.config["TESTING"] = True
    with app.test_client() as client:
        yield client
