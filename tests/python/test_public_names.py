"""Names and parameters that the original ever had for longer than a day.

`tests/fixtures/public_surface.json` lists them, by module, as its history has them from 2021-09 to
2026-08: name → parameters.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hosting import CHOICES, ROOT

SURFACE: dict[str, dict[str, list[str]]] = json.loads(
    (ROOT / "tests" / "fixtures" / "public_surface.json").read_text()
)
NAMES = [(module, name) for module in SURFACE for name in SURFACE[module]]
PARAMETERS = [
    (module, name, parameter) for module, name in NAMES for parameter in SURFACE[module][name]
]

#: Names that are not there, with the first cell of their row in docs/compatibility.md.
MISSING = {("label_studio_ml.model", "LabelStudioMLBase.ensure_cache"): "`ensure_cache` and"}
#: Packages without which some names cannot be had: they are not dependencies.
OPTIONAL = {"flask_ngrok", "redis", "rq"}


def find(module: str, name: str) -> Any:
    """Return what a name of a module stands for; a field of a class stands for itself."""
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        fields = dataclasses.fields(found) if dataclasses.is_dataclass(found) else ()
        declared = [field for field in fields if field.name == part]
        found = declared[0] if declared else getattr(found, part)
    return found


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_every_name_is_there_or_has_a_row(module: str, name: str) -> None:
    try:
        find(module, name)
    except AttributeError:
        row = MISSING.get((module, name))
        assert row, f"{module}.{name} is missing"
        page = (ROOT / "docs" / "compatibility.md").read_text()
        assert any(line.startswith(f"| {row}") for line in page.splitlines()), row
    except ImportError as error:
        assert error.name in OPTIONAL, error
        assert str(error.name) in str(error)
    else:
        assert (module, name) not in MISSING, "it has a row, but is there"


@pytest.mark.parametrize(("module", "name", "parameter"), PARAMETERS)
def test_every_parameter_is_accepted(module: str, name: str, parameter: str) -> None:
    if (module, name) in MISSING:
        return
    parameters = inspect.signature(find(module, name)).parameters
    kinds = {kind.kind for kind in parameters.values()}
    if parameter.startswith("**"):
        assert inspect.Parameter.VAR_KEYWORD in kinds
    elif parameter.startswith("*"):
        assert inspect.Parameter.VAR_POSITIONAL in kinds
    else:
        named = parameters.get(parameter)
        by_keyword = named is not None and named.kind is not named.POSITIONAL_ONLY
        assert by_keyword or inspect.Parameter.VAR_KEYWORD in kinds


@pytest.mark.parametrize("module", SURFACE)
def test_names_are_imported_as_scripts_import_them(module: str) -> None:
    """In a process of its own: `from x import a` asks the module in another order than `x.a`."""
    top = [name for name in SURFACE[module] if "." not in name]
    optional = {"NoSuchJobError", "Redis", "redis", "rq", "Queue", "get_current_job", "Job"}
    optional |= {name for name in top if name.endswith("JobRegistry")} | {"run_with_ngrok"}
    code = f"from {module} import {', '.join(name for name in top if name not in optional)}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("from label_studio_ml import LabelStudioMLBase as x", "label_studio_ml.model LabelStudioMLBase"),
        ("from label_studio_ml import ModelResponse as x", "label_studio_ml.response ModelResponse"),
        ("from label_studio_ml import init_app as x", "label_studio_ml.api init_app"),
        ("from label_studio_ml.server import init_app as x", "label_studio_ml.api init_app"),
        ("import label_studio_ml; x = label_studio_ml.model.LabelStudioMLBase",
         "label_studio_ml.model LabelStudioMLBase"),
        ("import label_studio_ml; x = label_studio_ml.utils.get_choice",
         "label_studio_ml.utils get_choice"),
        ("from label_studio_ml.utils import *; x = get_env; Image.open, os.path, List",
         "label_studio_tools.core.utils.params get_env"),
        ("from label_studio_ml.model import *; x = LabelStudioMLBase; os.path, Dict, json.loads",
         "label_studio_ml.model LabelStudioMLBase"),
        ("import datetime; from label_studio_ml.model import *; x = LabelStudioMLBase;"
         " datetime.datetime.now()", "label_studio_ml.model LabelStudioMLBase"),
    ],
)  # fmt: skip
def test_names_of_guides_and_of_generated_code(line: str, expected: str) -> None:
    code = f"{line}\nprint(x.__module__, x.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == f"{expected}\n", done.stderr


def test_a_name_that_never_was_is_an_attribute_error() -> None:
    for module in SURFACE:
        found = importlib.import_module(module)
        with pytest.raises(AttributeError, match="no_such_name"):
            found.no_such_name  # noqa: B018
        assert not hasattr(found, "__wrapped__")


def test_the_package_is_still_cheap(tmp_path: Path) -> None:
    """A script pays for the names that it imports, and for no others."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from label_studio_ml import LabelStudioMLBase\n"
        "from label_studio_ml.api import init_app, logger\n"
        "from label_studio_ml.server import main\n"
        "from label_studio_ml.utils import get_choice\n"
        "heavy = ('flask', 'requests', 'PIL', 'label_studio_sdk', 'label_studio_tools', 'redis', 'rq',"
        " 'multiprocessing', 'inspect', 'ast', 'argparse', 'colorama', 'lxml')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("api", [1, 2])
def test_the_method_for_the_first_tag_has_its_right_spelling_too(api: int) -> None:
    from label_studio_ml.model import LabelInterface, LabelStudioMLBase

    class Model(LabelStudioMLBase):
        LABEL_STUDIO_ML_API = api

        def predict(self, tasks: Any, context: Any = None, **kwargs: Any) -> Any: ...

    model = Model(label_config=CHOICES)
    expected = ("sentiment", "text", "text")
    assert model.get_first_tag_occurrence("Choices", "Text") == expected
    assert model.label_interface.get_first_tag_occurrence("Choices", "Text") == expected
    assert LabelInterface(CHOICES).get_first_tag_occurrence("Choices", "Text") == expected
    with pytest.raises(ValueError, match="Labels"):
        model.get_first_tag_occurrence("Labels", "Text", name_filter=lambda name: True)

    class Replaced(Model):
        def get_first_tag_occurence(self, *args: Any, **kwargs: Any) -> Any:
            return "mine"

    assert Replaced(label_config=CHOICES).get_first_tag_occurrence("Choices", "Text") == "mine"
