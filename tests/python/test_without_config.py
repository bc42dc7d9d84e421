"""Commands without a labelling config, for models that read it; and why a model cannot be loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hosting import CHOICES, run, write_script

#: Ways in which a model asks for its labelling config, and fails without one.
READERS = {
    "first tag": "found = self.get_first_tag_occurrence('Choices', 'Text')",
    "first tag, misspelled": "found = self.get_first_tag_occurence('Choices', 'Text')",
    "interface": "found = self.label_interface.controls",
    "parsed": "found = list(self.parsed_label_config.items())[0]",
    "text": "found = self.label_config.strip()",
    "utils": "found = get_single_tag_keys(self.parsed_label_config, 'Choices', 'Text')",
    "helper": "found = names_of(self)",
}
MODEL = """
from label_studio_ml.model import LabelStudioMLBase
from label_studio_ml.utils import get_single_tag_keys

def names_of(model):
    return next(iter(model.parsed_label_config.values()))

class Reader(LabelStudioMLBase):
    LABEL_STUDIO_ML_API = {api}

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        {init}

    def predict(self, tasks, context=None, **kwargs):
        {predict}
        return [{{"result": []}} for _ in tasks]
"""


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([{"id": 17, "data": {"text": "fine"}}]))
    return path


@pytest.mark.parametrize("place", ["init", "predict"])
@pytest.mark.parametrize("api", [1, 2])
@pytest.mark.parametrize("reader", READERS)
def test_the_config_that_is_missing_is_asked_for(
    tmp_path: Path, tasks: Path, reader: str, api: int, place: str
) -> None:
    parts = {"init": "pass", "predict": "pass", place: READERS[reader]}
    script = write_script(tmp_path / "m", MODEL.format(api=api, **parts))
    done = run("validate", script, "--task", tasks, cwd=tmp_path)
    assert done.returncode in (1, 2)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        "error: Reader reads the labelling config, and there is none: give --config FILE"
    )
    assert "object has no attribute" not in last
    config = tmp_path / "config.xml"
    config.write_text(CHOICES)
    done = run("validate", script, "--task", tasks, "--config", config, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_predict_says_it_too(tmp_path: Path, tasks: Path) -> None:
    source = MODEL.format(api=2, init="pass", predict=READERS["first tag"])
    script = write_script(tmp_path / "m", source)
    done = run("predict", script, "--input", tasks, "--output", tmp_path / "out.json", cwd=tmp_path)
    assert done.returncode == 1
    assert "task 17: Reader reads the labelling config" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: Reader reads the labelling config")


@pytest.mark.parametrize("api", [1, 2])
def test_another_reason_stays_the_reason(tmp_path: Path, tasks: Path, api: int) -> None:
    source = MODEL.format(api=api, init="pass", predict="raise ValueError('no weights')")
    source = source.replace("next(iter(model.parsed_label_config.values()))", "1")
    script = write_script(tmp_path / "m", source)
    done = run("validate", script, "--task", tasks, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: task 17: predict failed: ValueError: no weights"
    assert "--config" not in done.stderr


def test_a_model_that_cannot_be_loaded_is_told_with_file_and_line(
    tmp_path: Path, tasks: Path
) -> None:
    source = MODEL.format(api=2, init="raise ValueError('no weights')", predict="pass")
    script = write_script(tmp_path / "m", source)
    config = tmp_path / "config.xml"
    config.write_text(CHOICES)
    line = next(n for n, text in enumerate(source.splitlines(), 1) if "no weights" in text)
    for command in (["validate", script, "--task"], ["predict", script, "--input"]):
        done = run(*command, tasks, "--config", config, cwd=tmp_path)
        assert done.returncode == 2
        expected = (
            f"error: the model cannot be loaded: ValueError: no weights ({script}, line {line})"
        )
        assert done.stderr.splitlines()[-1] == expected
