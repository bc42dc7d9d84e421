"""The servers to compare: what each needs, and how it is started."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from processes import Running, free_port

HERE = Path(__file__).parent
MODELS, APPS = HERE / "models", HERE / "apps"
OURS = "label-studio-ml"
#: The original as it can be installed, which serves API v1, and its newest source.
UPSTREAM_V1, UPSTREAM_V1_START = "upstream 1.0.9", "upstream 1.0.9 start"
UPSTREAM_V2 = "upstream v2"
GUNICORN = ["--workers", "1", "--threads", "8", "--timeout", "0", "--log-level", "warning"]


@dataclass(frozen=True)
class Host:
    """A way to serve a model."""

    name: str
    #: The name of its environment, a folder in the cache.
    venv: str
    #: Returns program and arguments for a port and a project folder; the program lies in `bin/`.
    command: Callable[[int, Path], list[str]]
    #: APIs of `LabelStudioMLBase` (1, 2) that it serves; none if it serves functions.
    api_versions: tuple[int, ...] = ()


HOSTS = {
    host.name: host
    for host in [
        Host(
            OURS,
            "ours",
            lambda port, project: ["label-studio-ml", "start", str(project), "--port", str(port)],
            api_versions=(1, 2),
        ),
        Host(
            UPSTREAM_V2,
            "upstream2",
            lambda port, _: ["gunicorn", "--bind", f"127.0.0.1:{port}", *GUNICORN, "_wsgi:app"],
            api_versions=(2,),
        ),
        Host(
            UPSTREAM_V1,
            "upstream",
            lambda port, _: ["gunicorn", "--bind", f"127.0.0.1:{port}", *GUNICORN, "_wsgi:app"],
            api_versions=(1,),
        ),
        Host(UPSTREAM_V1_START, "upstream", lambda *_: ["python", "_wsgi.py"], api_versions=(1,)),
        Host(
            "FastAPI",
            "fastapi",
            lambda port, _: ["uvicorn", "fastapi_app:app", "--host", "127.0.0.1", "--port", str(port),
                             "--no-access-log", "--log-level", "warning"],
        ),
        Host(
            "Granian",
            "granian",
            lambda port, _: ["granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", str(port),
                             "--log-level", "warning", "granian_app:app"],
        ),
        Host("Robyn", "robyn", lambda *_: ["python", "robyn_app.py"]),
        Host("LitServe", "litserve", lambda *_: ["python", "litserve_app.py"]),
        Host(
            "BentoML",
            "bentoml",
            lambda port, _: ["bentoml", "serve", "bentoml_app:Predictor", "--host", "127.0.0.1", "--port",
                             str(port)],
        ),
    ]
}  # fmt: skip


@dataclass(frozen=True)
class Setup:
    """How a server is started for a scenario."""

    model: str
    #: Options of our `start`.
    options: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    #: API of the class; the newest one that the server serves, unless it is given.
    api: int | None = None


class Server:
    """A started server."""

    def __init__(self, host: Host, setup: Setup, venvs: Path, folder: Path) -> None:
        self.host, self.port = host, free_port()
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        project = folder / "project"
        if host.api_versions:
            prepare(project, setup.api or host.api_versions[-1])
        bin_folder = venvs / host.venv / "bin"
        program, *arguments = host.command(self.port, project)
        if host.name == OURS:
            arguments += ["--log-level", "warning", *setup.options]
        env = {
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(map(str, [MODELS, APPS])),
            "PYTHONDONTWRITEBYTECODE": "1",
            "BENCH_MODEL": setup.model,
            "BENCH_PORT": str(self.port),
            "MODEL_DIR": str(project),
            "LOG_LEVEL": "WARNING",
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": str(folder / "bento"),
            **setup.env,
        }
        cwd = project if host.api_versions else APPS
        self.running = Running([str(bin_folder / program), *arguments], cwd, env, folder / "log")

    def said(self) -> str:
        return self.running.log.read_text()[-2000:]

    def end(self) -> None:
        self.running.end()


def prepare(project: Path, api: int) -> None:
    """Make a project folder that the original and this package can start."""
    project.mkdir()
    source = f"v{api}"
    shutil.copy(MODELS / f"{source}.py", project / f"{source}.py")
    text = (MODELS / "_wsgi.py").read_text().replace("from v2", f"from {source}")
    (project / "_wsgi.py").write_text(text)


def is_installed(venvs: Path, host: Host) -> bool:
    return (venvs / host.venv / "bin" / "python").exists()


def version_of(venvs: Path, host: Host) -> str:
    """Return the installed version of a server."""
    name = "label_studio_ml" if host.api_versions else host.name.lower()
    found = venvs.glob(f"{host.venv}/lib/python*/site-packages/{name}-*.dist-info")
    return next((path.name.removesuffix(".dist-info").split("-")[-1] for path in found), "?")
