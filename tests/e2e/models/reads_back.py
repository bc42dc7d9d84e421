"""API v2: reads the annotations of its project from Label Studio, with the SDK of Label Studio."""

import os
from collections import Counter

from label_studio_sdk import LabelStudio

from label_studio_ml.model import LabelStudioMLBase
from label_studio_ml.response import ModelResponse


class ReadsBack(LabelStudioMLBase):
    def setup(self):
        self.from_name, self.to_name, self.key = self.get_first_tag_occurence("Choices", "Text")

    def predict(self, tasks, context=None, **kwargs):
        choices = self.get("choice")
        region = {
            "from_name": self.from_name,
            "to_name": self.to_name,
            "type": "choices",
            "value": {"choices": [choices]},
        }
        return ModelResponse(predictions=[{"result": [region] if choices else []} for _ in tasks])

    def fit(self, event, data, **kwargs):
        client = LabelStudio(
            base_url=os.environ["LABEL_STUDIO_URL"], api_key=os.environ["LABEL_STUDIO_API_KEY"]
        )
        found = Counter(
            region["value"]["choices"][0]
            for task in client.tasks.list(project=data["project"]["id"], fields="all")
            for annotation in task.annotations or []
            for region in annotation["result"]
        )
        if found:
            self.set("choice", found.most_common(1)[0][0])
        # Without a change there is no new version.
        self.set("trainings", str(int(self.get("trainings") or 0) + 1))
