"""What commands show to somebody who looks at them."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from pathlib import Path

import requests
from hosting import CONSOLE_SCRIPT, PROJECT, Server, environment, free_port, make_project, wait_for

SOURCE = """
    import os, time
    import label_studio_ml
    from label_studio_ml.model import LabelStudioMLBase

    class Slow(LabelStudioMLBase):
        def predict(self, tasks, **kwargs):
            return []

        def fit(self, tasks, workdir=None, **kwargs):
            for number in range(5):
                label_studio_ml.progress(number / 4, f"epoch {number}", loss=1 / (number + 1))
                print("a line of the model", number)
                end = time.monotonic() + 60
                while time.monotonic() < end:
                    time.sleep(0.05)
                    if os.path.exists(os.environ["MODEL_DIR"] + f"/seen {number}"):
                        break
            return {}
"""


def test_training_shows_a_bar_below_the_log(tmp_path: Path) -> None:
    project = make_project(tmp_path, SOURCE)
    port = free_port()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(
        [
            str(CONSOLE_SCRIPT),
            "start",
            str(project),
            "-p",
            str(port),
            "--host",
            "127.0.0.1",
            *Server.training,
        ],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environment(), "TERM": "xterm"},
    )
    os.close(theirs)
    shown = bytearray()

    def read() -> None:
        while True:
            try:
                shown.extend(os.read(ours, 65536))
            except OSError:
                return
            for number in range(5):
                if f"%, epoch {number}, loss".encode() in shown:
                    (project / f"seen {number}").touch()

    reader = threading.Thread(target=read)
    reader.start()
    text = ""
    try:
        wait_for(lambda: b"ready after" in shown, "the server is ready")
        body = {"annotations": [{}], "project": PROJECT}
        url = f"http://127.0.0.1:{port}/train"
        answer = requests.post(url, json=body, headers={"Prefer": "wait=100"}, timeout=200)
        assert answer.json()["status"] == "finished"
    finally:
        process.terminate()
        process.wait(90)
        reader.join()
        os.close(ours)
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode(errors="replace"))
    bars = re.findall(
        rf"training {re.escape(PROJECT)} (\S+) \d\S* +(\d+ %, epoch \d, loss [\d.]+)", text
    )
    said = [words for _, words in bars]
    assert "25 %, epoch 1, loss 0.5000" in said
    assert "75 %, epoch 3, loss 0.2500" in said
    assert len({bar for bar, _ in bars}) >= 3, "it grows"
    lines = [line for line in text.splitlines() if "a line of the model" in line]
    assert len(lines) == 5, "each line of the log once, and whole"
    assert all("training 2" not in line for line in lines)


STEADY = """
    import time
    from label_studio_ml.model import LabelStudioMLBase

    class Steady(LabelStudioMLBase):
        LABEL_STUDIO_ML_API = 1

        def predict(self, tasks, **kwargs):
            time.sleep(0.3)
            if tasks[0]["data"]["text"] == "40":
                raise ValueError("forty")
            return [{"result": []} for _ in tasks]
"""


def test_predict_shows_how_far_it_is(tmp_path: Path) -> None:
    project = make_project(tmp_path, STEADY)
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text("".join(f'{{"text": "{number}"}}\n' for number in range(60)))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    command = ["predict", str(project), "--input", str(tasks), "--batch-size", "5"]
    process = subprocess.Popen(
        [str(CONSOLE_SCRIPT), *command],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**environment(), "TERM": "xterm"},
    )
    os.close(theirs)
    shown = bytearray()
    try:
        while part := os.read(ours, 65536):
            shown.extend(part)
    except OSError:
        pass
    assert process.wait(60) == 1
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    seen = {int(number) for number in re.findall(r"(\d+) of 60 tasks", text)}
    assert len(seen) > 2, text
    assert "task 41: ValueError: forty" in text
    assert "59 tasks predicted, 1 failed" in text
