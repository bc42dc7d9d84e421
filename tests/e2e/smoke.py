"""A real Label Studio uses a running ML backend: connect, predict, annotate, train, predict.

    python3 tests/e2e/smoke.py --backend http://127.0.0.1:9090 [--venv DIR]

Prints each step with what it saw and ends with a non-zero status at the first expectation that
does not hold.  A backend whose `fit` reads annotations back over the API needs Label Studio's
address and token before both exist: choose them with --port and --token.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from label_studio import Api, ApiError, LabelStudio, ServiceError

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "simple_text_classifier"
CONNECTED = "CO"


class Failed(RuntimeError):
    """An expectation does not hold."""


def say(step: str, saw: str) -> None:
    """One line for one step."""
    print(f"ok  {step}: {saw}", flush=True)


def expect(holds: bool, otherwise: str) -> None:
    """Stop here unless the expectation holds."""
    if not holds:
        raise Failed(otherwise)


def newest_by_task(predictions: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """The prediction that was stored last, for each task."""
    newest: dict[int, dict[str, Any]] = {}
    for row in sorted(predictions, key=lambda row: int(row["id"])):
        newest[int(row["task"])] = row
    return newest


def agreement(newest: dict[int, dict[str, Any]], expected: dict[int, str]) -> tuple[int, int]:
    """How many of the tasks with a known label are predicted right, and how many there are."""
    right = 0
    for task, label in expected.items():
        regions = newest[task]["result"] if task in newest else []
        right += any(label in region["value"].get("choices", []) for region in regions)
    return right, len(expected)


class Smoke:
    """The steps, in order; what one finds out the next ones use."""

    def __init__(self, api: Api, options: argparse.Namespace) -> None:
        self._api = api
        self._options = options
        self._project = 0
        self._backend = 0
        self._first_version = ""
        self._tasks: list[int] = []
        self._expected: dict[int, str] = {}
        self._annotations: dict[int, dict[str, Any]] = {}
        self._predicted_right = 0

    def run(self) -> None:
        """All steps."""
        steps: list[Callable[[], None]] = [
            self.create_project,
            self.import_tasks,
            self.connect,
            self.first_predictions,
            self.annotate,
            self.wait_for_training,
            self.new_predictions,
        ]
        for step in steps:
            step()

    def create_project(self) -> None:
        """A project with the example's labelling config."""
        config = (EXAMPLE / "label_config.xml").read_text(encoding="utf-8")
        self._project = self._api.create_project("smoke", config)
        say("project", f"id {self._project}")

    def import_tasks(self) -> None:
        """The example's tasks, and the texts that will be annotated."""
        tasks = json.loads((EXAMPLE / "tasks.json").read_text(encoding="utf-8"))
        annotated = json.loads((EXAMPLE / "annotations.json").read_text(encoding="utf-8"))
        annotated = [item for item in annotated if item["annotations"]]
        self._tasks = ids = self._api.import_tasks(self._project, [*tasks, *annotated])
        expect(len(ids) == len(tasks) + len(annotated), f"{len(ids)} tasks were imported")
        labels = [task.get("meta", {}).get("expected") for task in tasks]
        plain, with_annotations = ids[: len(tasks)], ids[len(tasks) :]
        self._expected = {task: label for task, label in zip(plain, labels, strict=True) if label}
        self._annotations = {
            task: item["annotations"][0]
            for task, item in zip(with_annotations, annotated, strict=True)
        }
        say("tasks", f"{len(tasks)} to predict, {len(annotated)} to annotate")

    def connect(self) -> None:
        """Label Studio accepts the backend, and will send it events."""
        url = self._options.backend.rstrip("/")
        row = self._api.connect_backend(self._project, url, "smoke backend")
        self._backend = int(row["id"])
        row = self._api.backend(self._backend)
        expect(row["state"] == CONNECTED, f"state {row['readable_state']}: {row['error_message']}")
        self._first_version = row["model_version"] or ""
        expect(bool(self._first_version), "/setup gave no model_version")
        hooks = self._api.webhook_urls(self._project)
        expect(f"{url}/webhook" in hooks, f"no webhook for the backend, only {hooks}")
        say("connect", f"{row['readable_state']}, model_version {self._first_version!r}")

    def first_predictions(self) -> None:
        """Every task gets a prediction that carries the version from /setup."""
        newest = self._retrieve()
        self._expect_version(newest, {self._first_version})
        self._predicted_right, known = agreement(newest, self._expected)
        say(
            "predictions",
            f"{len(newest)}, all of version {self._first_version!r};"
            f" {self._predicted_right} of {known} as expected",
        )

    def annotate(self) -> None:
        """Submit the example's annotations; each fires the webhook."""
        slowest = 0.0
        for task, annotation in self._annotations.items():
            began = time.monotonic()
            self._api.annotate(task, annotation)
            slowest = max(slowest, time.monotonic() - began)
        say("annotations", f"{len(self._annotations)} submitted, the slowest in {slowest:.2f} s")

    def wait_for_training(self) -> None:
        """The version that Label Studio reads from /setup changes, then stays."""
        began = time.monotonic()
        version, since = self._first_version, began
        while True:
            now = time.monotonic()
            if version != self._first_version and now - since >= self._options.quiet:
                break
            expect(
                now - began < self._options.train_timeout,
                f"model_version is {version!r} after {now - began:.0f} s",
            )
            time.sleep(1)
            row = self._api.backend(self._backend)
            expect(
                row["state"] == CONNECTED, f"state {row['readable_state']}: {row['error_message']}"
            )
            expect(bool(row["model_version"]), "/setup gave no model_version any more")
            if row["model_version"] != version:
                version, since = row["model_version"], time.monotonic()
        say("training", f"model_version {version!r}, {since - began:.0f} s after the annotations")

    def new_predictions(self) -> None:
        """Every task gets a prediction of the new version, beside the old one."""
        before = self._api.backend(self._backend)["model_version"]
        newest = self._retrieve()
        after = self._api.backend(self._backend)["model_version"]
        self._expect_version(newest, {before, after})
        stored = Counter(row["model_version"] for row in self._api.predictions(self._project))
        expect(stored[self._first_version] == len(newest), f"old predictions are lost: {stored}")
        right, known = agreement(newest, self._expected)
        say(
            "predictions again",
            f"{dict(stored)}; {right} of {known} as expected (before: {self._predicted_right})",
        )
        needed = self._options.min_agreement * known
        expect(right >= needed, f"only {right} of {known} predictions as expected")

    def _retrieve(self) -> dict[int, dict[str, Any]]:
        processed = self._api.retrieve_predictions(self._project)
        expect(processed == len(self._tasks), f"the action went through {processed} tasks")
        newest = newest_by_task(self._api.predictions(self._project))
        without = self._tasks_without(newest)
        expect(not without, f"no prediction for the tasks {without}")
        return newest

    def _tasks_without(self, newest: dict[int, dict[str, Any]]) -> list[int]:
        return [task for task in self._tasks if task not in newest]

    def _expect_version(self, newest: dict[int, dict[str, Any]], versions: set[str]) -> None:
        seen = {row["model_version"] for row in newest.values()}
        expect(seen <= versions, f"predictions carry {seen}, the backend says {versions}")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backend", required=True, help="address of a running ML backend")
    parser.add_argument("--venv", type=Path, help="where Label Studio is, or will be, installed")
    parser.add_argument("--port", type=int, help="Label Studio's port (default: a free one)")
    parser.add_argument("--token", help="Label Studio's API token (default: a random one)")
    parser.add_argument(
        "--train-timeout", type=float, default=120, help="seconds until the version must change"
    )
    parser.add_argument(
        "--quiet", type=float, default=5, help="seconds without a newer version end the wait"
    )
    parser.add_argument(
        "--min-agreement",
        type=float,
        default=0.0,
        help="share of tasks.json (0..1) to be predicted as its meta.expected after training",
    )
    return parser.parse_args()


def main() -> int:
    """Run it; the exit status."""
    options = parse_arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    studio = LabelStudio(options.venv, port=options.port, token=options.token)
    try:
        began = time.monotonic()
        studio.install()
        say("install", f"{time.monotonic() - began:.0f} s")
        began = time.monotonic()
        studio.start()
        say("start", f"Label Studio {studio.api.version()} in {time.monotonic() - began:.0f} s")
        Smoke(studio.api, options).run()
    except (Failed, ApiError, ServiceError, requests.RequestException) as error:
        print(f"FAILED  {error}", file=sys.stderr)
        print(f"--- the end of Label Studio's log\n{studio.log_tail()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        studio.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
