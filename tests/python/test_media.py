"""Files of tasks: where they are looked for on this machine, and what is asked of Label Studio."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
import requests
from media_hosts import LEGACY, Host, LabelStudio, personal, redirect, status, uri_of

from label_studio_ml._media.label_studio_address import Connection, connected
from label_studio_ml.exceptions import MediaError
from label_studio_ml.model import get_local_path

UPLOAD = "/data/upload/1/8a3f-picture.png"
ROOT = "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"
pytestmark = pytest.mark.usefixtures("media_environment")


@pytest.fixture
def configured(label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch) -> LabelStudio:
    """Label Studio, as the environment names it."""
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", LEGACY)
    return label_studio


def read(url: str, **given: object) -> bytes:
    return Path(get_local_path(url, **given)).read_bytes()  # type: ignore[arg-type]


def refusal(url: str, **given: object) -> str:
    """Return the message of the error, which holds no token."""
    with pytest.raises(MediaError) as caught:
        get_local_path(url, **given)  # type: ignore[arg-type]
    assert LEGACY not in str(caught.value)
    assert isinstance(caught.value, FileNotFoundError)
    return str(caught.value)


def test_a_sentence_names_nothing() -> None:
    message = refusal("a sentence, with words")
    assert message.endswith("is not set; it is not a path of Label Studio and not an address")


@pytest.mark.parametrize(
    "value",
    [UPLOAD, UPLOAD.removeprefix("/data"), UPLOAD.removeprefix("/data/"), "{url}" + UPLOAD],
)
def test_an_upload_is_downloaded_once(
    configured: LabelStudio, media_environment: Path, value: str
) -> None:
    configured.files[UPLOAD] = b"picture"
    path = Path(get_local_path(value.format(url=configured.url)))
    assert path.parent == media_environment
    assert path.name.endswith("__8a3f-picture.png")
    assert path.read_bytes() == b"picture"
    assert get_local_path(UPLOAD) == str(path)
    assert configured.asked == [(UPLOAD, f"Token {LEGACY}")]


def test_an_upload_that_the_installation_keeps_elsewhere(configured: LabelStudio) -> None:
    configured.files[UPLOAD] = status(500)
    stored = "/storage-data/uploaded/?filepath=upload/1/8a3f-picture.png"
    configured.files[stored] = b"picture"
    assert read(UPLOAD) == b"picture"
    assert configured.paths() == [UPLOAD, stored]


def test_an_upload_that_is_gone(configured: LabelStudio) -> None:
    message = refusal(UPLOAD)
    token = "the legacy token of LABEL_STUDIO_API_KEY"
    assert message == (
        f"cannot fetch {UPLOAD}: {configured.url} answered 404 to {token}; "
        f"{configured.url}/storage-data/uploaded/ answered 404 to {token}; the file must be there and the token's user see its project; is "
        "LABEL_STUDIO_URL right?"
    )


def test_an_upload_on_the_same_machine(
    tmp_path: Path, configured: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured.files[UPLOAD] = b"remote"

    def upload_in(folder: Path) -> Path:
        path = folder / "1" / "8a3f-picture.png"
        path.parent.mkdir(parents=True)
        path.write_text("local")
        return path

    images, project = tmp_path / "images", tmp_path / "project"
    assert get_local_path(UPLOAD, image_dir=str(upload_in(images).parents[1])) == str(
        images / "1" / "8a3f-picture.png"
    )
    found = upload_in(project / "upload")
    kept = tmp_path / "kept"
    assert get_local_path(UPLOAD, str(kept), str(project)) == str(found)
    assert [path.name for path in kept.iterdir()] == ["8a3f-picture.png"]
    # A folder without the file is no reason to give up.
    assert read(UPLOAD, image_dir=str(tmp_path / "other")) == b"remote"
    own = upload_in(tmp_path / "data" / "label-studio" / "media" / "upload")
    assert get_local_path(UPLOAD) == str(own)
    monkeypatch.setenv("LABEL_STUDIO_BASE_DATA_DIR", str(tmp_path / "base"))
    own = upload_in(tmp_path / "base" / "media" / "upload")
    assert get_local_path(UPLOAD) == str(own)


@pytest.mark.parametrize("name", ["..", "../1/x", "%2e%2e%2fsecret"])
@pytest.mark.usefixtures("configured")
def test_an_upload_cannot_lead_elsewhere(tmp_path: Path, name: str) -> None:
    (tmp_path / "images" / "1").mkdir(parents=True)
    (tmp_path / "images" / "secret").write_text("secret")
    (tmp_path / "secret").write_text("secret")
    for path in (f"/data/upload/1/{name}", f"/data/upload/../{name}", "/data/upload/../secret"):
        refusal(path, image_dir=str(tmp_path / "images"))


def test_local_files_below_their_root(
    tmp_path: Path, configured: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    (root / "pics").mkdir(parents=True)
    (root / "pics" / "я b.png").write_text("local")
    monkeypatch.setenv(ROOT, str(root))
    url = "/data/local-files/?d=pics/%D1%8F%20b.png"
    assert get_local_path(url) == str(root / "pics" / "я b.png")
    assert get_local_path(configured.url + url) == str(root / "pics" / "я b.png")
    assert get_local_path("/data/local-files/?d=/pics/я b.png") == str(root / "pics" / "я b.png")
    copy = Path(get_local_path(url, cache_dir=str(tmp_path / "kept")))
    assert copy.parent == tmp_path / "kept"
    assert copy.read_text() == "local"
    assert configured.asked == []
    # What is not below the root, Label Studio may have.
    configured.files["/data/local-files/?d=other.png"] = b"remote"
    assert read("/data/local-files/?d=other.png") == b"remote"
    # Below "/" everything would be found.
    monkeypatch.setenv(ROOT, "/")
    configured.files[f"/data/local-files/?d={root}/pics"] = b"remote"
    assert read(f"/data/local-files/?d={root}/pics") == b"remote"


@pytest.mark.parametrize(
    "path", ["../secret", "pics/../../secret", "..%2Fsecret", "link/x", "away"]
)
def test_local_files_do_not_lead_out_of_their_root(
    tmp_path: Path, configured: LabelStudio, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    root, secrets = tmp_path / "root", tmp_path / "secrets"
    (root / "pics").mkdir(parents=True)
    secrets.mkdir()
    (secrets / "x").write_text("secret")
    (tmp_path / "secret").write_text("secret")
    (root / "link").symlink_to(secrets)
    (root / "away").symlink_to(tmp_path / "secret")
    monkeypatch.setenv(ROOT, str(root))
    assert f"leads out of the folder of {ROOT}" in refusal(f"/data/local-files/?d={path}")
    assert configured.asked == []


@pytest.mark.parametrize("path", ["x" * 300, "loop/a.png", "%00"])
def test_local_files_that_no_system_can_open(
    tmp_path: Path, configured: LabelStudio, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.setenv(ROOT, str(tmp_path))
    configured.files[f"/data/local-files/?d={path}"] = b"remote"
    assert read(f"/data/local-files/?d={path}") == b"remote"
    refusal(f"/data/upload/1/{path}")


def test_a_root_may_be_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.png").write_text("local")
    (tmp_path / "root").symlink_to(tmp_path / "real")
    monkeypatch.setenv("LOCAL_FILES_DOCUMENT_ROOT", str(tmp_path / "root"))
    assert read("/data/local-files/?d=a.png") == b"local"


def test_the_error_tells_where_it_was_looked_for(
    tmp_path: Path, configured: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ROOT, str(tmp_path))
    message = refusal("/data/local-files/?d=a.png")
    assert message.startswith(
        f"cannot fetch /data/local-files/?d=a.png: it is not in {tmp_path} ({ROOT}); "
        f"{configured.url} answered 404 to"
    )
    message = refusal(UPLOAD, project_dir=str(tmp_path))
    assert f": it is not in {tmp_path}/upload; {configured.url} answered 404" in message
    monkeypatch.delenv("LABEL_STUDIO_URL")
    assert f": it is not in {tmp_path}/upload; no Label Studio" in refusal(
        UPLOAD, project_dir=str(tmp_path)
    )


def test_local_files_that_label_studio_refuses(configured: LabelStudio) -> None:
    configured.files["/data/local-files/?d=a.png"] = status(403)
    message = refusal("/data/local-files/?d=a.png")
    assert "answered 403 to the legacy token of LABEL_STUDIO_API_KEY; its folder must be" in message
    assert "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true" in message


@pytest.mark.parametrize("uri", ["s3://b/a b.png", "gs://b/ä.png", "azure-blob://c/a.png"])
def test_a_storage_is_reached_through_label_studio(
    configured: LabelStudio, storage: Host, uri: str
) -> None:
    storage.files["/b/a.png?X-Amz-Signature=s3cr3t"] = b"stored"
    encoded = base64.urlsafe_b64encode(uri.encode()).decode().replace("=", "%3D")
    asked = f"/tasks/7/presign/?fileuri={encoded}"
    configured.files[asked] = redirect(f"{storage.url}/b/a.png?X-Amz-Signature=s3cr3t")
    path = get_local_path(uri, task_id=7)
    assert Path(path).name.endswith(uri.rpartition("/")[2])
    assert Path(path).read_bytes() == b"stored"
    assert uri_of(configured.paths()[0]) == uri
    assert configured.asked[0][1] == f"Token {LEGACY}"
    assert storage.asked == [("/b/a.png?X-Amz-Signature=s3cr3t", None)]
    assert not {"Authorization", "Cookie"} & storage.headers[0].keys()
    # The same file in another task, or by Label Studio's own path, is the same copy.
    assert get_local_path(uri, task_id=8) == path
    assert get_local_path(f"/tasks/9/resolve/?fileuri={encoded}") == path
    assert get_local_path(f"{configured.url}/tasks/9/presign/?fileuri={encoded}") == path
    assert len(configured.asked) == 1


def test_paths_of_label_studio_to_a_storage(configured: LabelStudio) -> None:
    encoded = base64.urlsafe_b64encode(b"s3://b/x.wav").decode()
    configured.files[f"/tasks/9/resolve/?fileuri={encoded}"] = b"proxied"
    path = Path(get_local_path(f"{configured.url}/tasks/9/resolve/?fileuri={encoded}"))
    assert path.name.endswith("__x.wav")
    assert path.read_bytes() == b"proxied"


@pytest.mark.usefixtures("configured")
def test_a_storage_needs_a_task_and_a_source() -> None:
    message = refusal("s3://b/k.png")
    assert message.endswith("call get_local_path(url, task_id=task['id'])")
    message = refusal("s3://b/k.png", task_id=7)
    assert "answered 404" in message
    assert message.endswith("source storage for it, and the token's user must see the project")


def test_a_storage_that_refuses(configured: LabelStudio, storage: Host) -> None:
    storage.files["/k"] = status(403)
    asked = "/tasks/7/presign/?fileuri=czM6Ly9iL2s%3D"
    configured.files[asked] = redirect(f"{storage.url}/k")
    message = refusal("s3://b/k", task_id=7)
    assert f"{storage.url}, where {configured.url} redirects, answered 403" in message


def test_label_studio_below_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    host = LabelStudio("/label-studio")
    token = personal()
    host.refresh.add(token)
    host.files[UPLOAD] = b"picture"
    host.files["/tasks/1/resolve/?fileuri=czM6Ly9iL2s="] = b"stored"
    monkeypatch.setenv("LABEL_STUDIO_URL", f"{host.url}/")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
    try:
        for value in (UPLOAD, f"/label-studio{UPLOAD}", host.url + UPLOAD):
            path = Path(get_local_path(value))
            assert path.read_bytes() == b"picture"
            path.unlink()
        assert read("/label-studio/tasks/1/resolve/?fileuri=czM6Ly9iL2s=") == b"stored"
        assert host.paths() == [
            "/label-studio/api/token/refresh/",
            *[f"/label-studio{UPLOAD}"] * 3,
            "/label-studio/tasks/1/resolve/?fileuri=czM6Ly9iL2s=",
        ]
        missing = f"/label-studio{UPLOAD}.not"
        assert f"{missing}: {host.url}{UPLOAD}.not answered 404 to" in refusal(missing)
    finally:
        host.stop()


def test_the_path_that_only_setup_knows(configured: LabelStudio) -> None:
    configured.files[UPLOAD] = b"picture"
    with connected(Connection("http://outside/label-studio", "")):
        assert read(f"/label-studio{UPLOAD}") == b"picture"
        assert read(f"http://outside/label-studio{UPLOAD}") == b"picture"
    assert configured.paths() == [UPLOAD]


def test_other_paths_of_label_studio_are_asked_without_a_token(configured: LabelStudio) -> None:
    configured.open["/static/a%23b.png"] = b"static"
    assert read("/static/a#b.png") == b"static"
    message = refusal("/home/me/a.png")
    assert message == (
        f"cannot fetch /home/me/a.png: files of this machine are opened only below {ROOT}, which is not "
        f"set; {configured.url} answered 401; if the file is on this machine, set {ROOT} to a folder above it"
    )
    assert [header for _, header in configured.asked] == [None, None]


@pytest.mark.usefixtures("media_environment")
def test_addresses(storage: Host) -> None:
    storage.files["/pics/a%20b.png?size=1"] = b"one"
    storage.files["/pics/a%20b.png?size=2"] = b"two"
    one = Path(get_local_path(f"{storage.url}/pics/a b.png?size=1"))
    two = Path(get_local_path(f"{storage.url}/pics/a%20b.png?size=2"))
    assert (one.read_bytes(), two.read_bytes()) == (b"one", b"two")
    assert one.name.endswith("__a b.png")
    message = refusal(f"{storage.url}/nothing.png?X-Amz-Signature=s3cr3t")
    assert message == f"cannot fetch {storage.url}/nothing.png?…: {storage.url} answered 404"


@pytest.mark.usefixtures("media_environment")
def test_data_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Path(get_local_path("data:image/png;base64,iVBORw=="))
    assert picture.read_bytes() == b"\x89PNG"
    assert picture.suffix == ".png"
    assert read("data:image/png;base64,iVBO%0ARw") == b"\x89PNG"
    assert read("data:text/plain;charset=utf-8,a%20b%C3%A4+") == "a bä+".encode()
    assert read("data:,plain") == b"plain"
    assert refusal("data:image/png;base64,????").endswith("base64,…: it is not Base64")
    monkeypatch.setenv("LABEL_STUDIO_ML_MAX_MEDIA_MIB", "0.001")
    message = refusal("data:image/png;base64," + "A" * 3000)
    assert message.startswith("cannot fetch data:image/png;base64,…: it is too large")


@pytest.mark.usefixtures("media_environment")
def test_nothing_is_fetched_where_that_is_not_wanted(configured: LabelStudio) -> None:
    configured.files[UPLOAD] = b"picture"
    path = get_local_path(UPLOAD, download_resources=False)
    assert not Path(path).exists()
    assert configured.asked == []
    assert get_local_path(UPLOAD) == path
    assert get_local_path(UPLOAD, download_resources=False) == path
    assert not Path(get_local_path("data:,x", download_resources=False)).exists()


def test_the_parameters_are_those_of_the_originals(
    label_studio: LabelStudio, tmp_path: Path
) -> None:
    label_studio.files[UPLOAD] = b"picture"
    # url, cache_dir, project_dir, hostname, image_dir, access_token, download_resources, task_id
    given = (str(tmp_path / "kept"), str(tmp_path), label_studio.url, None, LEGACY, True, 7)
    path = Path(get_local_path(UPLOAD, *given))
    assert path.parent == tmp_path / "kept"
    assert path.read_bytes() == b"picture"


def test_no_label_studio_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(UPLOAD).endswith(
        "no Label Studio is known; set LABEL_STUDIO_URL to its address, and LABEL_STUDIO_API_KEY to a token "
        "of a user who can see the project"
    )
    monkeypatch.setenv("LABEL_STUDIO_URL", "ls:8080")
    assert refusal(UPLOAD).endswith("LABEL_STUDIO_URL must begin with http:// or https://")
    assert "'ls:8080' is not an address" in refusal(UPLOAD, hostname="ls:8080")


def test_a_folder_for_copies_that_cannot_be_written(configured: LabelStudio) -> None:
    configured.files[UPLOAD] = b"picture"
    message = refusal(UPLOAD, cache_dir=f"{__file__}/cache")
    assert "no copy can be kept in" in message
    assert message.endswith("set XDG_CACHE_HOME to a folder that can be written")


def test_a_v1_image(
    configured: LabelStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from label_studio_ml.utils import get_image_local_path

    configured.files[UPLOAD] = b"picture"
    path = Path(get_image_local_path(UPLOAD, str(tmp_path / "kept")))
    assert (path.parent, path.read_bytes()) == (tmp_path / "kept", b"picture")
    images = tmp_path / "images" / "1"
    images.mkdir(parents=True)
    (images / "8a3f-picture.png").write_text("local")
    found = get_image_local_path(UPLOAD, image_dir=str(tmp_path / "images"))
    assert found == str(images / "8a3f-picture.png")
    (tmp_path / "images").rename(tmp_path / "upload")
    found = get_image_local_path(UPLOAD, None, str(tmp_path))
    assert found == str(tmp_path / "upload" / "1" / "8a3f-picture.png")
    monkeypatch.delenv("LABEL_STUDIO_URL")
    monkeypatch.setenv("LABEL_STUDIO_HOSTNAME", configured.url)
    assert os.environ["HOSTNAME"] == "0123456789ab"
    configured.files["/data/upload/2/b.png"] = b"other"
    assert Path(get_image_local_path("/data/upload/2/b.png")).read_bytes() == b"other"


@pytest.mark.usefixtures("configured")
def test_errors_are_those_of_requests_too(storage: Host) -> None:
    with pytest.raises(requests.HTTPError) as caught:
        get_local_path(UPLOAD)
    assert caught.value.response.status_code == 404
    assert caught.value.__cause__ is None
    storage.stop()
    with pytest.raises(requests.ConnectionError, match=r"reached \(Connection refused\)"):
        get_local_path(f"{storage.url}/a.png")
    with pytest.raises(OSError, match="answered 404"):
        get_local_path(UPLOAD)
