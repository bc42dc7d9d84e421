"""The scenarios of the benchmark, and the servers that take part in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import measures
from hosts import HOSTS, OURS, UPSTREAM_V1, UPSTREAM_V1_START, UPSTREAM_V2, Setup
from measures import Measured, Task

#: All but the development server of the original, of which only the start is measured.
EVERYBODY = tuple(name for name in HOSTS if name != UPSTREAM_V1_START)
BACKENDS = (OURS, UPSTREAM_V2, UPSTREAM_V1)


@dataclass(frozen=True)
class Contender:
    """A server and its setup for a scenario, with its name in the tables."""

    label: str
    host: str
    setup: Setup


@dataclass(frozen=True)
class Scenario:
    """A measurement that is made with every contender in turn."""

    name: str
    title: str
    measure: Callable[[Task], Measured]
    contenders: tuple[Contender, ...]
    #: The contender that the others are compared with: the first of these that takes part.
    baseline: tuple[str, ...] = (UPSTREAM_V2, UPSTREAM_V1)
    tasks: int = 1
    clients: int = 1
    #: Figures of which more is better; of all others less is better.
    more_is_better: tuple[str, ...] = ("requests/s",)
    #: The figure of the chart.
    chart: str = "requests/s"

    def baseline_of(self, labels: Sequence[str]) -> str | None:
        return next((label for label in self.baseline if label in labels), None)


def contenders(hosts: Sequence[str], setup: Setup, **ours: Setup) -> tuple[Contender, ...]:
    """Return a contender for each host, and one of ours for each further setup."""
    listed = [Contender(host, host, setup) for host in hosts]
    at = hosts.index(OURS) + 1 if OURS in hosts else 0
    listed[at:at] = [Contender(f"{OURS} {name}", OURS, other) for name, other in ours.items()]
    return tuple(listed)


def predicting(
    name: str,
    title: str,
    setup: Setup,
    hosts: Sequence[str] = EVERYBODY,
    clients: int = 1,
    tasks: int = 1,
    **ours: Setup,
) -> Scenario:
    return Scenario(
        name=f"{name}-{clients}",
        title=f"{title}, {clients} client{'s' if clients > 1 else ''}",
        measure=measures.throughput,
        contenders=contenders(hosts, setup, **ours),
        tasks=tasks,
        clients=clients,
    )


def _all() -> list[Scenario]:
    trivial, words = Setup("trivial"), Setup("words")
    waiting, computing = Setup("waiting"), Setup("computing")
    batching = replace(words, options=("--max-batch-size", "64"))
    found = [
        predicting("trivial", "Trivial model, 1 KB", trivial, clients=clients)
        for clients in (1, 8, 64)
    ]
    found += [
        predicting("tasks", "1000 tasks in a body", trivial, clients=clients, tasks=1000)
        for clients in (1, 8)
    ]
    found.append(
        predicting(
            "response",
            "1000 tasks, answered with ModelResponse",
            replace(trivial, env={"BENCH_RESPONSE": "1"}),
            hosts=(OURS, UPSTREAM_V2),
            tasks=1000,
            clients=1,
        )
    )
    found += [
        predicting(
            "words",
            "scikit-learn TF-IDF",
            words,
            clients=clients,
            **{"--max-batch-size 64": batching},
        )
        for clients in (1, 64)
    ]
    found.append(
        predicting(
            "waiting",
            "Model that waits 20 ms",
            waiting,
            clients=64,
            **{"--threads 64": replace(waiting, options=("--threads", "64"))},
        )
    )
    found.append(
        predicting(
            "computing",
            "Model that computes 5 ms",
            computing,
            clients=8,
            **{"--workers 2": replace(computing, options=("--workers", "2"))},
        )
    )
    found += [
        Scenario(
            name="health",
            title="/health with 64 predictions of 5 ms in flight",
            measure=measures.health_under_load,
            contenders=contenders(BACKENDS, computing),
            clients=64,
            chart="p99 µs",
        ),
        Scenario(
            name="training",
            title="Predictions during a training that computes",
            measure=measures.during_training,
            contenders=contenders((OURS, UPSTREAM_V2), trivial),
            clients=8,
            more_is_better=("idle requests/s", "training requests/s", "share kept"),
            chart="share kept",
        ),
        Scenario(
            name="start",
            title="Cold start of a class of API v1",
            measure=measures.cold_start,
            contenders=contenders((OURS, UPSTREAM_V1, UPSTREAM_V1_START), replace(trivial, api=1)),
            baseline=(UPSTREAM_V1_START,),
            chart="first prediction ms",
        ),
        Scenario(
            name="loading",
            title="Model that takes 5 s to load",
            measure=measures.slow_load,
            contenders=contenders(BACKENDS, Setup("loading")),
            chart="second ms",
        ),
        Scenario(
            name="memory",
            title="Memory, and a body of 200 MB",
            measure=measures.memory,
            contenders=contenders(BACKENDS, trivial),
            chart="200 MB body MiB",
        ),
        Scenario(
            name="overhead",
            title="What the server adds to parse, predict, dump",
            measure=measures.overhead,
            contenders=contenders((OURS, "Granian", "Robyn", UPSTREAM_V2, UPSTREAM_V1), trivial),
            chart="added µs",
        ),
    ]
    return found


SCENARIOS = {scenario.name: scenario for scenario in _all()}
#: What CI runs, to check that the benchmark works.
QUICK = ("trivial-8", "start", "loading")
