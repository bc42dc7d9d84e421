"""What Label Studio's editor does with wrong regions, compared with the findings of our server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browser import Browser
from hosting import Server
from label_studio import LabelStudio
from mistakes import CONFIG
from rest import Api
from test_browser import log_in

pytestmark = pytest.mark.browser
#: A white picture of 2 × 1 pixels.
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAB7QOjdAAAAD0lEQVR4nGP4DwYMEAoAU7oL9a"
    "QMxTgAAAAASUVORK5CYII="
)

#: Visible parts of the prediction: labels of drawn regions, and selected answers.
SEEN = """
    const store = window.Htx && window.Htx.annotationStore;
    const prediction = store && store.predictions[0];
    if (!prediction) return null;
    if (store.selected !== prediction) {
        store.selectPrediction(prediction.id);
        return null;
    }
    const errors = document.querySelector('[class*="errors"]');
    const drawn = prediction.regions.filter(region =>
        (region.type === 'rectangleregion' && region.x <= 100 && region.y <= 100)
        || (region.type === 'richtextregion' && region.text));
    return {
        labels: drawn.flatMap(region => region.labels),
        chosen: prediction.names.get('sentiment').selectedValues(),
        failed: Boolean(errors && errors.innerText),
    };
"""
#: The same, once something is visible.
SOMETHING_SEEN = f"""
    const seen = (function () {{ {SEEN} }})();
    return seen && (seen.labels.length || seen.chosen.length) ? seen : null;
"""

#: Places where nothing of it is visible.
UNSEEN = (
    "from_name",
    "to_name",
    "type",
    "no type",
    "label",
    "label as text",
    "key",
    "pixels",
    "numbers as texts",
    "no height",
    "span",
)


@pytest.fixture(scope="module")
def browser(studio: LabelStudio) -> Iterator[Browser]:
    browser = Browser()
    log_in(browser, studio)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def project(api: Api) -> int:
    return api.create_project("What the editor shows", CONFIG)


def look(
    browser: Browser, url: str, api: Api, project: int, answer: Any, script: str = SEEN
) -> dict[str, Any]:
    """Give a task the prediction that a server answered, open it, and look."""
    data = {"text": "John is fine", "image": PICTURE}
    [task] = api.import_tasks(project, [{"data": data}])
    body = {"task": task, "result": answer["result"], "model_version": "1"}
    api.request("POST", "/api/predictions/", expect=(201,), json=body)
    browser.open(f"{url}/projects/{project}/data?task={task}")
    seen: dict[str, Any] = browser.ask(script, "the prediction")
    return seen


def predict(server: Server, mistake: str) -> tuple[Any, bool]:
    """The prediction with this mistake; whether the server found anything."""
    task = {"id": 1, "data": {"text": "John is fine", "mistake": mistake}}
    answer = server.predict([task], config=CONFIG)
    return answer.json()["results"][0], "X-Prediction-Warnings" in answer.headers


@pytest.mark.parametrize(
    ("region", "labels", "chosen"),
    [("right", [], ["Positive"]), ("right box", ["Cat"], []), ("right span", ["Person"], [])],
)
def test_what_is_right_is_seen(
    browser: Browser,
    studio: LabelStudio,
    api: Api,
    project: int,
    mistaken: Server,
    region: str,
    labels: list[str],
    chosen: list[str],
) -> None:
    answer, is_found = predict(mistaken, region)
    assert not is_found
    seen = look(browser, studio.url, api, project, answer, SOMETHING_SEEN)
    assert seen == {"labels": labels, "chosen": chosen, "failed": False}


@pytest.mark.parametrize("mistake", UNSEEN)
def test_what_is_found_is_not_seen(
    browser: Browser, studio: LabelStudio, api: Api, project: int, mistaken: Server, mistake: str
) -> None:
    answer, is_found = predict(mistaken, mistake)
    assert is_found
    seen = look(browser, studio.url, api, project, answer)
    assert not seen["labels"] and not seen["chosen"], seen
