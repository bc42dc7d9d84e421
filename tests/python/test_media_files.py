"""Files of this machine that a task names: below a root that the user set, or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import pytest
from media_hosts import LEGACY, LabelStudio

from label_studio_ml._media import files
from label_studio_ml.exceptions import MediaError
from label_studio_ml.model import LabelStudioMLBase, get_local_path

ROOT = "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"
SECRET = "s3cr3t content"


@pytest.fixture
def root(tmp_path: Path, media_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root for local files, with a file, and a secret beside it."""
    folder = tmp_path / "root"
    (folder / "pics").mkdir(parents=True)
    (folder / "pics" / "a.png").write_text("local")
    (tmp_path / "secret").write_text(SECRET)
    sibling = tmp_path / "root-evil"
    sibling.mkdir()
    (sibling / "x").write_text(SECRET)
    monkeypatch.setenv(ROOT, str(folder))
    return folder


def refusal(value: str, **given: object) -> str:
    with pytest.raises(MediaError) as caught:
        get_local_path(value, **given)  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize("variable", files.ROOT_VARIABLES)
def test_a_path_below_the_root(root: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.delenv(ROOT)
    monkeypatch.setenv(variable, str(root))
    path = root / "pics" / "a.png"
    assert get_local_path(str(path)) == str(path)
    assert get_local_path(f"file://{quote(str(path))}") == str(path)
    assert get_local_path(f"file://localhost{path}") == str(path)
    assert get_local_path("/data/local-files/?d=pics/a.png") == str(path)
    monkeypatch.chdir(root)
    assert get_local_path("pics/a.png") == "pics/a.png"


@pytest.mark.usefixtures("media_environment")
@pytest.mark.parametrize("value", ["/etc/passwd", "file:///etc/passwd", "/etc/../etc/passwd"])
def test_without_a_root_nothing_is_opened(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Path("/etc/passwd").exists()
    said = f"files of this machine are opened only below {ROOT}, which is not set"
    assert said in refusal(value)
    # The same words whether there is a file or not.
    gone = value.replace("passwd", "passwd-gone")
    assert refusal(gone) == refusal(value).replace(value, gone)
    monkeypatch.setenv("LOCAL_FILES_DOCUMENT_ROOT", "/")
    assert "below LOCAL_FILES_DOCUMENT_ROOT, which is /: name a folder" in refusal(value)
    monkeypatch.delenv("LOCAL_FILES_DOCUMENT_ROOT")
    message = refusal("/data/local-files/?d=etc/passwd")
    assert message.endswith(
        f"{said}; no Label Studio is known (LABEL_STUDIO_URL is not set); if the file is on this machine, "
        f"set {ROOT} to a folder above it"
    )


@pytest.mark.usefixtures("media_environment")
@pytest.mark.parametrize(
    "value",
    [
        "/home/me/a.png",
        "C:\\pics\\a.png",
        "C:/pics/a.png",
        "pics/a.png",
        "a.png",
        "file:///home/me/a.png",
    ],
)
def test_what_most_probably_helps_comes_last(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    remedy = f"; if the file is on this machine, set {ROOT} to a folder above it"
    assert refusal(value).endswith(remedy)
    # A Label Studio that does not answer changes nothing in what helps.
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "0" * 40)
    assert refusal(value).endswith(remedy)
    assert refusal("/data/local-files/?d=a.png").endswith(remedy)
    assert "LABEL_STUDIO_URL" in refusal("/data/upload/1/a.png")
    assert ROOT not in refusal("/data/upload/1/a.png")


def test_what_is_not_below_the_root_is_no_file(root: Path, tmp_path: Path) -> None:
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    for path in (
        tmp_path / "secret",
        tmp_path / "root-evil" / "x",
        root / ".." / "secret",
        root / "pics" / ".." / ".." / "secret",
        root / "link",
        root / "folder" / "secret",
        Path("/etc/passwd"),
        Path("/proc/self/environ"),
        Path("/dev/stdin"),
    ):
        for value in (str(path), f"file://{path}"):
            assert f"it is not a file below {root} ({ROOT})" in refusal(value)
    assert "it is not a file below" in refusal("file://elsewhere/etc/passwd")


@pytest.mark.parametrize("dots", ["..", "%2e%2e", ".%2E", "%252e%252e", "%25252e%25252e"])
@pytest.mark.parametrize("slash", ["/", "%2f", "%5c", "%252F"])
def test_dots_in_every_encoding(root: Path, dots: str, slash: str) -> None:
    ways = [f"{dots}{slash}secret", f"{dots}{slash}root-evil{slash}x"]
    ways += [f"pics{slash}{dots}{slash}{dots}{slash}secret", f"{slash}{slash}{dots}{slash}secret"]
    for way in ways:
        refusal(f"/data/local-files/?d={way}")
        refusal(f"{root}/{way}")
        refusal(f"file://{root}/{way}")
        refusal(f"/data/upload/1/{way}", image_dir=str(root))
        refusal(f"/data/upload/{way}", project_dir=str(root))


@pytest.mark.parametrize(
    "name", ["a\0.png", "../secret\0.png", "x" * 300, "x/" * 3000 + "a", "pics", "", ".", "pipe"]
)
def test_names_that_are_no_files(root: Path, name: str) -> None:
    os.mkfifo(root / "pipe")
    refusal(f"/data/local-files/?d={quote(name)}")
    refusal(f"{root}/{name}")
    refusal(f"file://{root}/{quote(name)}")
    refusal(f"/data/upload/1/{quote(name)}", image_dir=str(root))


@pytest.mark.usefixtures("media_environment")
@pytest.mark.parametrize("device", ["zero", "null", "tty", "full"])
def test_devices_are_no_files(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setenv(ROOT, "/dev")
    assert "it is not a file below /dev" in refusal(f"/dev/{device}")
    assert "it is not in /dev" in refusal(f"/data/local-files/?d={device}")


def test_a_link_that_is_put_there_meanwhile(root: Path, tmp_path: Path) -> None:
    path = root / "pics" / "a.png"
    with files.opened(path, root) as file:
        assert file.read() == b"local"
    # Between the check and the use a file becomes a link, and then its folder does.
    path.unlink()
    path.symlink_to(tmp_path / "secret")
    with pytest.raises(OSError):
        files.opened(path, root)
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "a.png").write_text(SECRET)
    (root / "pics").rename(root / "before")
    (root / "pics").symlink_to(tmp_path / "away")
    with pytest.raises(OSError):
        files.opened(path, root)
    (root / "pics").unlink()
    (root / "pics").mkdir()
    os.mkfifo(path)
    with pytest.raises(OSError, match="not a regular file"):
        files.opened(path, root)


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_put_there_at_the_last_moment(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path, really = root / "pics" / "a.png", files._require_file
    checked = []

    def swap(found: os.stat_result, named: Path) -> None:
        really(found, named)
        if not checked:
            path.unlink()
            os.mkfifo(path) if kind == "pipe" else path.symlink_to(tmp_path / "secret")
        checked.append(named)

    monkeypatch.setattr(files, "_require_file", swap)
    with pytest.raises(OSError):
        files.opened(path, root)
    assert checked


def test_links_within_the_root(root: Path) -> None:
    (root / "link.png").symlink_to("pics/a.png")
    real = str(root / "pics" / "a.png")
    assert get_local_path(str(root / "link.png")) == real
    assert get_local_path("/data/local-files/?d=link.png") == real


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_only_be_passed(root: Path) -> None:
    (root / "pics").chmod(0o111)
    try:
        assert get_local_path("/data/local-files/?d=pics/a.png") == str(root / "pics" / "a.png")
    finally:
        (root / "pics").chmod(0o755)


def test_copies_and_uploads_can_be_named_again(
    label_studio: LabelStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", LEGACY)
    label_studio.files["/data/upload/1/a.png"] = b"picture"
    path = get_local_path("/data/upload/1/a.png")
    assert get_local_path(path) == path
    kept = get_local_path("/data/upload/1/a.png", cache_dir=str(tmp_path / "kept"))
    assert get_local_path(kept, cache_dir=str(tmp_path / "kept")) == kept
    refusal(kept)
    upload = tmp_path / "data" / "label-studio" / "media" / "upload" / "1" / "b.png"
    upload.parent.mkdir(parents=True)
    upload.write_text("local")
    assert get_local_path("/data/upload/1/b.png") == str(upload)
    assert get_local_path(str(upload)) == str(upload)


@pytest.mark.usefixtures("root")
def test_a_link_among_the_uploads(tmp_path: Path) -> None:
    images = tmp_path / "images"
    (images / "1").mkdir(parents=True)
    (images / "1" / "a.png").symlink_to(tmp_path / "secret")
    (images / "2").symlink_to(tmp_path / "root-evil")
    for path in ("1/a.png", "2/x"):
        refusal(f"/data/upload/{path}", image_dir=str(images))
        refusal(f"/data/upload/{path}", cache_dir=str(tmp_path / "kept"), image_dir=str(images))
    assert not (tmp_path / "kept").exists()


def test_texts_that_are_called_like_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Model(LabelStudioMLBase):
        def predict(self, tasks: object, **kwargs: object) -> list[object]:
            return []

    monkeypatch.chdir(root.parent)
    model = Model()
    assert model.preload_task_data({}, ["secret", "root"]) == ["secret", "root"]
    assert model.preload_task_data({}, "root/pics/a.png") == "local"
    with pytest.raises(MediaError, match="it is not a file below"):
        model.preload_task_data({}, str(root.parent / "secret"))
    with pytest.raises(MediaError):
        model.preload_task_data({}, "/data/local-files/?d=../secret")


def test_a_path_of_the_longest_kind_is_still_one() -> None:
    assert files.real("x/" * 2048) is not None
    assert files.real("x/" * 2048 + "y") is None
    assert files.real("") is files.real("a\0b") is None
