"""API v2: predicts the choice of most annotations."""

import json
from collections import Counter

from label_studio_ml.model import LabelStudioMLBase
from label_studio_ml.response import ModelResponse


class Majority(LabelStudioMLBase):
    TRAIN_EVENTS = (
        *LabelStudioMLBase.TRAIN_EVENTS,
        "ANNOTATIONS_CREATED",
        "ANNOTATIONS_DELETED",
    )

    def setup(self):
        self.from_name, self.to_name, self.key = self.get_first_tag_occurence("Choices", "Text")

    def predict(self, tasks, context=None, **kwargs):
        labels = self.parsed_label_config[self.from_name]["labels"]
        region = {
            "from_name": self.from_name,
            "to_name": self.to_name,
            "type": "choices",
            "value": {"choices": [self.get("choice") or labels[0]]},
        }
        return ModelResponse(predictions=[{"result": [region], "score": 0.5} for _ in tasks])

    def fit(self, event, data, **kwargs):
        known = json.loads(self.get("known") or "{}")
        for annotation in data.get("annotations") or []:
            known.pop(str(annotation["id"]), None)
        new = data.get("annotation") or []
        for annotation in new if isinstance(new, list) else [new]:
            known.pop(str(annotation["id"]), None)
            if annotation["result"] and not annotation["was_cancelled"]:
                known[str(annotation["id"])] = annotation["result"][0]["value"]["choices"][0]
        choices = Counter(known.values()).most_common(1)
        self.set("known", json.dumps(known))
        self.set("choice", choices[0][0] if choices else "")
        self.set("trainings", str(int(self.get("trainings") or 0) + 1))
