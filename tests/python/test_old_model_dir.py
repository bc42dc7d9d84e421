"""A model folder that 3.0.0 left when it was killed opens, and goes on."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hosting import PROJECT, ROOT, Server, make_project, wait_for

FIXTURE = ROOT / "tests/fixtures/model_dir_3.0.0"
OTHER, CANCELLED = "3.1795430970", "4.1795430971"
#: Ids of the versions that were there, oldest first.
V1 = ["1796056517", "1796056519", "1796056520"]
V2 = ["0.0.1+1796056526", "0.0.1+1796056529", "0.0.1+1796056530"]


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server of this version on a copy of the folder that the test names."""
    name = request.param
    with tarfile.open(FIXTURE / "models.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "source").mkdir()
    project = make_project(tmp_path / "source", (FIXTURE / name / "model.py").read_text())
    models = tmp_path / name
    server = Server(
        project, "--model-dir", str(models), env={"MODEL_DIR": str(models), "WAIT": "0"}
    )
    yield server
    assert server.stop() == 0


def jobs(server: Server, project: str) -> list[dict[str, Any]]:
    """Return the jobs of a project once none of them is open, oldest first."""

    def look() -> list[dict[str, Any]] | None:
        found = server.get("/jobs", params={"project": project}).json()["jobs"]
        return found if all(job["ended_at"] for job in found) else None

    return list(reversed(wait_for(look, f"jobs of {project} end")))


def details(server: Server) -> list[dict[str, Any]]:
    listed = server.get("/versions", params={"project": PROJECT}).json()
    found: list[dict[str, Any]] = listed["details"]
    return found


def answer(server: Server, project: str) -> dict[str, Any]:
    found: dict[str, Any] = server.predict(project=project).json()
    return found


@pytest.mark.parametrize("server", ["v1"], indirect=True)
def test_versions_of_v1_are_kept_and_open_jobs_are_run(server: Server) -> None:
    states = [job["job_status"] for job in jobs(server, PROJECT)]
    assert states == ["finished", "finished", "finished", "failed", "finished"], (
        "the last one was run again"
    )
    assert [job["job_status"] for job in jobs(server, CANCELLED)] == ["cancelled"]
    (waited,) = jobs(server, OTHER)
    assert waited["job_status"] == "finished"
    again = jobs(server, PROJECT)[-1]
    versions = server.get("/versions", params={"project": PROJECT}).json()["versions"]
    assert versions == [again["model_version"], *reversed(V1)]
    # The version that was activated no longer counts, since a newer one came.
    assert answer(server, PROJECT)["model_version"] == again["model_version"]
    assert answer(server, OTHER)["results"][0]["trained"] == 2
    listed = details(server)
    assert [one["annotations"] for one in listed][1:] == [3, 2, 1]
    assert all(one["can_be_activated"] and one["trained_at"] for one in listed)
    body = {"project": PROJECT}
    for count, name in enumerate(V1, start=1):
        assert server.post(f"/versions/{name}/activate", body).json()["model_version"] == name
        assert answer(server, PROJECT)["results"][0]["trained"] == count


@pytest.mark.parametrize("server", ["v2"], indirect=True)
def test_records_and_keys_of_v2_are_kept_and_open_jobs_are_run(server: Server) -> None:
    states = [job["job_status"] for job in jobs(server, PROJECT)]
    assert states == ["finished", "finished", "finished", "failed", "finished"], (
        "the last one was run again"
    )
    (waited,) = jobs(server, OTHER)
    assert waited["job_status"] == "finished"
    again = jobs(server, PROJECT)[-1]
    versions = server.get("/versions", params={"project": PROJECT}).json()["versions"]
    assert versions == [again["model_version"], *reversed(V2)]
    found = answer(server, PROJECT)
    assert (found["model_version"], found["results"][0]["learned"]) == (
        again["model_version"],
        "wait",
    )
    assert answer(server, OTHER)["results"][0]["learned"] == "after"
    assert again["model_version"] == "0.0.1+1"
    reason = "its files and keys were not kept"
    assert [(one["version"], one["reason"]) for one in details(server)] == [
        ("0.0.1+1", None),
        # It was served when the first training of this server began.
        (V2[2], None),
        (V2[1], reason),
        (V2[0], reason),
    ]
    body = {"project": PROJECT}
    refused = server.post(f"/versions/{V2[0]}/activate", body)
    assert (refused.status_code, refused.json()["error_code"]) == (409, "no_earlier_version")
    assert reason in refused.json()["detail"]
    for name, learned in ((V2[2], "three"), ("0.0.1+1", "wait"), (V2[2], "three")):
        assert server.post(f"/versions/{name}/activate", body).json()["model_version"] == name
        found = answer(server, PROJECT)
        assert (found["model_version"], found["results"][0]["learned"]) == (name, learned)
