"""The steps of a user: connect a model, get a pre-annotation, submit, train, see the new version."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from browser import Browser
from connected import CHOICES, texts
from hosting import Server, wait_for
from label_studio import LabelStudio
from rest import Api

pytestmark = pytest.mark.browser
OPTIONS = "//button[@aria-label='Machine learning model options']"


def test_in_a_browser(
    studio: LabelStudio, api: Api, majorities: Callable[[str], Server], browser: Browser
) -> None:
    server = majorities("v2")
    project = api.create_project("In a browser", CHOICES)
    api.import_tasks(project, texts("I like it", "I do not like it"))
    log_in(browser, studio)
    connect(browser, studio, project, server)

    annotate(browser, studio, project)
    wait_for(lambda: events(server, project) == ["ANNOTATION_CREATED"], "the event trained it")
    start_training(browser, studio, project)
    expected = ["START_TRAINING", "ANNOTATION_CREATED"]
    wait_for(lambda: events(server, project) == expected, "the button trained it")

    (row,) = api.backends(project)
    assert row["model_version"].startswith("0.0.1+")
    see_version(browser, studio, project, row["model_version"])


def log_in(browser: Browser, studio: LabelStudio) -> None:
    browser.open(f"{studio.url}/user/login/")
    browser.type("email", studio.user.email)
    browser.type("password", studio.user.password)
    browser.shot("log-in")
    browser.click("//button[@aria-label='Log In']")
    browser.wait(lambda _: "/login" not in browser.address, "logged in")


def connect(browser: Browser, studio: LabelStudio, project: int, server: Server) -> None:
    """Settings → Model → Connect Model."""
    browser.open(f"{studio.url}/projects/{project}/settings/ml")
    browser.click("//button[@aria-label='Add machine learning model']")
    browser.type("title", "Majority")
    browser.type("url", server.url)
    browser.shot("connect-model")
    browser.click("//button[@aria-label='Save machine learning form']")
    browser.see_text("Connected")
    browser.see_text(server.url)
    browser.shot("connected")


def annotate(browser: Browser, studio: LabelStudio, project: int) -> None:
    """Open a task, find the pre-annotation of the untrained model, correct it and submit."""
    open_task(browser, studio, project, "I like it")
    browser.see_text("0.0.1")
    browser.wait(lambda _: browser.is_chosen("Positive"), "the pre-annotation")
    assert not browser.is_chosen("Negative")
    browser.shot("pre-annotation")
    browser.choose("Negative")
    browser.click("//button[@aria-label='Submit current annotation']")
    browser.see("//button[.='Update']")
    browser.shot("submitted")


def start_training(browser: Browser, studio: LabelStudio, project: int) -> None:
    """Settings → Model → … → Start Training, and confirm it."""
    browser.open(f"{studio.url}/projects/{project}/settings/ml")
    browser.click(OPTIONS)
    browser.click("//li[.='Start Training']")
    browser.see_text("Start Model Training")
    browser.click("//button[.='Start Training']")
    browser.see_text("Request Sent!")
    browser.shot("training-started")


def see_version(browser: Browser, studio: LabelStudio, project: int, version: str) -> None:
    """In the answer to a test request, and as the author of another task's pre-annotation."""
    browser.open(f"{studio.url}/projects/{project}/settings/ml")
    browser.click(OPTIONS)
    browser.click("//li[.='Send Test Request']")
    browser.click("//button[.='Send Request']")
    browser.scroll_to_end(f"//*[contains(text(), {version!r})]")
    browser.shot("test-request")

    open_task(browser, studio, project, "I do not like it")
    browser.see_text(version)
    browser.wait(lambda _: browser.is_chosen("Negative"), "the pre-annotation of the new version")
    browser.shot("new-version")


def open_task(browser: Browser, studio: LabelStudio, project: int, text: str) -> None:
    browser.open(f"{studio.url}/projects/{project}/data")
    browser.click(f"//*[text()={text!r}]")


def events(server: Server, project: int) -> list[str]:
    """What trainings ended, newest first."""
    jobs = server.get("/jobs").json()["jobs"]
    mine = [job for job in jobs if job["project"].partition(".")[0] == str(project)]
    return [job["event"] for job in mine if job["job_status"] == "finished"]
