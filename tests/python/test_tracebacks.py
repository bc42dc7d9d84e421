"""Tracebacks of user code: its own frames stay, those of this package go."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hosting import Server

import label_studio_ml
from label_studio_ml import _log_records, _traceback

PACKAGE = Path(label_studio_ml.__file__).parent

#: Calls its argument from a file of this package.
OURS: dict[str, Any] = {}
exec(
    compile(
        "def ours(call):\n    return call()\n"
        "def fails():\n    raise FileNotFoundError('of ours')\n"
        "def hides():\n"
        "    try:\n        fails()\n"
        "    except OSError as error:\n        raise LookupError('from ours') from error\n",
        str(PACKAGE / "_media" / "made_up.py"),
        "exec",
    ),
    OURS,
)


def shown(call: Callable[[], Any], everything: bool = False) -> str:
    with pytest.raises(BaseException) as raised:
        call()
    return _traceback.text(raised.value, everything)


def of_user() -> None:
    raise ValueError("of the user")


def test_our_frames_go_also_between_two_of_the_user() -> None:
    def call() -> None:
        OURS["ours"](lambda: OURS["ours"](of_user))

    text = shown(call)
    assert "made_up.py" not in text
    assert text.startswith("Traceback (most recent call last):\n")
    frames = [line.rpartition(" in ")[2] for line in text.splitlines() if line.startswith("  File")]
    assert frames[-3:] == ["call", "<lambda>", "of_user"]
    assert text.endswith("\nValueError: of the user")
    assert shown(call, everything=True).count("made_up.py") == 2


def test_causes_keep_their_message() -> None:
    text = shown(lambda: OURS["hides"]())
    assert "made_up.py" not in text
    assert text.startswith("FileNotFoundError: of ours\n\nThe above exception was the direct cause")
    assert text.endswith("LookupError: from ours")

    def chained() -> None:
        try:
            of_user()
        except ValueError:
            OURS["fails"]()

    text = shown(chained)
    assert "in of_user" in text and "During handling of the above exception" in text
    assert "made_up.py" not in text and text.endswith("FileNotFoundError: of ours")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there are no exception groups")
def test_members_of_a_group_are_shortened() -> None:
    def call() -> None:
        members = []
        for function in (of_user, OURS["hides"]):
            try:
                OURS["ours"](function)
            except Exception as error:
                members.append(error)
        raise ExceptionGroup("two", members)  # noqa: F821

    text = shown(call)
    assert "made_up.py" not in text
    assert "in of_user" in text and "LookupError: from ours" in text


def test_a_fault_of_ours_keeps_its_frames() -> None:
    try:
        OURS["fails"]()
    except OSError as error:
        error.__traceback__ = error.__traceback__.tb_next  # type: ignore[union-attr]
        assert "made_up.py" in _traceback.text(error, everything=False)


def test_a_syntax_error_names_its_own_place() -> None:
    def call() -> None:
        OURS["ours"](lambda: compile("x = (", "model.py", "exec"))

    text = shown(call)
    assert 'File "model.py", line 1' in text and "made_up.py" not in text


def test_the_level_debug_shows_everything() -> None:
    before = logging.root.level
    logging.root.setLevel(logging.DEBUG)
    try:
        with pytest.raises(LookupError) as raised:
            OURS["hides"]()
        assert "made_up.py" in _traceback.text(raised.value)
    finally:
        logging.root.setLevel(before)


def test_threads_are_shown_without_our_frames(capsys: pytest.CaptureFixture[str]) -> None:
    before = threading.excepthook
    _log_records.show_exceptions_of_threads()
    try:
        thread = threading.Thread(target=lambda: OURS["ours"](of_user), name="loader")
        thread.start()
        thread.join()
    finally:
        threading.excepthook = before
    text = capsys.readouterr().err
    assert text.startswith("Exception in thread loader:\nTraceback")
    assert "in of_user" in text and "made_up.py" not in text


def record(name: str, level: int, path: Path | str) -> logging.LogRecord:
    return logging.LogRecord(name, level, str(path), 1, "text", (), None)


def test_debug_records_of_libraries_are_left_out_unless_asked_for() -> None:
    passes = _log_records.LibraryFilter().filter
    library = "/venv/lib/python3.11/site-packages/talkative/pool.py"
    assert not passes(record("talkative.pool", logging.DEBUG, library))
    assert not passes(record("asyncio", logging.DEBUG, logging.__file__))
    assert passes(record("talkative.pool", logging.INFO, library))
    assert passes(record("model", logging.DEBUG, "/home/me/my_backend/model.py"))
    assert passes(record("label_studio_ml", logging.DEBUG, PACKAGE / "model.py"))
    logging.getLogger("talkative").setLevel(logging.DEBUG)
    assert passes(record("talkative.pool", logging.DEBUG, library))


MODEL = """
    import logging, sys, threading
    from label_studio_ml.model import LabelStudioMLBase

    class Model(LabelStudioMLBase):
        LABEL_STUDIO_ML_API = 1

        def predict(self, tasks, **kwargs):
            logging.getLogger("urllib3.connectionpool").debug("from the model itself")
            import urllib3
            try:
                urllib3.PoolManager().request("GET", "http://127.0.0.1:1/", retries=1)
            except urllib3.exceptions.HTTPError:
                pass
            try:
                self.get_local_path("/data/upload/1/a.png")
            except OSError:
                logging.getLogger("mine").exception("no file")
            raise ValueError("done")
"""


def test_a_server_logs_no_frames_and_no_chatter_of_others(serve: Callable[..., Server]) -> None:
    server = serve(MODEL)
    assert server.predict([{"id": 7, "data": {}}]).status_code == 500
    server.wait_logged("→ 500 ValueError: done (predicting task 7 of project 2)")
    log = server.log()
    assert "mine: no file" in log and "in predict" in log
    assert "label_studio_ml/_media" not in log


def test_at_debug_ours_and_those_of_the_model_are_logged(serve: Callable[..., Server]) -> None:
    server = serve(MODEL, "--log-level", "debug")
    assert server.predict([{"id": 7, "data": {}}]).status_code == 500
    server.wait_logged("→ 500 ValueError: done")
    log = server.log()
    assert "label_studio_ml/_media" in log
    assert "from the model itself" in log
    assert "Starting new HTTP connection" not in log
    assert "Converted retries value" not in log
