"""The original's functions behind its command line, for scripts that call them.

They take the namespace that `get_args` returns, or one that a script makes, and run the commands of
this package.
"""

import argparse
import logging
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

logger = logging.getLogger("label_studio_ml.server")

_LABEL_STUDIO = "https://app.heartex.com"
_REGION = "us-central1"


def get_args() -> tuple[argparse.Namespace, list[str]]:
    """Read `sys.argv` as the original did: return the namespace, and the arguments left over."""
    folder = argparse.ArgumentParser(add_help=False)
    folder.add_argument("--root-dir", default=".", help="folder of the project folder")
    script = argparse.ArgumentParser(add_help=False)
    script.add_argument("--script", "--from", help="path of the script, or script.py:ModelClass")
    script.add_argument("--force", action="store_true", help="write into an existing folder")
    parser = argparse.ArgumentParser(prog="label-studio-ml")
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init", aliases=["create"], parents=[folder, script])
    start = commands.add_parser("start", parents=[folder])
    deploy = commands.add_parser("deploy", parents=[folder, script])
    deploy.add_argument("provider", choices=["gcp"])
    # Its name at commit 75fafe0.
    deploy_gcp = commands.add_parser("deploy_gcp", parents=[folder, script])
    for command in (init, start, deploy, deploy_gcp):
        command.add_argument("project_name", help="path of the project folder")
    for name in ("user", "pass"):
        default = os.environ.get(f"ML_SERVER_BASIC_AUTH_{name.upper()}")
        start.add_argument(f"--basic-auth-{name}", default=default)
    for command in (deploy, deploy_gcp):
        command.add_argument("--gcp-project-id", dest="gcp_project")
        command.add_argument("--gcp-region")
        command.add_argument("--label-studio-host", default=_LABEL_STUDIO)
        command.add_argument("--label-studio-api-key", required=True)
    return parser.parse_known_args()


def create_dir(args: Any) -> None:
    """Create a project folder, as `label-studio-ml init` does.

    Raises FileExistsError if the folder exists and `args.force` is not set, FileNotFoundError for a
    missing script, and RuntimeError if the command fails.
    """
    folder = Path(args.root_dir, args.project_name)
    if folder.exists() and not args.force:
        raise FileExistsError(f"{folder} exists: remove it, or set `force`")
    script = getattr(args, "script", None)
    if script and not Path(script).exists() and not Path(script.rpartition(":")[0]).is_file():
        raise FileNotFoundError(script)
    given = ["--root-dir", args.root_dir, *(["--force"] if args.force else [])]
    _run("init", args.project_name, *given, *(["--script", script] if script else []))


def start_server(args: Any, subprocess_params: Sequence[str]) -> None:
    """Serve a project until interrupted; `subprocess_params` are options of `label-studio-ml start`.

    Raises RuntimeError if the server cannot start.
    """
    credentials = [getattr(args, f"basic_auth_{name}", None) for name in ("user", "pass")]
    given = ["--root-dir", args.root_dir, *subprocess_params]
    if all(credentials):
        user, password = credentials
        given += ["--basic-auth-user", user, "--basic-auth-pass", password]
    _run("start", args.project_name, *given)


def _run(command: str, *arguments: Any) -> None:
    from label_studio_ml import server

    status = server.main([command, *map(str, arguments)])
    # 130: Ctrl-C ended it.
    if status not in (0, 130):
        raise RuntimeError(f"label-studio-ml {command} failed with exit status {status}")


def deploy_to_gcp(args: Any) -> None:
    """Deploy a project folder to Cloud Run with `gcloud`; the folder is created if it is missing.

    Raises KeyError without a project of Google Cloud, PermissionError if `gcloud` is not logged in, and
    CalledProcessError if it fails.
    """
    project = args.gcp_project or os.environ.get("GCP_PROJECT")
    if not project:
        raise KeyError("no project of Google Cloud: pass --gcp-project-id or set GCP_PROJECT")
    folder = Path(args.root_dir, args.project_name)
    if not folder.exists():
        create_dir(args)
    if not _gcloud("auth", "print-identity-token").strip():
        raise PermissionError("gcloud is not logged in: run `gcloud auth login`")
    _gcloud("config", "set", "project", project)
    variables = {
        "LABEL_STUDIO_ML_BACKEND_V2": "1",
        "LABEL_STUDIO_HOSTNAME": args.label_studio_host,
        "LABEL_STUDIO_API_KEY": args.label_studio_api_key,
    }
    _gcloud(
        *("run", "deploy", args.project_name.replace("_", "-"), "--source", str(folder)),
        *("--region", args.gcp_region or os.environ.get("GCP_REGION") or _REGION),
        *("--update-env-vars", ",".join(f"{name}={value}" for name, value in variables.items())),
        confirm=True,
    )


def _gcloud(*arguments: str, confirm: bool = False) -> bytes:
    answer = b"y" if confirm else None
    return subprocess.check_output(["gcloud", *arguments], input=answer)


def special_match(
    strg: str, search: Callable[[str], object] = re.compile(r"[^a-z-]").search
) -> bool:
    """Tell whether a text has anything but the letters a to z and hyphens."""
    return bool(search(strg))
