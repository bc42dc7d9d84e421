"""A MODEL_DIR for the tests, and a client that talks to the model like Label Studio does."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# label_studio_ml reads it when it is imported, which is why no import of it stands above.
os.environ["MODEL_DIR"] = tempfile.mkdtemp()
atexit.register(shutil.rmtree, os.environ["MODEL_DIR"], ignore_errors=True)

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def model_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def project() -> int:
    """Return a project id that no other test has, as stored keys outlive a test."""
    return next(_numbers)


@pytest.fixture
def client() -> Iterator[Any]:
    from model import EntityFinder

    from label_studio_ml.api import init_app

    app = init_app(model_class=EntityFinder)
    app.config["TESTING"] = True
    with app.test_client() as client:
        yield client
