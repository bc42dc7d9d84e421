"""What values of tasks name, and which Label Studio is meant."""

from __future__ import annotations

import pytest
from media_hosts import uri_of

from label_studio_ml._media.label_studio_address import (
    Connection,
    connected,
    made,
    of_environment,
    server,
)
from label_studio_ml._media.references import (
    Data,
    LocalFile,
    Served,
    Stored,
    Upload,
    Web,
    gives_files,
    name_of,
    presign,
    reference_of,
    shown,
)

PLAIN = ("http://ls:8080",)
BELOW = ("https://host/label-studio",)
pytestmark = pytest.mark.usefixtures("media_environment")


@pytest.mark.parametrize(
    ("value", "addresses", "route"),
    [
        ("/data/upload/1/a.png", PLAIN, Upload("1/a.png")),
        ("/upload/1/a.png", PLAIN, Upload("1/a.png")),
        ("upload/1/a.png", PLAIN, Upload("1/a.png")),
        ("data/upload/1/a.png", PLAIN, Upload("1/a.png")),
        ("http://ls:8080/data/upload/1/a%20b.png?v=1", PLAIN, Upload("1/a%20b.png")),
        ("/storage-data/uploaded/?filepath=upload/1/a%20b.png", PLAIN, Upload("1/a%20b.png")),
        ("/data/upload/1/a.png", BELOW, Upload("1/a.png")),
        ("/label-studio/data/upload/1/a.png", BELOW, Upload("1/a.png")),
        ("https://host/label-studio/data/upload/1/a.png", BELOW, Upload("1/a.png")),
        ("https://HOST:443/label-studio/data/upload/1/a.png", BELOW, Upload("1/a.png")),
        ("https://host/data/upload/1/a.png", BELOW, Upload("1/a.png")),
        ("https://host/elsewhere/a.png", BELOW, Web("https://host/elsewhere/a.png")),
        ("http://host/label-studio/a.png", BELOW, Web("http://host/label-studio/a.png")),
        ("/label-studio2/a.png", BELOW, Served("/label-studio2/a.png")),
        (
            "/data/local-files/?d=pics/%D1%8F%20b.png",
            PLAIN,
            LocalFile("pics/я b.png", "/data/local-files/?d=pics/%D1%8F%20b.png"),
        ),
        ("/data/local-files?d=a&d=b", PLAIN, LocalFile("b", "/data/local-files?d=a&d=b")),
        ("s3://bucket/a b.png", PLAIN, Stored("s3://bucket/a b.png")),
        ("azure-blob://c/a.png", PLAIN, Stored("azure-blob://c/a.png")),
        (
            "/tasks/5/resolve/?fileuri=czM6Ly9iL2sucG5n",
            PLAIN,
            Stored("s3://b/k.png", "/tasks/5/resolve/?fileuri=czM6Ly9iL2sucG5n"),
        ),
        (
            "http://ls:8080/tasks/5/presign/?fileuri=gs%3A%2F%2Fb%2Fk.png",
            PLAIN,
            Stored("gs://b/k.png", "/tasks/5/presign/?fileuri=gs%3A%2F%2Fb%2Fk.png"),
        ),
        ("/static/a.png", PLAIN, Served("/static/a.png")),
        ("http://elsewhere/a.png?b=1", PLAIN, Web("http://elsewhere/a.png?b=1")),
        ("data:image/png;base64,AA==", PLAIN, Data("data:image/png;base64,AA==")),
        ("data: nothing of that kind", PLAIN, None),
        ("s3: the new season", PLAIN, None),
        ("uploads are welcome", PLAIN, None),
        ("a sentence, with words", PLAIN, None),
        ("http://", PLAIN, None),
        ("http://host:99999/a", PLAIN, None),
        ("", PLAIN, None),
    ],
)
def test_a_value_names(value: str, addresses: tuple[str, ...], route: object) -> None:
    assert reference_of(value, addresses) == route


def test_the_uri_of_a_storage_is_sent_in_base64() -> None:
    path = presign(7, "s3://bucket/a b/?ä.png")
    assert path.startswith("/tasks/7/presign/?fileuri=")
    assert uri_of(path) == "s3://bucket/a b/?ä.png"
    route = reference_of(path, PLAIN)
    assert isinstance(route, Stored)
    assert route.uri == "s3://bucket/a b/?ä.png"
    assert name_of(Stored("s3://bucket/x/a.png")) == "/x/a.png"


def test_only_files_are_asked_for_with_a_token() -> None:
    def given(path: str, address: str = "http://ls:8080") -> bool:
        return gives_files(f"http://ls:8080{path}", address)

    for path in (
        *("/data/upload/1/a.png", "/data/upload/1/a%20b.png", "/data/upload/1/100%25.png"),
        *("/data/local-files/?d=../x", "/storage-data/uploaded/?filepath=x", "/data/..a"),
        *("/tasks/5/presign/?fileuri=x", "/tasks/5/resolve", "/projects/5/resolve/"),
    ):
        assert given(path), path
    encoded = ".."
    for _ in range(7):
        encoded = encoded.replace("%", "%25").replace("..", "%2e%2e")
        assert not given(f"/data/{encoded}/api"), encoded
    for path in (
        "/data",
        "/api/data/",
        "/tasks/x/presign/",
        "/tasks/5/presign/x",
        "/data/a\\..\\b",
    ):
        assert not given(path), path
    assert given("/base/data/a", "http://ls:8080/base")
    assert given("/data/a", "http://ls:8080/base")
    assert not given("/base2/data/a", "http://ls:8080/base")
    assert not given("/data/a", "https://ls:8080")


def test_messages_show_no_secrets() -> None:
    url = "https://user:word@host/a.png?X-Amz-Signature=s3cr3t"
    assert shown(url) == "https://host/a.png?…"
    assert shown("data:image/png;base64,AAAABBBB") == "data:image/png;base64,…"
    assert shown("x" * 1000) == "x" * 300 + "…"


def test_the_environment_names_label_studio(monkeypatch: pytest.MonkeyPatch) -> None:
    assert of_environment() is None  # HOSTNAME is the id of a container
    monkeypatch.setenv("HOSTNAME", "http://named")
    assert of_environment() == ("http://named", "HOSTNAME")
    for name in ("LABEL_STUDIO_HOSTNAME", "LABEL_STUDIO_HOST", "LABEL_STUDIO_URL"):
        monkeypatch.setenv(name, f" https://u:p@{name}/base/ ")
        assert of_environment() == (f"https://{name}/base", name)
    monkeypatch.setenv("LABEL_STUDIO_URL", "ls:8080")
    assert of_environment() == ("https://LABEL_STUDIO_HOST/base", "LABEL_STUDIO_HOST")


def sources(label_studio: object) -> list[str]:
    return [token.source for token in label_studio.tokens]  # type: ignore[attr-defined]


def test_arguments_go_before_the_environment_and_that_before_setup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert server(None, "token") is None
    with connected(Connection("http://setup:8080/", "of setup")):
        found = server(None, None)
        assert (found.address, found.source, sources(found)) == (
            "http://setup:8080",
            "/setup",
            ["/setup"],
        )
        monkeypatch.setenv("LABEL_STUDIO_URL", "http://environment")
        monkeypatch.setenv("LABEL_STUDIO_ACCESS_TOKEN", "second")
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", "first")
        found = server(None, None)
        assert found.addresses == ("http://environment", "http://setup:8080")
        assert sources(found) == ["LABEL_STUDIO_API_KEY", "LABEL_STUDIO_ACCESS_TOKEN", "/setup"]
        found = server("https://argument", "mine")
        assert found.addresses == ("https://argument", "http://environment", "http://setup:8080")
        assert sources(found)[0] == "the argument access_token"
        # As the base class of API v1 hands them on.
        assert server("http://setup:8080/", "of setup") == server(None, None)
    with pytest.raises(ValueError, match="'ls:8080' is not an address"):
        server("ls:8080", None)


def test_a_token_of_the_environment_is_not_shown_to_an_address_of_setup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "secret")
    with connected(Connection("http://anywhere", "theirs")):
        found = server(None, None)
    assert sources(found) == ["/setup"]
    assert found.withheld == "LABEL_STUDIO_API_KEY"


def test_tokens_are_in_no_repr() -> None:
    with connected(Connection("http://ls", "s3cr3t")) as _:
        found = server(None, "s3cr3t too")
    assert "s3cr3t" not in repr(found) + repr(Connection("http://ls", "s3cr3t"))


def test_a_model_without_attributes_can_be_made() -> None:
    class Closed:
        __slots__ = ()

    assert isinstance(made(Closed, Connection("http://ls", "t")), Closed)
