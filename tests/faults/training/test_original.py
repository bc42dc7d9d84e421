"""A model folder that the original package made."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from host import Host
from hosting import CHOICES, PROJECT, wait_for

# The environment is the one of tests/conformance, if that was made.
sys.path.append(str(Path(__file__).resolve().parents[2] / "conformance"))

from services import cache_dir
from upstream import NEWEST, upstream_service, upstream_venv

MakeHost = Callable[..., Host]


def environment() -> Path:
    """Return the original's environment; it is not made here, which would take minutes."""
    made = cache_dir() / f"label-studio-ml-{NEWEST}" / "bin" / "label-studio-ml"
    if not made.exists():
        pytest.skip(f"the original is not installed: there is no {made}")
    return upstream_venv()


def version_with(models: Path, token: str) -> str | None:
    """Return the version that was trained with `token`, once it is there."""
    for path in models.glob("*/*/job_result.json"):
        with contextlib.suppress(ValueError):  # it is being written
            if json.loads(path.read_text())["train_output"]["token"] == token:
                return path.parent.name
    return None


def train(url: str, models: Path, token: str) -> str:
    """Train in the original; return the version that it made."""
    body = {
        "annotations": [{"id": 1}],
        "project": PROJECT,
        "label_config": CHOICES,
        "params": {"token": token},
    }
    assert requests.post(f"{url}/train", json=body, timeout=60).status_code == 201
    version: str = wait_for(lambda: version_with(models, token), f"the {token} version is made")
    # It names versions by the second, so the next one could overwrite this one.
    wait_for(lambda: time.time() > int(version) + 1, "the second is over")
    return version


def test_what_the_original_has_trained_is_served_and_goes_on(
    tmp_path: Path, make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv = environment()
    host = make_host()
    monkeypatch.setenv("FAULTS_RUNS", str(host.ledger.runs_file))
    script = host.project.parent / "scripts" / "model.py"
    original = upstream_service(venv, tmp_path, script, "projects")
    models = tmp_path / "upstream"
    with original:
        setup = {"project": PROJECT, "schema": CHOICES, "hostname": "", "access_token": ""}
        assert requests.post(f"{original.url}/setup", json=setup, timeout=60).ok
        for token in ("first", "second"):
            newest = train(original.url, models, token)

    ours = make_host(model_dir=models)
    server = ours.start()
    assert server.setup().json() == {"model_version": newest}
    assert server.first()["trained"]["token"] == "second"
    newer = ours.ended(ours.ledger.train(server))
    assert newer["job_status"] == "finished"
    assert server.first()["trained"]["previous"] == "second"
    ours.kill()
    ours.start()
    ours.check()
