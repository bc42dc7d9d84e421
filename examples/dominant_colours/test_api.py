"""Draws images, and asks for predictions over HTTP like Label Studio does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

HERE = Path(__file__).parent
CONFIG = (HERE / "label_config.xml").read_text()
TASKS = json.loads((HERE / "tasks.json").read_text())

Publish = Callable[..., str]


def post(client: Any, project: int, *urls: Any, config: str = CONFIG) -> Any:
    tasks = [{"id": number, "data": {"image": url}} for number, url in enumerate(urls)]
    body = {"tasks": tasks, "project": f"{project}.1741593600", "label_config": config}
    return client.post("/predict", json={**body, "params": {"context": None}})


def predict(client: Any, project: int, *urls: Any, config: str = CONFIG) -> list[dict[str, Any]]:
    response = post(client, project, *urls, config=config)
    assert response.status_code == 200
    assert len(response.json["results"]) == len(urls)
    return response.json["results"]


def boxes(prediction: dict[str, Any]) -> list[tuple[str, list[float]]]:
    values = [region["value"] for region in prediction["result"]]
    sides = ("x", "y", "width", "height")
    return [(v["rectanglelabels"][0], [v[side] for side in sides]) for v in values]


def near(*box: float) -> Any:
    return pytest.approx(list(box), abs=2)  # one cell of the grid is 1.6 %


def draw(mode: str = "RGB", size: tuple[int, int] = (400, 200), back: Any = "white") -> Any:
    image = Image.new(mode, size, back)
    return image, ImageDraw.Draw(image)


def test_boxes_of_two_colours(client: Any, project: int, publish: Publish) -> None:
    image, pen = draw()
    pen.rectangle((40, 20, 199, 119), fill="#d62728")
    pen.rectangle((300, 100, 379, 179), fill="#2255cc")  # not quite the blue of the config
    prediction = predict(client, project, publish(image))[0]
    assert boxes(prediction) == [("Red", near(10, 10, 40, 50)), ("Blue", near(75, 50, 20, 40))]
    red, blue = prediction["result"]
    assert (red["original_width"], red["original_height"]) == (400, 200)
    assert (red["from_name"], red["to_name"], red["type"]) == ("colour", "image", "rectanglelabels")
    assert red["score"] == pytest.approx(0.2, abs=0.02)
    assert blue["score"] == pytest.approx(0.08, abs=0.02)
    assert prediction["score"] == pytest.approx(red["score"] + blue["score"])
    assert red["id"] != blue["id"]


def test_patches_of_one_colour_stay_apart(client: Any, project: int, publish: Publish) -> None:
    image, pen = draw()
    for left in (20, 150, 280):
        pen.rectangle((left, 50, left + 79, 149), fill="#2ca02c")
    pen.point([(399, 199)], fill="#d62728")  # too small to matter
    found = boxes(predict(client, project, publish(image))[0])
    assert [label for label, _ in found] == ["Green"] * 3
    assert sorted(box[0] for _, box in found) == near(5, 37.5, 70)


def test_the_biggest_ten_are_kept(client: Any, project: int, publish: Publish) -> None:
    image, pen = draw(size=(640, 640))
    for number in range(12):
        left, top = 160 * (number % 4), 200 * (number // 4)
        pen.rectangle((left, top, left + 79 + number, top + 99), fill="#202020")
    result = predict(client, project, publish(image))[0]["result"]
    scores = [region["score"] for region in result]
    assert len(scores) == 10
    assert scores == sorted(scores, reverse=True)


# What has to be done to the upright image, so that a viewer who obeys the tag turns it back.
ORIENTATIONS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_orientation(client: Any, project: int, publish: Publish, orientation: int) -> None:
    image, pen = draw()
    pen.rectangle((40, 20, 199, 119), fill="#d62728")
    turn = ORIENTATIONS[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = image if turn is None else image.transpose(turn)
    url = publish(stored, "jpg", exif=exif, quality=90)
    prediction = predict(client, project, url)[0]
    assert boxes(prediction) == [("Red", near(10, 10, 40, 50))]
    region = prediction["result"][0]
    assert (region["original_width"], region["original_height"]) == (400, 200)


def test_transparent_parts_are_white(client: Any, project: int, publish: Publish) -> None:
    image, pen = draw("RGBA", back=(0, 0, 0, 0))  # black, but nobody sees it
    pen.rectangle((40, 20, 199, 119), fill=(0xD6, 0x27, 0x28, 255))
    pen.rectangle((240, 20, 399, 119), fill=(0xD6, 0x27, 0x28, 5))
    assert boxes(predict(client, project, publish(image))[0]) == [("Red", near(10, 10, 40, 50))]


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "CMYK"])
def test_other_kinds_of_images(client: Any, project: int, publish: Publish, mode: str) -> None:
    image, pen = draw()
    pen.rectangle((40, 20, 199, 119), fill="black")
    url = publish(image.convert(mode), "tif" if mode == "CMYK" else "png")
    assert boxes(predict(client, project, url)[0]) == [("Black", near(10, 10, 40, 50))]


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (5000, 2)])
def test_odd_sizes(client: Any, project: int, publish: Publish, size: tuple[int, int]) -> None:
    image, _ = draw(size=size, back="#2ca02c")
    prediction = predict(client, project, publish(image))[0]
    assert boxes(prediction) == [("Green", pytest.approx([0, 0, 100, 100]))]
    assert prediction["score"] == pytest.approx(1)


def test_nothing_to_find(client: Any, project: int, publish: Publish) -> None:
    image, _ = draw()
    prediction = predict(client, project, publish(image))[0]
    assert prediction["result"] == []
    assert prediction["score"] == 0


def test_tasks_without_an_image(
    client: Any, project: int, publish: Publish, tmp_path: Path
) -> None:
    image, _ = draw(back="#d62728")
    good = publish(image)
    (tmp_path / "images" / "no-image.png").write_text("hello")
    broken = good.rsplit("/", 1)[0] + "/no-image.png"
    predictions = predict(client, project, None, "", broken, good)
    assert [len(prediction["result"]) for prediction in predictions] == [0, 0, 0, 1]
    tasks = [{"id": 1, "data": {"picture": good}}, {"id": 2}]
    body = {"tasks": tasks, "project": f"{project}.1", "label_config": CONFIG}
    results = client.post("/predict", json=body).json["results"]
    assert [prediction["result"] for prediction in results] == [[], []]


def test_an_image_that_cannot_be_fetched_is_an_error(
    client: Any, project: int, publish: Publish
) -> None:
    image, _ = draw()
    response = post(client, project, publish(image) + ".gone")
    assert response.status_code == 500
    assert "404" in response.json["detail"]


def test_colours_come_from_the_labels(client: Any, project: int, publish: Publish) -> None:
    labels = '<Label value="dark orange"/><Label value="Sky" background="#8fd0ff"/>'
    labels += '<Label value="Dog"/>'
    config = f"""<View><Image name="i" value="$image"/>
    <RectangleLabels name="r" toName="i">{labels}</RectangleLabels></View>"""
    image, pen = draw(back="#8fd0ff")
    pen.rectangle((0, 100, 399, 199), fill="darkorange")
    found = boxes(predict(client, project, publish(image), config=config)[0])
    assert sorted(label for label, _ in found) == ["Sky", "dark orange"]

    useless = config.replace(labels, '<Label value="Dog"/>')
    response = client.post("/setup", json={"project": f"{project}.1", "schema": useless})
    assert response.status_code == 500
    assert "colour" in response.json["detail"]


def test_the_sample_images(client: Any, project: int, serve: Callable[[Path], str]) -> None:
    address = serve(HERE)
    paths = [task["data"]["image"].split("?d=")[1] for task in TASKS]
    light, house, blocks = predict(client, project, *(f"{address}/{path}" for path in paths))
    assert {label for label, _ in boxes(light)} == {"Black", "Red", "Yellow", "Green"}
    assert {"Red", "Green", "Blue", "Yellow"} <= {label for label, _ in boxes(house)}
    assert len(blocks["result"]) == 5


def test_setup_and_events(client: Any, project: int) -> None:
    response = client.post("/setup", json={"project": f"{project}.1", "schema": CONFIG})
    assert response.json["model_version"]
    body = {"action": "START_TRAINING", "project": {"id": project, "label_config": CONFIG}}
    assert client.post("/webhook", json=body).status_code == 201
