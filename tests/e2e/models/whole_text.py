"""API v2, interactive: labels the whole text with the label of the region that was just drawn."""

from label_studio_ml.model import LabelStudioMLBase
from label_studio_ml.response import ModelResponse


class WholeText(LabelStudioMLBase):
    def predict(self, tasks, context=None, **kwargs):
        drawn = (context or {}).get("result") or []
        return ModelResponse(predictions=[self.mark(task, drawn) for task in tasks])

    def mark(self, task, drawn):
        if not drawn:
            return {"result": [], "score": 0.0}
        _, to_name, key = self.get_first_tag_occurence("Labels", "Text")
        text = task["data"][key]
        region = {
            "from_name": drawn[0]["from_name"],
            "to_name": to_name,
            "type": "labels",
            "value": {
                "start": 0,
                "end": len(text),
                "text": text,
                "labels": drawn[0]["value"]["labels"],
            },
        }
        return {"result": [region], "score": 1.0}
