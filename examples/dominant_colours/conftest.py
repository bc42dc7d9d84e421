"""A MODEL_DIR for the tests, and a client that talks to the model like Label Studio does."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

# label_studio_ml reads it when it is imported, which is why no import of it stands above.
os.environ["MODEL_DIR"] = tempfile.mkdtemp()
atexit.register(shutil.rmtree, os.environ["MODEL_DIR"], ignore_errors=True)

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def model_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    # where label_studio_ml keeps what it has downloaded
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    # else nothing is fetched from the machine that the model runs on
    monkeypatch.setenv("LABEL_STUDIO_ML_ALLOW_HOSTS", "127.0.0.1")
    return tmp_path


@pytest.fixture
def project() -> int:
    """Return a project id that no other test has, as stored keys outlive a test."""
    return next(_numbers)


@pytest.fixture
def client() -> Iterator[Any]:
    from model import ColourFinder

    from label_studio_ml.api import init_app

    app = init_app(model_class=ColourFinder)
    app.config["TESTING"] = True
    with app.test_client() as client:
        yield client


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves the images as a web server would, without a line for each in the output."""

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """Return a function that puts a folder on a web server and returns its address."""
    running = []

    def start(folder: Path) -> str:
        handler = partial(QuietHandler, directory=str(folder))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def publish(tmp_path: Path, serve: Callable[[Path], str]) -> Callable[..., str]:
    """Return a function that saves an image and returns the address of the file."""
    folder = tmp_path / "images"
    folder.mkdir()
    address = serve(folder)

    def save(image: Image.Image, kind: str = "png", **options: Any) -> str:
        name = f"{uuid.uuid4().hex}.{kind}"
        image.save(folder / name, **options)
        return f"{address}/{name}"

    return save
