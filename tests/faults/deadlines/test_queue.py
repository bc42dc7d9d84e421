"""More requests than workers: the queue is bounded and fair, and refuses a request at once when it is full."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import requests
import wire
from backend import Backend
from hosting import CHOICES, wait_for


@pytest.fixture(scope="module")
def options() -> tuple[str, ...]:
    return (
        *("--threads", "1", "--max-queue", "6", "--max-queue-per-project", "4"),
        *("--queue-timeout", "10"),
    )


class Crowd:
    """Clients that ask at the same time."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.pool = ThreadPoolExecutor(32)
        self.hold = backend.temporary / "hold"

    def post(self, name: str, project: str, code: str, params: object) -> requests.Response:
        body = {
            "tasks": [{"data": {"text": name, "do": code}}],
            "project": project,
            "label_config": CHOICES,
            "params": params,
        }
        return requests.post(self.backend.server.url + "/predict", json=body, timeout=120)

    def ask(
        self, name: str, project: str = "1.1", code: str = "", **params: object
    ) -> Future[requests.Response]:
        """Ask for a prediction, and wait until it stands in line or is refused."""

        def run() -> requests.Response:
            return self.post(name, project, code, params)

        before = self.gauge("waiting")
        future = self.pool.submit(run)
        wait_for(lambda: self.gauge("waiting") > before or future.done(), "it is in line")
        return future

    def gauge(self, name: str) -> int:
        for line in self.backend.server.get("/metrics").text.splitlines():
            if line.startswith(f"label_studio_ml_predictions_{name} "):
                return int(float(line.split()[1]))
        raise AssertionError(f"the number of predictions that are {name} is not told")

    def begin(self) -> Future[requests.Response]:
        """Keep the only thread busy until `end`."""
        self.hold.touch()
        code = f"while os.path.exists({str(self.hold)!r}): time.sleep(0.01)"
        first = self.pool.submit(self.post, "first", "1.1", code, {})
        wait_for(lambda: self.gauge("running") == 1, "the first one runs")
        return first

    def end(self) -> None:
        self.hold.unlink(missing_ok=True)


@pytest.fixture
def crowd(backend: Backend) -> Iterator[Crowd]:
    crowd = Crowd(backend)
    yield crowd
    crowd.end()
    crowd.pool.shutdown()


def test_who_finds_the_line_full_is_told_at_once_and_when_to_come_back(crowd: Crowd) -> None:
    first = crowd.begin()
    waiting = [crowd.ask(f"good {n}", project=f"{n}.1") for n in range(6)]
    refused = crowd.ask("one too many", project="9.1").result()
    assert not any(answer.done() for answer in [first, *waiting])
    crowd.end()
    assert refused.status_code == 503
    assert refused.headers["retry-after"].isdigit()
    assert refused.json()["detail"] == "6 predictions wait for a worker already (--max-queue)"
    assert all(answer.result().status_code == 200 for answer in [first, *waiting])


def test_one_project_cannot_take_the_whole_line(crowd: Crowd) -> None:
    first = crowd.begin()
    waiting = [crowd.ask(f"good {n}") for n in range(4)]
    refused = crowd.ask("greedy").result()
    assert refused.status_code == 503
    assert "of this project" in refused.json()["detail"]
    other = crowd.ask("good other", project="2.2")
    crowd.end()
    assert all(answer.result().status_code == 200 for answer in [first, *waiting, other])


def test_who_waits_too_long_is_told(crowd: Crowd) -> None:
    first = crowd.begin()
    late = crowd.ask("late").result()
    crowd.end()
    assert late.status_code == 503
    assert late.json()["detail"] == "no worker was free within 10 s (--queue-timeout)"
    assert first.result().status_code == 200


def test_a_person_goes_before_a_batch_and_projects_take_turns(crowd: Crowd) -> None:
    order = crowd.backend.root / "order"
    note = f"open({str(order)!r}, 'a').write(tasks[0]['data']['text'] + ' ')"
    asked = [crowd.begin()]
    asked += [crowd.ask(f"a{n}", project="1.1", code=note) for n in range(3)]
    asked += [crowd.ask("b0", project="2.2", code=note)]
    asked += [crowd.ask("person", project="1.1", code=note, context={"result": []})]
    crowd.end()
    assert all(answer.result().status_code == 200 for answer in asked)
    assert order.read_text().split() == ["person", "a0", "b0", "a1", "a2"]


def test_a_client_that_hangs_up_frees_its_place(crowd: Crowd) -> None:
    first = crowd.begin()
    for _ in range(8):
        with wire.connection(crowd.backend.server) as client:
            client.sendall(wire.request(wire.predict_body("gone", do="time.sleep(1)")))
            wait_for(lambda: crowd.gauge("waiting") == 1, "it is in line")
        wait_for(lambda: crowd.gauge("waiting") == 0, "its place is free")
    crowd.end()
    assert first.result().status_code == 200


def test_health_and_setup_do_not_stand_in_line(crowd: Crowd) -> None:
    server = crowd.backend.server
    first = crowd.begin()
    waiting = [crowd.ask(f"good {n}", project=f"{n}.1") for n in range(6)]
    assert server.get("/health").status_code == 200
    setup = {"project": "1.1", "schema": CHOICES, "hostname": "", "access_token": ""}
    assert server.post("/setup", setup).status_code == 200
    assert not any(answer.done() for answer in [first, *waiting])
    crowd.end()
    assert all(answer.result().status_code == 200 for answer in [first, *waiting])
