"""API v2: predicts the text of each task itself, for tests of encodings."""

from label_studio_ml.model import LabelStudioMLBase
from label_studio_ml.response import ModelResponse


class Repeats(LabelStudioMLBase):
    def predict(self, tasks, context=None, **kwargs):
        return ModelResponse(
            predictions=[
                {
                    "result": [
                        {
                            "from_name": "copy",
                            "to_name": "text",
                            "type": "textarea",
                            "value": {"text": [task["data"]["text"]]},
                        }
                    ],
                    "score": 1.0,
                }
                for task in tasks
            ]
        )
