"""`label-studio-ml validate` and `label-studio-ml predict --input`, as a user types them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hosting import CHOICES, Server, make_project, run

#: Fails, errs or predicts as the text of the task says.
MODEL = """
    import os

    from label_studio_ml.model import LabelStudioMLBase

    class Careful(LabelStudioMLBase):
        LABEL_STUDIO_ML_API = 1

        def predict(self, tasks, **kwargs):
            return [self.one(task) for task in tasks]

        def one(self, task):
            text = task["data"]["text"]
            if text == "raise":
                raise ValueError("no such word")
            if text == "die":
                os._exit(3)
            if text == "none":
                return None
            if text == "null result":
                return {"result": None}
            label = "positive" if text == "wrong" else "Positive"
            region = {"from_name": "sentiment", "to_name": "text", "type": "choices",
                      "value": {"choices": [label]}}
            return {"result": [region], "score": 0.5}

        def fit(self, tasks, workdir=None, **kwargs):
            return {"tasks": len(list(tasks))}
"""


NEW = {"choices": ["Positive"]}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("careful"), MODEL)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.xml"
    path.write_text(CHOICES)
    return path


def tasks_file(folder: Path, *texts: str) -> Path:
    path = folder / "tasks.json"
    tasks = [{"id": 10 + index, "data": {"text": text}} for index, text in enumerate(texts)]
    path.write_text(json.dumps(tasks))
    return path


def validate(project: Path, tasks: Path, *more: str | Path) -> subprocess.CompletedProcess[str]:
    return run("validate", project, "--task", tasks, *more)


def predict(
    project: Path, tasks: Path, output: Path, *more: str | Path
) -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
    done = run("predict", project, "--input", tasks, "--output", output, *more)
    return done, json.loads(output.read_text()) if output.exists() else []


def test_validate_shows_predictions_and_is_content(
    project: Path, config: Path, tmp_path: Path
) -> None:
    done = validate(project, tasks_file(tmp_path, "fine", "good"), "--config", config)
    assert done.returncode == 0, done.stderr
    assert "Careful (API v1), model version INITIAL, 2 tasks" in done.stdout
    row = [cell.strip() for cell in done.stdout.splitlines()[4].strip("│").split("┆")]
    assert row == ["10", "sentiment → text", "choices", "choices Positive", "0.5", "INITIAL"]
    assert "Label Studio can show all of these predictions." in done.stdout


def test_validate_names_task_and_place(project: Path, config: Path, tmp_path: Path) -> None:
    done = validate(project, tasks_file(tmp_path, "fine", "wrong", "none"), "--config", config)
    assert done.returncode == 1
    said = " ".join(done.stdout.replace("│", " ").replace("┆", " ").split())
    assert '11 results[1].result[0].value.choices[0] is "positive"' in said
    assert "results[2] is None instead of a list of predictions" in said
    assert "2 findings." in said
    assert done.stderr == ""


NER = """
    from label_studio_ml.model import LabelStudioMLBase

    class Names(LabelStudioMLBase):
        LABEL_STUDIO_ML_API = 1

        def predict(self, tasks, **kwargs):
            span = {"from_name": "ner", "to_name": "text", "type": "labels",
                    "value": {"start": 0, "end": 4, "text": "John", "labels": ["Person"]}}
            return [{"result": [span]} for _ in tasks]
"""


def test_spans_are_measured_against_the_tasks_of_the_file(tmp_path: Path) -> None:
    project = make_project(tmp_path, NER)
    config = (
        '<View><Text name="text" value="$text"/><Labels name="ner" toName="text">'
        '<Label value="Person"/></Labels></View>'
    )
    (project / "label_config.xml").write_text(config)
    tasks = tasks_file(tmp_path, "John", "Joh", "Mary")
    done = validate(project, tasks)
    assert done.returncode == 1
    said = " ".join(done.stdout.replace("│", " ").replace("┆", " ").split())
    assert "11 results[1].result[0].value.end is 4, and the text has 3 characters" in said
    assert '12 results[2].result[0].value.text is "John", and 0 to 4 is "Mary"' in said
    assert "2 findings." in said
    done, made = predict(project, tasks, tmp_path / "strict.json", "--strict")
    assert done.returncode == 1
    assert [len(task["predictions"]) for task in made] == [1, 0, 0]


def test_validate_takes_the_config_beside_the_model(tmp_path: Path) -> None:
    project = make_project(tmp_path, MODEL)
    tasks = tasks_file(tmp_path, "wrong")
    done = validate(project, tasks)
    assert done.returncode == 0
    assert "without a labelling config" in done.stdout
    (project / "label_config.xml").write_text(CHOICES)
    assert validate(project, tasks).returncode == 1


def test_validate_tells_what_the_model_raised(project: Path, config: Path, tmp_path: Path) -> None:
    done = validate(project, tasks_file(tmp_path, "raise"), "--config", config)
    assert done.returncode == 1
    assert "ValueError: no such word" in done.stderr
    assert "in one" in done.stdout
    done = validate(project, tasks_file(tmp_path, "die"), "--config", config)
    assert done.returncode == 1
    assert "exited with status 3" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing", "neither a JSON list of tasks nor one task a line"),
        ("[1]", "item 1 is not a task"),
        ('[{"data": 1}]', "`data` of a task must be a JSON object"),
        ("[{]", "line 1 column 3"),
    ],
)
def test_files_that_are_no_tasks(
    project: Path, config: Path, tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "tasks.json"
    path.write_text(text)
    for done in (
        validate(project, path, "--config", config),
        run("predict", project, "--input", path, "--config", config),
    ):
        assert done.returncode == 2
        assert said in done.stderr
        assert str(path) in done.stderr


def test_files_that_are_not_there(project: Path, config: Path, tmp_path: Path) -> None:
    tasks = tasks_file(tmp_path, "fine")
    missing = tmp_path / "missing"
    done = validate(project, missing, "--config", config)
    assert done.returncode == 2 and str(missing) in done.stderr
    done = validate(project, tasks, "--config", missing)
    assert done.returncode == 2 and str(missing) in done.stderr
    config.write_text("<View>")
    done = validate(project, tasks, "--config", config)
    assert done.returncode == 2 and str(config) in done.stderr and "line 1" in done.stderr
    done = run("predict", project, "--input", tasks, "--output", missing / "in" / "p.json")
    assert done.returncode == 2 and "p.json" in done.stderr


def test_predict_writes_what_label_studio_imports(
    project: Path, config: Path, tmp_path: Path
) -> None:
    tasks = tasks_file(tmp_path, "fine", "good")
    done, written = predict(project, tasks, tmp_path / "out.json", "--config", config)
    assert done.returncode == 0, done.stderr
    assert "2 tasks predicted in" in done.stderr
    region = {
        "from_name": "sentiment",
        "to_name": "text",
        "type": "choices",
        "value": {"choices": ["Positive"]},
    }
    prediction = {"model_version": "INITIAL", "score": 0.5, "result": [region]}
    assert written == [
        {"id": 10, "data": {"text": "fine"}, "predictions": [prediction]},
        {"id": 11, "data": {"text": "good"}, "predictions": [prediction]},
    ]


def test_what_a_task_has_already_stays(project: Path, config: Path, tmp_path: Path) -> None:
    region = {"id": "r1", "from_name": "sentiment", "to_name": "text", "type": "choices",
              "value": {"choices": ["Negative"]}}  # fmt: skip
    rest = {
        "annotations": [{"id": 3, "result": [region], "completed_by": 1, "lead_time": 2.5}],
        "drafts": [],
        "meta": {"source": "ä"},
        "inner_id": 9007199254740993,
        "created_at": "2026-01-01T00:00:00Z",
    }
    other = {"model_version": "other", "result": [region], "score": 0.1, "id": 4}
    old = {"model_version": "INITIAL", "result": [region]}
    tasks = [
        {"id": 1, "data": {"text": "fine"}, **rest, "predictions": [other, old]},
        {"data": {"text": "fine"}, **rest},
        {"id": 3, "data": {"text": "raise"}, **rest, "predictions": [other, old]},
    ]
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(tasks))
    done, written = predict(project, path, tmp_path / "out.json", "--config", config)
    assert done.returncode == 1
    predictions = [task.pop("predictions") for task in written]
    for task in tasks:
        task.pop("predictions", None)
    assert written == [tasks[0], {"id": 2, **tasks[1]}, tasks[2]]
    new = {"model_version": "INITIAL", "score": 0.5, "result": [{**region, "value": NEW}]}
    del new["result"][0]["id"]
    assert predictions == [[other, new], [new], [other, old]]


def test_one_task_costs_no_other_its_prediction(
    project: Path, config: Path, tmp_path: Path
) -> None:
    texts = ["fine"] * 5 + ["raise", "die", "null result", "none"] + ["fine"] * 5
    tasks = tasks_file(tmp_path, *texts)
    options = ["--config", str(config), "--batch-size", "4", "--workers", "2"]
    done, written = predict(project, tasks, tmp_path / "out.json", *options)
    assert done.returncode == 1
    assert [len(task["predictions"]) for task in written] == [1] * 5 + [0, 0, 0, 0] + [1] * 5
    assert [task["id"] for task in written] == [10 + index for index in range(len(texts))]
    assert "task 15: ValueError: no such word" in done.stderr
    assert "task 16: worker" in done.stderr
    assert "task 17: results[0].result is None instead of a list" in done.stderr
    assert "11 tasks predicted" in done.stderr and "3 failed" in done.stderr
    assert "warning (in " in done.stderr


def test_strict_leaves_out_what_would_not_show(project: Path, config: Path, tmp_path: Path) -> None:
    tasks = tasks_file(tmp_path, *["wrong"] * 150, "fine")
    out = tmp_path / "out.json"
    options = ["--config", str(config), "--batch-size", "200"]
    done, written = predict(project, tasks, out, *options)
    assert done.returncode == 0
    assert all(task["predictions"] for task in written)
    done, written = predict(project, tasks, out, *options, "--strict")
    assert done.returncode == 1
    assert [bool(task["predictions"]) for task in written] == [False] * 150 + [True]
    assert "150 failed" in done.stderr
    assert "further failures are counted but not shown" in done.stderr


def test_predict_prints_where_no_output_is_named(
    project: Path, config: Path, tmp_path: Path
) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"text": "fine"}\n{"text": "good"}\n')
    done = run("predict", project, "--input", path, "--config", config)
    assert done.returncode == 0
    assert [task["id"] for task in json.loads(done.stdout)] == [1, 2]


def test_the_trained_version_of_the_project_predicts(config: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path, MODEL)
    server = Server(project)
    try:
        server.train(project="2.1795430965")
        version = server.wait_trained()
    finally:
        server.stop()
    tasks = tasks_file(tmp_path, "fine")

    def predicted_by(*options: str) -> str:
        done, written = predict(
            project, tasks, tmp_path / "out.json", "--config", str(config), *options
        )
        assert done.returncode == 0, done.stderr
        model_version: str = written[0]["predictions"][0]["model_version"]
        return model_version

    assert predicted_by() == version
    assert predicted_by("--project", "2") == version
    assert predicted_by("--project", "2.1795430965") == version
    assert predicted_by("--project", "3") == "INITIAL"
    assert f"model version {version} of project 2" in validate(project, tasks).stdout


def test_predict_wants_tasks(project: Path) -> None:
    done = run("predict", project)
    assert done.returncode == 2
    assert "--input FILE" in done.stderr and "--project ID" in done.stderr
    done = run("predict", project, "--project", "2", LABEL_STUDIO_URL="", LABEL_STUDIO_API_KEY="")
    assert done.returncode == 2
    done = run("predict", project, "--project", "my project")
    assert done.returncode == 2 and "`my project`" in done.stderr


def test_a_label_studio_that_is_not_there(project: Path) -> None:
    done = run(
        "predict",
        project,
        "--project",
        "2",
        "--label-studio-url",
        "http://127.0.0.1:1",
        "--api-key",
        "0123456789",
    )
    assert done.returncode == 2
    assert "nothing listens at http://127.0.0.1:1" in done.stderr
    assert "0123456789" not in done.stderr


def test_a_script_that_cannot_be_imported(tmp_path: Path, config: Path) -> None:
    project = make_project(tmp_path, MODEL)
    (project / "model.py").write_text("import not_there\n")
    done = validate(project, tasks_file(tmp_path, "fine"), "--config", config)
    assert done.returncode == 2
    assert "not_there" in done.stderr
