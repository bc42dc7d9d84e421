"""A version that cannot be loaded, and a server that ends before it notices that."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from backend import answer
from host import Host
from hosting import wait_for
from learner import acting

MakeHost = Callable[..., Host]

#: `fit` succeeds, but what it made is refused by the constructor.
HALF = acting(
    """
if told.get("half"):
    pathlib.Path(workdir, "weights").write_text("")
"""
).replace(
    "        assert weights",
    "        time.sleep(SLOW if not weights else 0)\n                assert weights",
)


def half_version(host: Host) -> str:
    return str(host.ledger.train(host.server, half=True))


def check_the_one_before_is_served(host: Host, good: str | None) -> None:
    """Predictions go on with the good version, and so does training."""
    served = host.server.predict()
    assert served.status_code == 200, served.text
    assert served.json()["model_version"] == good
    assert host.server.setup().json() == {"model_version": good}
    newer = host.ended(host.ledger.train(host.server))
    assert (newer["job_status"], newer["error"]) == ("finished", None)
    assert (
        answer(host.server, f"/versions?project={newer['project']}")["versions"][0] == newer["job"]
    )
    assert host.server.predict().json()["model_version"] == newer["job"]


def test_a_version_that_cannot_be_loaded_is_not_served_after_a_restart(
    make_host: MakeHost,
) -> None:
    host = make_host(HALF.replace("SLOW", "0"))
    host.start()
    good = host.ledger.train(host.server)
    host.ended(good)
    bad = host.ended(half_version(host))
    assert bad["job_status"] == "finished"
    assert "half a version" in bad["error"]
    host.kill()
    host.start()
    check_the_one_before_is_served(host, good)


@pytest.mark.parametrize("point", ["write-renamed", "publish-renamed", "job-switched"])
def test_killed_before_it_was_tried_it_is_not_served_either(
    make_host: MakeHost, point: str
) -> None:
    host = make_host(HALF.replace("SLOW", "0"))
    host.start(failpoints=f"{point}=1*off->return")
    good = host.ledger.train(host.server)
    host.ended(good)
    half_version(host)
    host.died()
    host.start()
    check_the_one_before_is_served(host, good)


def test_stopped_before_it_was_tried_it_is_not_served_either(make_host: MakeHost) -> None:
    host = make_host(HALF.replace("SLOW", "1"))
    host.start()
    good = host.ledger.train(host.server)
    host.ended(good)
    bad = half_version(host)
    published = host.models / host.job(bad)["project"] / bad / "job_result.json"
    wait_for(published.exists, "it is published")
    assert host.server.stop() == 0
    host.start()
    check_the_one_before_is_served(host, good)
