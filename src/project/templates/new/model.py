"""A model for Label Studio, to start from: it predicts choices, and learns from annotations.

What a model can do, in short:

- `setup` runs once for each instance; load your model there, or when it is first needed.
- `predict` gets tasks and returns one prediction for each. `context` is what an annotator has drawn so
  far, if Label Studio asks while somebody labels.
- `fit` gets an event of Label Studio, such as a new annotation, and learns from it. It runs in
  its own process, so later predictions see only what it stores: small values with
  `self.set(key, text)`, large ones in files below the folder in the environment variable MODEL_DIR.
- `self.label_interface` is the labelling config as an object, `self.parsed_label_config` as a dict,
  `self.label_config` as text. `self.extra_params` is what was typed into Label Studio beside the
  address of this backend.
- `self.get_local_path(url, task_id=task["id"])` fetches an image or another file of a task.
- `self.model_version` is the version that predictions carry. Every training that changed something
  makes a new one, whether or not `fit` names it.
"""

import json
from typing import Any

from label_studio_ml.model import LabelStudioMLBase
from label_studio_ml.response import ModelResponse


class NewModel(LabelStudioMLBase):
    """Chooses for a text what was chosen for the same text before."""

    def setup(self) -> None:
        """Load what is needed to predict."""
        # from my_package import load
        # self.network = load(os.path.join(os.environ["MODEL_DIR"], "weights.bin"))

    def predict(
        self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **kwargs: Any
    ) -> ModelResponse:
        """Return a choice for each task, with a score from 0 to 1."""
        from_name, to_name, value = self.get_first_tag_occurrence("Choices", "Text")
        first = next(iter(self.label_interface.get_tag(from_name).labels))
        learned = self._learned()
        predictions = []
        for task in tasks:
            text = task["data"].get(value, "")
            region = {
                "from_name": from_name,
                "to_name": to_name,
                "type": "choices",
                "value": {"choices": [learned.get(text, first)]},
            }
            predictions.append({"result": [region], "score": 0.9 if text in learned else 0.1})
        return ModelResponse(predictions=predictions)

    def fit(self, event: str, data: dict[str, Any], **kwargs: Any) -> None:
        """Learn from an annotation that was created or updated."""
        if event not in ("ANNOTATION_CREATED", "ANNOTATION_UPDATED"):
            return
        _, _, value = self.get_first_tag_occurrence("Choices", "Text")
        learned = self._learned()
        for region in data["annotation"]["result"]:
            if region["type"] == "choices":
                learned[data["task"]["data"].get(value, "")] = region["value"]["choices"][0]
        self.set("learned", json.dumps(learned))

    def _learned(self) -> dict[str, str]:
        return json.loads(self.get("learned") or "{}")
