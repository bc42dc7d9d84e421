"""API v1: predicts the choice of most annotations."""

from collections import Counter

from label_studio_ml.model import LabelStudioMLBase


class Majority(LabelStudioMLBase):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.from_name, schema = next(iter(self.parsed_label_config.items()))
        if schema["type"] != "Choices":
            raise ValueError("this model needs a Choices control")
        self.to_name = schema["to_name"][0]
        self.labels = schema["labels"]

    def predict(self, tasks, **kwargs):
        region = {
            "from_name": self.from_name,
            "to_name": self.to_name,
            "type": "choices",
            "value": {"choices": [self.train_output.get("choice") or self.labels[0]]},
        }
        return [{"result": [region], "score": 0.5} for _ in tasks]

    def fit(self, tasks, workdir=None, **kwargs):
        known = dict(self.train_output.get("known", {}))
        for task in tasks:
            for annotation in task["annotations"]:
                self.learn(known, annotation)
        data = kwargs.get("data") or {}
        for annotation in data.get("annotations") or []:
            known.pop(str(annotation["id"]), None)
        new = data.get("annotation") or []
        for annotation in new if isinstance(new, list) else [new]:
            self.learn(known, annotation)
        choices = Counter(known.values()).most_common(1)
        return {"known": known, "choice": choices[0][0] if choices else None}

    def learn(self, known, annotation):
        known.pop(str(annotation["id"]), None)
        if annotation["result"] and not annotation["was_cancelled"]:
            known[str(annotation["id"])] = annotation["result"][0]["value"]["choices"][0]
