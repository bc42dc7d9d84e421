"""Sends an example's tasks to a running ML backend and prints the predictions as a table, before
and after training on the example's annotations. Needs only Python."""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

#: Maximum number of tasks in a table.
SHOWN = 12


def call(url: str, body: Any = None) -> Any:
    """Return the parsed answer to a GET, or to a POST of `body`."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=100) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        sys.exit(f"{url}: {error.code} {error.reason}\n{error.read().decode(errors='replace')}")


def wait_for_server(backend: str) -> None:
    for _ in range(600):
        try:
            call(f"{backend}/health")
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    sys.exit(f"no ML backend answers at {backend}")


def label(prediction: dict[str, Any]) -> str:
    regions = prediction["result"]
    return ", ".join(c for region in regions for c in region["value"].get("choices", [])) or "–"


def show(tasks: list[dict[str, Any]], answer: dict[str, Any]) -> None:
    width = 60
    print(f"\nmodel version {answer['model_version']}")
    print(f"  {'task':>4}  {'text':<{width}}  {'prediction':<12} {'score':>5}")
    right = known = 0
    for number, (task, prediction) in enumerate(zip(tasks, answer["results"], strict=True)):
        expected = task.get("meta", {}).get("expected")
        known += expected is not None
        right += expected == label(prediction)
        if number < SHOWN:
            text = next(iter(task["data"].values())).replace("\n", " ")
            text = text if len(text) <= width else text[: width - 1] + "…"
            score = prediction.get("score", 0.0)
            print(f"  {task['id']:>4}  {text:<{width}}  {label(prediction):<12} {score:5.2f}")
    if len(tasks) > SHOWN:
        print(f"  … and {len(tasks) - SHOWN} more")
    if known:
        print(f"  {right} of {known} tasks are labelled as expected")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", default="http://127.0.0.1:9090")
    parser.add_argument("--example", type=Path, required=True)
    arguments = parser.parse_args()
    backend, example = arguments.backend.rstrip("/"), arguments.example
    config = (example / "label_config.xml").read_text(encoding="utf-8")
    tasks = json.loads((example / "tasks.json").read_text(encoding="utf-8"))
    annotations = json.loads((example / "annotations.json").read_text(encoding="utf-8"))
    # A new project for each run, so that the run begins with an untrained model.
    project = f"1.{int(time.time())}"

    wait_for_server(backend)
    call(f"{backend}/setup", {"project": project, "schema": config})
    request = {"tasks": tasks, "project": project, "label_config": config, "params": {}}
    show(tasks, call(f"{backend}/predict", request))

    job = call(f"{backend}/train", {"annotations": annotations, "project": project})["job"]
    print(f"\ntraining on {len(annotations)} annotated tasks (job {job}) …")
    while True:
        state = call(f"{backend}/is_training?project={project}")
        if not state["is_training"]:
            break
        time.sleep(0.1)
    if state["model_version"] != job:
        sys.exit("training failed; see the log of the server")
    show(tasks, call(f"{backend}/predict", request))


if __name__ == "__main__":
    main()
