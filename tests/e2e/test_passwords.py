"""One of our servers asks for a user and a password.

Label Studio brings them wherever it asks for something itself. Its automatic webhook brings none,
so events are refused until the webhook is given the header, or the address has a token in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from conftest import MAJORITY, start_server
from connected import CHOICES, PLAIN, Connected, header, texts
from hosting import Server, wait_for
from rest import Api, ApiError

Connect = Callable[..., Connected]

AUTH = ("jürgen", "a:secret wörd")
TOKEN = "0123456789abcdefABCDEF-_"


def refused_events(server: Server) -> int:
    """How many webhook events the server has refused for want of a password."""
    return server.log().count("POST /webhook → 401 Unauthorized")


@pytest.fixture(scope="module", params=["v1", "v2"])
def locked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("locked")
    server = start_server(root, MAJORITY[request.param], auth=PLAIN)
    yield server
    assert server.stop() == 0
    assert PLAIN[1] not in server.log()


def test_with_the_password(connect: Connect, locked: Server) -> None:
    project = connect(locked, texts("one", "two"))
    assert project.row()["basic_auth_pass_is_set"]
    assert project.predicted() == "Positive"
    assert project.api.versions(project.backend)["versions"] == []
    assert project.api.test_prediction(project.backend)["status"] == 200


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="none"),
        pytest.param(
            {
                "auth_method": "BASIC_AUTH",
                "basic_auth_user": PLAIN[0],
                "basic_auth_pass": "wrong",
            },
            id="wrong password",
        ),
        pytest.param(
            {
                "auth_method": "BASIC_AUTH",
                "basic_auth_user": "wrong",
                "basic_auth_pass": PLAIN[1],
            },
            id="wrong user",
        ),
    ],
)
def test_a_wrong_password(api: Api, locked: Server, fields: dict[str, str]) -> None:
    project = api.create_project("wrong password", CHOICES)
    with pytest.raises(ApiError, match="authentication parameters were either not provided"):
        api.connect_backend(project, locked.url, "wrong", **fields)
    assert not api.backends(project)


def test_the_password_is_changed(connect: Connect, locked: Server) -> None:
    project = connect(locked)
    user = {"auth_method": "BASIC_AUTH", "basic_auth_user": PLAIN[0]}
    with pytest.raises(ApiError, match="authentication parameters"):
        project.change(**user, basic_auth_pass="wrong")
    assert project.version
    project.change(**user, basic_auth_pass=PLAIN[1])
    assert project.version


def test_events_are_refused_and_start_training_passes(connect: Connect, locked: Server) -> None:
    project = connect(locked, texts("one", "two"))
    before, refused = project.version, refused_events(locked)
    project.annotate(project.tasks[0], "Negative")
    wait_for(lambda: refused_events(locked) == refused + 1, "the event was refused")
    assert project.jobs() == []
    assert project.version == before
    project.start_training()
    assert [job["event"] for job in project.jobs()] == ["START_TRAINING"]
    # It has not seen an annotation, since these models learn from events only.
    assert project.predicted() == "Positive"


def test_a_webhook_with_the_header_passes(connect: Connect, locked: Server) -> None:
    project = connect(locked, texts("one", "two"))
    project.api.change_webhook(project.webhook, headers=header(PLAIN))
    before, refused = project.version, refused_events(locked)
    project.annotate(project.tasks[0], "Negative")
    project.trained(before)
    assert project.predicted() == "Negative"
    assert refused_events(locked) == refused


def test_an_address_with_the_password_in_it(connect: Connect, locked: Server) -> None:
    """Then the automatic webhook sends it too, and everybody who sees the address sees it."""
    url = locked.url.replace("//", "//user:pass%2Fword%3F@")
    project = connect(locked, texts("one", "two"), url=url, auth_method="NONE")
    before = project.version
    project.annotate(project.tasks[0], "Negative")
    project.trained(before)
    assert project.predicted() == "Negative"


def test_letters_beyond_ascii(connect: Connect, serve: Callable[..., Server]) -> None:
    project = connect(serve(MAJORITY["v2"], auth=AUTH), texts("one"))
    assert project.predicted() == "Positive"


def test_a_token_in_the_address_lets_the_automatic_webhook_in(
    connect: Connect, serve: Callable[..., Server], api_version: str
) -> None:
    server = serve(MAJORITY[api_version], "--webhook-token", TOKEN, auth=PLAIN)
    project = connect(server, texts("one", "two"), url=f"{server.url}/{TOKEN}")
    before = project.version
    project.annotate(project.tasks[0], "Negative")
    project.trained(before)
    assert project.predicted() == "Negative"
    assert refused_events(server) == 0
    with_token = [line for line in server.log().splitlines() if TOKEN in line]
    assert all("paste into Label Studio" in line for line in with_token), with_token
