"""Submodules that a script uses as attributes of a package, without importing them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from hosting import ROOT, Server, make_project, run

from label_studio_ml._inspect.submodules import import_used

MODEL = """
    from label_studio_ml.model import LabelStudioMLBase
    {imports}

    FOUND = [{uses}]

    class Model(LabelStudioMLBase):
        def setup(self):
            pass

        def predict(self, tasks, context=None, **kwargs):
            {later}
            return [{{"result": []}} for _ in tasks]
"""
#: Imports of a package, and what is used of it.
USES = {
    "plain": ("import PIL", "PIL.Image.open"),
    "two levels": ("import xml", "xml.etree.ElementTree.fromstring"),
    "another submodule first": ("import xml.dom", "xml.etree.ElementTree.parse"),
    "an alias": ("import multiprocessing as mp", "mp.pool.ThreadPool"),
    "from": ("from label_studio_tools.core import utils", "utils.io.get_local_path"),
    "from with alias": ("from xml import etree as e", "e.ElementTree"),
    "several on a line": ("import os, html, email", "html.parser.HTMLParser, email.mime.text"),
    "of logging": ("import logging", "logging.handlers.QueueHandler"),
    "inside try": ("try:\n        import concurrent\n    except ImportError:\n        pass",
                   "concurrent.futures.thread"),
    "of the SDK": ("import label_studio_sdk", "label_studio_sdk.label_interface.LabelInterface"),
    "of the parser": ("import lxml", "lxml.etree.fromstring"),
}  # fmt: skip


def model(imports: str, uses: str, later: str = "pass") -> str:
    return dedent(MODEL).format(imports=dedent("    " + imports), uses=uses, later=later)


def started(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("use", USES)
def test_a_script_finds_them_in_process(tmp_path: Path, use: str) -> None:
    (tmp_path / "model.py").write_text(model(*USES[use]))
    done = started("import model; print(len(model.FOUND))", tmp_path)
    assert done.returncode == 0, done.stderr


def test_all_that_the_original_loaded_are_found(tmp_path: Path) -> None:
    """Those that importing its modules loaded, in 1.0.9 and at commit d02cedf, and their packages do not.

    Other releases of the packages may lack some.
    """
    names = (ROOT / "tests" / "fixtures" / "original_submodules.txt").read_text().split()
    (tmp_path / "script.py").write_text(
        "".join(f"import {name.split('.')[0]}\n{name}\n" for name in names)
    )
    code = (
        "import sys\n"
        "from label_studio_ml._inspect.submodules import import_used\n"
        "import_used('script.py')\n"
        "loaded = set(sys.modules)\n"
        f"names = {names!r}\n"
        "missing = [name for name in names if name not in loaded]\n"
        "def is_there(name):\n"
        "    try:\n"
        "        __import__(name)\n"
        "    except ImportError:\n"
        "        return False\n"
        "    return True\n"
        "print(len(names) - len(missing), [name for name in missing if is_there(name)])\n"
    )
    done = started(code, tmp_path)
    found, missing = done.stdout.split(" ", 1)
    assert missing == "[]\n", done.stderr
    assert int(found) > 80


def test_without_our_package_they_are_not_there(tmp_path: Path) -> None:
    """What the other tests use would otherwise be loaded anyway."""
    for imports, uses in USES.values():
        if "label_studio_sdk" not in imports and "several" not in imports:
            code = dedent("    " + imports) + f"\nprint({uses})"
            done = started(code, tmp_path)
            assert "AttributeError" in done.stderr or "NameError" in done.stderr, imports


def test_a_wsgi_file_finds_them_for_the_modules_it_imports(tmp_path: Path) -> None:
    (tmp_path / "_wsgi.py").write_text(
        "from label_studio_ml.api import init_app\n"
        "from model import Model\n"
        "app = init_app(model_class=Model)\n"
    )
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "__init__.py").write_text("from . import (\n    inner,\n)\n")
    (tmp_path / "nets" / "inner.py").write_text("import xml\nT = xml.sax.handler\n")
    (tmp_path / "model.py").write_text(model("import PIL, nets", "PIL.Image.open, nets.inner.T"))
    done = started("import _wsgi; print(_wsgi.app.name)", tmp_path)
    assert done.stdout == "label_studio_ml.api\n", done.stderr


def test_nothing_is_imported_for_other_scripts(tmp_path: Path) -> None:
    plain = model("import PIL, xml, multiprocessing", "PIL.__version__, xml.__name__")
    (tmp_path / "model.py").write_text(plain)
    done = started(
        "import sys, model; print([m for m in ('PIL.Image', 'xml.etree', 'multiprocessing.pool',"
        " 'label_studio_sdk', 'label_studio_tools', 'ast') if m in sys.modules])",
        tmp_path,
    )
    assert done.stdout == "[]\n", done.stderr


def test_a_package_of_the_user_is_left_alone(tmp_path: Path) -> None:
    """It has the name of one of ours, and importing its submodule would have an effect."""
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "__init__.py").write_text("parser = 'mine'\n")
    (tmp_path / "html" / "parser.py").write_text("raise SystemExit('imported')\n")
    script = tmp_path / "model.py"
    script.write_text("import html\nhtml.parser.HTMLParser\n")
    import_used(script)


@pytest.mark.parametrize("source", ["import (", "\0import PIL", "import PIL\nPIL.Nothing.x", ""])
def test_scripts_that_cannot_be_read_are_no_failure(tmp_path: Path, source: str) -> None:
    script = tmp_path / "model.py"
    script.write_text(source)
    import_used(script)
    import_used(tmp_path / "missing.py")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    uses = [USES[name][1] for name in USES if name != "inside try"]
    imports = "\n    ".join(USES[name][0] for name in USES if name != "inside try")
    source = model(imports, ", ".join(uses), later="import http; http.cookiejar.CookieJar")
    return make_project(tmp_path_factory.mktemp("submodules"), source)


def test_a_worker_finds_them(project: Path) -> None:
    server = Server(project)
    try:
        answer = server.predict()
        assert answer.status_code == 200, answer.text
    finally:
        server.stop()


def test_predict_finds_them(project: Path, tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.json"
    tasks.write_text('[{"data": {}}]')
    done = run("predict", project, "--input", tasks)
    assert done.returncode == 0, done.stderr


def test_a_file_in_a_package_finds_them_for_its_package(tmp_path: Path) -> None:
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "model.py").write_text(model("import PIL", "PIL.Image.open"))
    (package / "_wsgi.py").write_text(
        "from label_studio_ml.api import init_app\n"
        "from pkg.model import Model\n"
        "app = init_app(model_class=Model)\n"
    )
    done = started("import pkg._wsgi", tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_classes_of_a_script_are_found(tmp_path: Path) -> None:
    (tmp_path / "some_model.py").write_text(model(*USES["plain"]))
    code = (
        "from label_studio_ml.model import get_all_classes_inherited_LabelStudioMLBase as classes\n"
        "print(classes('some_model.py'))\n"
    )
    done = started(code, tmp_path)
    assert done.stdout == "['Model']\n", done.stderr


@pytest.mark.parametrize("loader", ["debug", "script"])
def test_debugging_finds_them(tmp_path: Path, loader: str) -> None:
    (tmp_path / "model.py").write_text(model(*USES["plain"]))
    (tmp_path / "_wsgi.py").write_text(
        "from label_studio_ml.api import init_app\n"
        "from model import Model\n"
        "app = init_app(model_class=Model)\n"
    )
    given = (
        "Path('.').absolute(), {}" if loader == "debug" else "Path('model.py').absolute(), None, {}"
    )
    code = (
        "from pathlib import Path\n"
        "import label_studio_ml.model\n"
        f"from label_studio_ml._inprocess import {loader}\n"
        f"print({loader}.load({given}).name)\n"
    )
    done = started(code, tmp_path)
    assert done.stdout == "label_studio_ml.api\n", done.stderr
