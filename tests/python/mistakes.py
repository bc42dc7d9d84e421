"""A model that makes one mistake for each task, and what its users are told of it."""

from __future__ import annotations

CONFIG = """
<View>
  <Text name="text" value="$text"/>
  <Choices name="sentiment" toName="text"><Choice value="Positive"/><Choice value="Negative"/></Choices>
  <Labels name="ner" toName="text"><Label value="Person"/></Labels>
  <Image name="image" value="$image"/>
  <RectangleLabels name="box" toName="image"><Label value="Cat"/></RectangleLabels>
</View>
"""

#: The same, with tags whose regions are checked against the task.
LARGE_CONFIG = CONFIG.replace(
    "</View>",
    """
  <Brush name="mask" toName="image"/>
  <Repeater on="$pages" indexFlag="{{i}}"><Image name="page_{{i}}" value="$pages[{{i}}]"/>
  <Choices name="kind_{{i}}" toName="page_{{i}}"><Choice value="Positive"/></Choices></Repeater>
  <Image name="images" valueList="$pages"/>
  <RectangleLabels name="many" toName="images"><Label value="Cat"/></RectangleLabels>
 </View>""",
)

#: Every task says what mistake the model makes.
MISTAKEN = """
    from label_studio_ml.model import LabelStudioMLBase

    def choice(**changes):
        region = {"from_name": "sentiment", "to_name": "text", "type": "choices",
                  "value": {"choices": ["Positive"]}}
        return {**region, **changes}

    BOX = {"x": 10, "y": 10, "width": 20, "height": 20, "rectanglelabels": ["Cat"]}

    def box(**changes):
        return {"from_name": "box", "to_name": "image", "type": "rectanglelabels",
                "value": {**BOX, **changes}}

    def span(**value):
        return {"from_name": "ner", "to_name": "text", "type": "labels", "value": value}

    REGIONS = {
        "right": choice(),
        "right box": box(),
        "right span": span(start=0, end=4, labels=["Person"]),
        "from_name": choice(from_name="sentimen"),
        "to_name": choice(to_name="txt"),
        "type": choice(type="classification"),
        "no type": {"from_name": "sentiment", "to_name": "text",
                    "value": {"choices": ["Positive"]}},
        "label": choice(value={"choices": ["positive"]}),
        "label as text": choice(value={"choices": "Positive"}),
        "key": choice(value={"choice": ["Positive"]}),
        "pixels": box(x=640, width=320),
        "numbers as texts": box(x="10"),
        "no height": {"from_name": "box", "to_name": "image", "type": "rectanglelabels",
                      "value": {"x": 1, "y": 1, "width": 2, "rectanglelabels": ["Cat"]}},
        "span": span(start=9, end=4, labels=["Person"]),
        "beyond": span(start=0, end=5, labels=["Person"]),
        "other text": span(start=0, end=3, text="fine", labels=["Person"]),
        "outside": box(x=-30),
        "mask": {"from_name": "mask", "to_name": "image", "type": "brush",
                 "value": {"format": "rle", "rle": [1, 2]}},
        "page": choice(from_name="kind_2", to_name="page_2"),
        "other page": choice(from_name="kind_0", to_name="page_1"),
        "no page": choice(from_name="kind_first", to_name="page_0"),
        "item": {**box(), "from_name": "many", "to_name": "images", "item_index": 2},
    }
    ITEMS = {
        "none": None,
        "no result": {"score": 0.5},
        "result none": {"result": None},
        "result dict": {"result": choice()},
        "score": {"result": [choice()], "score": "high"},
        "version none": {"result": [choice()], "model_version": None},
        "other version": {"result": [choice()], "model_version": "mine"},
        "region text": {"result": ["Positive"]},
        "empty": [],
        "several": [{"result": [choice()]}, {"result": [box()]}],
    }

    class Mistaken(LabelStudioMLBase):
        LABEL_STUDIO_ML_API = 1

        def predict(self, tasks, **kwargs):
            mistakes = [task["data"]["mistake"] for task in tasks]
            first = mistakes[0]
            if first == "fewer":
                return [{"result": []}] * (len(tasks) - 1)
            if first == "one for all":
                return [{"result": []}]
            if first == "nothing":
                return []
            if first == "returns none":
                return None
            if first == "returns dict":
                return {"result": [choice()]}
            return [ITEMS[m] if m in ITEMS else {"result": [REGIONS[m]]} for m in mistakes]
"""

#: The mistake, and what the sentence says of it.
TOLD = {
    "from_name": (
        'results[0].result[0].from_name is "sentimen", and the labelling config has no such control'
        ' tag (it has "sentiment", "ner", "box", "mask", "many" or "kind_{{i}}"): the editor drops the'
        " region, or draws it without a label"
    ),
    "to_name": (
        'results[0].result[0].to_name is "txt", and the control tag "sentiment" points to "text":'
        " the editor drops the region"
    ),
    "type": (
        'results[0].result[0].type is "classification", and <Choices> writes "choices": the editor'
        " fails on it and shows nothing of this prediction"
    ),
    "no type": (
        'results[0].result[0].type is missing, and <Choices> writes "choices": the editor fails on'
        " it and shows nothing of this prediction"
    ),
    "label": (
        'results[0].result[0].value.choices[0] is "positive", "sentiment" has "Positive" or'
        ' "Negative": the editor selects nothing, or draws the region with a label that nobody can'
        " choose"
    ),
    "label as text": (
        'results[0].result[0].value.choices is "Positive" instead of a list of labels: the editor'
        " does not show it"
    ),
    "key": (
        "results[0].result[0].value.choices is missing (a list of labels): the editor does not show"
        " it"
    ),
    "pixels": (
        "results[0].result[0].value.x is 640, percent of the image go from 0 to 100 (are these"
        " pixels?): the editor draws it outside of what can be seen"
    ),
    "numbers as texts": (
        'results[0].result[0].value.x is "10" instead of a number in percent of the image: the'
        " editor does not show it"
    ),
    "no height": (
        "results[0].result[0].value.height is missing (a number in percent of the image): the editor"
        " does not show it"
    ),
    "span": (
        "results[0].result[0].value.end is 4, before the start at 9: the editor highlights nothing"
    ),
    "beyond": (
        "results[0].result[0].value.end is 5, and the text has 4 characters: the editor highlights"
        " less of the text, or nothing"
    ),
    "other text": (
        'results[0].result[0].value.text is "fine", and 0 to 3 is "fin" (it stands at 0 to 4): the'
        " editor highlights what stands at `start` to `end`"
    ),
    "outside": (
        "results[0].result[0].value.x is -30, percent of the image go from 0 to 100, and all of it"
        " lies outside: the editor draws it outside of what can be seen"
    ),
    "mask": (
        "results[0].result[0].original_width is missing (the width of the image in pixels): the"
        " editor draws the mask late or not at all, and exports cannot decode it"
    ),
    "page": (
        'results[0].result[0].from_name is "kind_2", and "pages" of the task has 2 items: the editor'
        " drops the region, or draws it without a label"
    ),
    "other page": (
        'results[0].result[0].to_name is "page_1", and `from_name` is "kind_0": the editor drops the'
        " region"
    ),
    "no page": (
        'results[0].result[0].from_name is "kind_first", and {{i}} stands for the number of an item,'
        " from 0 on: the editor drops the region, or draws it without a label"
    ),
    "item": (
        'results[0].result[0].item_index is 2, and "pages" of the task has 2 items: the editor shows'
        " it on no item"
    ),
    "none": (
        "results[0] is None instead of a list of predictions, empty for none: Label Studio answers"
        " 500 to that, so an empty list is sent instead"
    ),
    "no result": "results[0] has no `result`: Label Studio skips this prediction",
    "result none": (
        "results[0].result is None instead of a list of regions (`[]` stands for none): Label Studio"
        " refuses the whole batch with 400"
    ),
    "result dict": (
        "results[0].result is a dict instead of a list of regions: the editor fails on it and shows"
        " nothing of this prediction"
    ),
    "score": (
        'results[0].score is "high" instead of a number: Label Studio refuses the whole batch with'
        " 400"
    ),
    "version none": (
        "results[0].model_version is None instead of a text: Label Studio refuses the whole batch"
        " for that, so the served version is sent instead"
    ),
    "other version": (
        'results[0].model_version is "mine" and /setup tells "INITIAL": Label Studio asks for these'
        " predictions again and again"
    ),
    "region text": (
        'results[0].result[0] is "Positive" instead of a dict: Label Studio refuses the whole batch'
        " with 400"
    ),
    "fewer": (
        "results has one item for 2 tasks: Label Studio throws it away and asks for every task"
        " again, one by one"
    ),
    "nothing": (
        "results is an empty list for 2 tasks (`[]` for a task stands for no prediction): Label"
        " Studio stores no prediction"
    ),
    "returns none": (
        "results is null instead of a list with one item for each task: Label Studio stores no"
        " prediction"
    ),
    "returns dict": (
        "results is a dict instead of a list with one item for each task: Label Studio stores no"
        " prediction"
    ),
}
ABOUT_ALL = {"fewer", "nothing", "returns none", "returns dict"}
