"""Mixed load for a long time, from clients of every kind that each know the right answers."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import requests
from doer import right_answer
from hosting import CHOICES

PROJECTS = ["1.1795430965", "2.1795430966", "3.1795430967"]


class Load:
    """Clients that run until they are told to stop, and count what they saw."""

    def __init__(self, url: str, seed: int) -> None:
        self.url = url
        self.counts: Counter[str] = Counter()
        #: What must not be: an answer that is wrong, or none.
        self.wrong: list[str] = []
        #: Jobs that were accepted.
        self.jobs: set[str] = set()
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        clients: list[tuple[Callable[[Client], None], int, float]] = [
            (Client.predict, 4, 0.0),
            (Client.predict_many, 1, 0.2),
            (Client.hang_up, 1, 0.3),
            (Client.setup, 1, 0.5),
            (Client.health, 1, 0.1),
            (Client.webhook, 1, 2.0),
            (Client.train, 1, 5.0),
            (Client.bad_input, 1, 0.2),
            (Client.raise_in_model, 1, 0.5),
        ]
        self._threads = [
            threading.Thread(target=self._run, args=(what, pause, self._random.random()))
            for what, number, pause in clients
            for _ in range(number)
        ]

    def _run(self, what: Callable[[Client], None], pause: float, seed: float) -> None:
        client = Client(self, seed)
        while not self._stop.is_set():
            try:
                what(client)
            except requests.RequestException as error:
                self.note_wrong(f"{what.__name__}: {error!r}")
                client.session = requests.Session()
            self._stop.wait(pause * client.random.uniform(0.5, 1.5))
        client.session.close()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def note_wrong(self, what: str) -> None:
        with self._lock:
            self.wrong.append(what[:500])


class Client:
    """One client; what it asks depends on its own random numbers only."""

    def __init__(self, load: Load, seed: float) -> None:
        self.load = load
        self.random = random.Random(seed)
        self.session = requests.Session()
        self._number = 0

    def post(self, path: str, body: Any, timeout: float = 60) -> requests.Response:
        return self.session.post(self.load.url + path, json=body, timeout=timeout)

    def text(self) -> str:
        self._number += 1
        return f"{self.random.choice(['good', 'bad'])} {id(self)}-{self._number}"

    def predict(self, tasks: int = 1) -> None:
        texts = [self.text() for _ in range(tasks)]
        answer = self.post(
            "/predict",
            {
                "tasks": [{"data": {"text": text}} for text in texts],
                "project": self.random.choice(PROJECTS),
                "label_config": CHOICES,
            },
        )
        self.load.count(f"predict {answer.status_code}")
        if answer.status_code == 502 and "worker" in answer.text:
            # Its worker was killed while it ran.
            return
        version = answer.json().get("model_version")
        known = version == "INITIAL" or str(version).isdigit()
        if answer.status_code != 200 or not known or answer.json() != right_answer(texts, version):
            self.load.note_wrong(f"predict: {answer.status_code} {answer.text}")

    def predict_many(self) -> None:
        self.predict(self.random.choice([10, 100, 1000]))

    def hang_up(self) -> None:
        body = {
            "tasks": [{"data": {"text": "gone", "do": "time.sleep(0.2)"}}],
            "project": PROJECTS[0],
            "label_config": CHOICES,
        }
        with suppress(requests.Timeout):
            self.post("/predict", body, timeout=self.random.uniform(0.01, 0.15))
        self.session.close()
        self.load.count("hung up")

    def setup(self) -> None:
        body = {
            "project": self.random.choice(PROJECTS),
            "schema": CHOICES,
            "hostname": "http://127.0.0.1:1",
            "access_token": "a-token",
            "extra_params": None,
        }
        answer = self.post("/setup", body)
        self.load.count(f"setup {answer.status_code}")
        if answer.status_code != 200 or not answer.json().get("model_version"):
            self.load.note_wrong(f"setup: {answer.status_code} {answer.text}")

    def health(self) -> None:
        answer = self.session.get(self.load.url + "/health", timeout=5)
        self.load.count(f"health {answer.status_code}")
        if answer.status_code != 200 or answer.json()["status"] != "UP":
            self.load.note_wrong(f"health: {answer.status_code} {answer.text}")

    def webhook(self) -> None:
        project = int(self.random.choice(PROJECTS).split(".")[0])
        self._number += 1
        body = {
            "action": "ANNOTATION_CREATED",
            "project": {"id": project},
            "task": {"id": self._number, "data": {"text": "good", "do": "time.sleep(0.2)"}},
            "annotation": {"id": self._number},
        }
        self.note_job(self.post("/webhook", body), "webhook")

    def train(self) -> None:
        body = {
            "annotations": [{"data": {"text": "good", "do": "time.sleep(0.5)"}}],
            "project": self.random.choice(PROJECTS),
            "label_config": CHOICES,
        }
        self.note_job(self.post("/train", body), "train")

    def note_job(self, answer: requests.Response, what: str) -> None:
        self.load.count(f"{what} {answer.status_code}")
        if answer.status_code != 201:
            self.load.note_wrong(f"{what}: {answer.status_code} {answer.text}")
            return
        with self.load._lock:
            self.load.jobs.add(answer.json()["job"])

    def bad_input(self) -> None:
        path, body, status = self.random.choice(
            [
                ("/predict", b"{", 400),
                ("/predict", b"[]", 422),
                ("/predict", b'{"tasks": 1}', 422),
                ("/predict", b"\xff\xfe", 400),
                ("/setup", b'{"project": []}', 422),
                ("/webhook", b"null", 422),
                ("/nowhere", b"{}", 404),
                ("/health", b"{}", 405),
            ]
        )
        headers = {"Content-Type": "application/json"}
        answer = self.session.post(self.load.url + path, data=body, headers=headers, timeout=60)
        self.load.count(f"bad input {answer.status_code}")
        if answer.status_code != status or answer.json()["status"] != status:
            self.load.note_wrong(f"{path} {body!r}: {answer.status_code} {answer.text}")

    def raise_in_model(self) -> None:
        body = {
            "tasks": [{"data": {"text": "x", "do": "raise ValueError('as it should')"}}],
            "project": self.random.choice(PROJECTS),
            "label_config": CHOICES,
        }
        answer = self.post("/predict", body)
        self.load.count(f"raising {answer.status_code}")
        is_right = answer.status_code == 500 and "as it should" in answer.text
        if not is_right and answer.status_code != 502:
            self.load.note_wrong(f"raising: {answer.status_code} {answer.text}")
