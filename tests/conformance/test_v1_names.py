"""Functions that models import from the original's modules: the same calls here and in 1.0.9.

Each snippet runs with both packages, and prints what it finds as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from services import child_environment
from upstream import NEWEST, upstream_venv

HELPERS = """
import json
def tried(call):
    try:
        return call()
    except Exception as error:
        return [type(error).__name__, str(error)]
"""
SNIPPETS = {
    "get_env": """
import os
from label_studio_ml.utils import get_env
os.environ.update(A="1", HEARTEX_A="2", B="x", LABEL_STUDIO_C="no", D="yes", E="2")
shown = [get_env(name) for name in "ABCDEF"]
shown += [get_env("F", 5), get_env("F", default="d", is_bool=True)]
shown += [tried(lambda: get_env(name, is_bool=True)) for name in "ABCDE"]
""",
    "get_bool_env": """
import os
from label_studio_ml.model import get_bool_env
os.environ.update(LABEL_STUDIO_A="On", B="0", C="maybe")
shown = [tried(lambda: get_bool_env(name, default)) for name in "ABCD" for default in (True, False)]
""",
    "what fetches images": """
import os, pathlib, tempfile
os.environ.pop("HOSTNAME", None)
from label_studio_ml import utils
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "2").mkdir()
(folder / "2" / "a.png").write_bytes(b"x")
path = utils.get_image_local_path("/data/upload/2/a.png", image_dir=str(folder))
shown = [path == str(folder / "2" / "a.png")]
asked = []
utils.get_local_path = lambda *args, **kwargs: asked.append(args[0] if args else kwargs["url"])
utils.get_image_local_path("http://h/a.png")
shown += asked
""",
    "the functions of the API": """
import logging
from flask import Flask
from label_studio_ml import api
found = []
class Keep(logging.Handler):
    def emit(self, record):
        # Releases of werkzeug order and spell headers in their own ways.
        text = record.getMessage().partition("headers: ")[0]
        found.append([record.name, record.levelname, text])
api.logger.setLevel("DEBUG")
api.logger.propagate = False
api.logger.addHandler(Keep())
app = Flask("mine")
app.before_request(api.log_request_info)
app.after_request(api.log_response_info)
app.add_url_rule("/x", "x", lambda: "the answer", methods=["POST"])
app.register_error_handler(FileNotFoundError, api.file_not_found_error_handler)
def missing():
    raise FileNotFoundError("no file")
app.add_url_rule("/y", "y", missing)
client = app.test_client()
shown = [client.post("/x", data="question").data.decode()]
answer = client.get("/y")
shown += [answer.status_code, answer.data.decode()]
shown += [api.no_such_job_error_handler("a"), api.assertion_error("b"), api.index_error("c")]
shown += found
""",
    "arguments of the command line": """
import sys
from label_studio_ml.server import get_args
shown = []
for line in (
    "start mine -p 9091 --debug",
    "start --root-dir there mine",
    "init mine --script a.py:B --force",
    "init mine --from a.py --root-dir there",
    "deploy gcp mine --gcp-project-id p --gcp-region r --label-studio-api-key k",
):
    sys.argv = ["label-studio-ml", *line.split()]
    args, rest = get_args()
    known = {name: value for name, value in vars(args).items() if not name.startswith("basic_auth")}
    shown.append([known, rest])
""",
    "names of services": """
from label_studio_ml.server import special_match
shown = [special_match(name) for name in ("a-b", "a_b", "A", "", "a1")]
""",
    "classes of a script": """
import pathlib, tempfile
from label_studio_ml.server import get_all_classes_inherited_LabelStudioMLBase as classes
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "some_script.py").write_text('''
from label_studio_ml.model import LabelStudioMLBase
class B(LabelStudioMLBase): pass
class A(B): pass
class C: pass
''')
shown = sorted(classes(str(folder / "some_script.py")))
""",
    "names of a star import": """
from label_studio_ml.model import *
shown = [os.path.basename("a/b"), json.dumps(1), get_bool_env("X", False), LabelStudioMLBase.__name__]
shown += [logging.__name__, sys.__name__, io.__name__, time.__name__, Fore.RED, Dict.__module__]
""",
    "names of a star import of utils": """
from label_studio_ml.utils import *
shown = [Image.__name__, ImageOps.__name__, get_env("X", 3), DATA_UNDEFINED_NAME, logging.__name__]
""",
    "the manager of the API": """
from label_studio_ml import api, model
shown = [api.LabelStudioMLManager is model.LabelStudioMLManager,
         type(api._manager) is model.LabelStudioMLManager,
         type(api.LABEL_STUDIO_ML_BACKEND_V2_DEFAULT).__name__, api.os.__name__]
""",
}


def run(python: Path, snippet: str, folder: Path) -> Any:
    code = f"{HELPERS}{snippet}\nprint(json.dumps(shown))"
    done = subprocess.run(
        [str(python), "-W", "ignore", "-c", code],
        cwd=folder,
        env={**child_environment(), "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_function_does_what_it_does_in_the_original(name: str, tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for folder in (theirs, ours):
        folder.mkdir()
    expected = run(upstream_venv(NEWEST) / "bin" / "python", SNIPPETS[name], theirs)
    assert run(Path(sys.executable), SNIPPETS[name], ours) == expected
