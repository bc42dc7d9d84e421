"""The first minutes of a new user as the README tells them, up to going back to an earlier version.

The project folder is as `init` makes it, and is served from two places. `pytest -s` shows the times.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import Browser
from hosting import Server, run, wait_for
from label_studio import LabelStudio
from rest import Api
from test_browser import connect, log_in

pytestmark = pytest.mark.browser
TEXT = "It broke."


@pytest.fixture
def told() -> Callable[[str], None]:
    """Print what has just been reached, and after how many seconds."""
    began = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {what}")

    return tell


def test_the_first_minutes(
    studio: LabelStudio,
    api: Api,
    browser: Browser,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: Callable[[str], None],
) -> None:
    made = run("init", "my_backend", cwd=tmp_path)
    assert made.returncode == 0, made.stdout + made.stderr
    backend = tmp_path / "my_backend"
    config = (backend / "label_config.xml").read_text()
    first, second = labels(config)
    project = api.create_project("The first minutes", config)
    tasks = api.import_tasks(project, [{"data": {"text": TEXT}} for _ in range(4)])
    told("the project folder is made")

    server = Server(backend)
    told("the server is ready")
    try:
        log_in(browser, studio)
        connect(browser, studio, project, server)
        told("connected")
        sees(browser, studio, project, tasks[0], first)
        told("the first prediction is seen")

        submit(browser, second)
        await_version(api, project, "0.0.1+1")
        told("the first training is served")
        sees(browser, studio, project, tasks[1], second)
        browser.shot("first-training")
        told("its prediction is seen")

        submit(browser, first)
        await_version(api, project, "0.0.1+2")
        sees(browser, studio, project, tasks[2], first)
        told("that of the second training is seen")

        rows = command("versions", server)["details"]
        assert [row["version"] for row in rows][:2] == ["0.0.1+2", "0.0.1+1"]
        assert [row["version"] for row in rows if row["is_served"]] == ["0.0.1+2"]
        command("activate", server, "0.0.1+1")
        await_version(api, project, "0.0.1+1")
        # A task that Label Studio has no prediction for yet: it keeps those of other versions.
        sees(browser, studio, project, tasks[3], second)
        browser.see_text("0.0.1+1")
        browser.shot("gone-back")
        told("that of the first training is seen again")
    finally:
        assert server.stop() == 0, server.log()

    monkeypatch.chdir(backend)
    again = Server(Path(), cwd=backend)
    try:
        rows = command("versions", again)["details"]
        assert [row["version"] for row in rows if row["is_served"]] == ["0.0.1+1"]
        told("it is served after a start from the folder itself")
    finally:
        assert again.stop() == 0, again.log()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["my_backend"]
    assert not (backend / "cache.db").exists(), "what is learned lies in models"


def labels(config: str) -> list[str]:
    """The first two choices of a labelling config."""
    return [part.split('"')[0] for part in config.split('<Choice value="')[1:3]]


def sees(browser: Browser, studio: LabelStudio, project: int, task: int, label: str) -> None:
    browser.open(f"{studio.url}/projects/{project}/data?task={task}")
    browser.wait(lambda _: browser.is_chosen(label), f"{label} is predicted")


def submit(browser: Browser, label: str) -> None:
    browser.choose(label)
    browser.click("//button[@aria-label='Submit current annotation']")
    browser.see("//button[.='Update']")


def await_version(api: Api, project: int, version: str) -> None:
    def is_served() -> bool:
        (row,) = api.backends(project)
        return str(row["model_version"]) == version

    wait_for(is_served, f"Label Studio sees version {version}")


def command(name: str, server: Server, *arguments: str) -> Any:
    """What a command for a running server prints."""
    done = run(name, *arguments, "--port", str(server.port), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)
