"""Named entities: finds again what people have marked, and dates, money and e-mail addresses.

It works with a labelling config that has a Labels control on a Text object. spaCy splits the text
into words and matches the patterns; no trained pipeline is downloaded.
"""

from __future__ import annotations

import json
import threading
import uuid
import zlib
from collections import Counter, defaultdict
from functools import lru_cache
from typing import Any, NamedTuple

import rules
import spacy
from spacy.language import Language

from label_studio_ml.model import LabelStudioMLBase
from label_studio_ml.response import ModelResponse

STORED = "spans"  # the key: JSON of {annotation id: [[text, [label, …]], …]}
RULE_SCORE = 0.8  # less than 1.0: what people have marked is surer than a regular expression

# Where events are handled in request threads, two could read the stored spans, add theirs, and
# the one that writes last would undo the other.
_storing = threading.Lock()


class Pattern(NamedTuple):
    """What people have made of one text, and how much they agree."""

    labels: tuple[str, ...]
    score: float


class Entity(NamedTuple):
    """A part of a text, from start up to (not with) end."""

    start: int
    end: int
    labels: list[str]
    score: float


class EntityFinder(LabelStudioMLBase):
    """Marks every place where a known text stands, with the labels that people gave it."""

    # Label Studio sends the plural when annotations are deleted.
    TRAIN_EVENTS = (*LabelStudioMLBase.TRAIN_EVENTS, "ANNOTATIONS_DELETED")

    def setup(self) -> None:
        """Find the tags to work with; ValueError if the labelling config has no such tags."""
        if hasattr(self, "label_interface"):  # there is none before a project is known
            self.from_name, self.to_name, self.key = self.get_first_tag_occurence("Labels", "Text")
            self.labels = self.parsed_label_config[self.from_name]["labels"]

    # ---------------------------------------------------------------- prediction

    def predict(
        self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **kwargs: Any
    ) -> ModelResponse:
        """Return one prediction per task: the regions, and their mean score."""
        nlp, patterns = compile_patterns(self.get(STORED) or "{}")
        predictions = []
        for task in tasks:
            text = self._text(task)
            entities = self._find(text, nlp, patterns)
            score = sum(entity.score for entity in entities) / len(entities) if entities else 0.0
            regions = [self._region(text, entity) for entity in entities]
            predictions.append({"result": regions, "score": score})
        return ModelResponse(predictions=predictions)

    def _find(self, text: str, nlp: Language, patterns: list[Pattern]) -> list[Entity]:
        entities = []
        for span in nlp(text).ents:
            pattern = patterns[int(span.label_)]
            # The config may have changed since: only its present labels are suggested.
            labels = [label for label in pattern.labels if label in self.labels]
            if labels:
                entities.append(Entity(span.start_char, span.end_char, labels, pattern.score))
        for start, end, label in rules.find(text, self.labels):
            if not any(start < other.end and other.start < end for other in entities):
                entities.append(Entity(start, end, [label], RULE_SCORE))
        return sorted(entities)

    def _region(self, text: str, entity: Entity) -> dict[str, Any]:
        return {
            "id": uuid.uuid4().hex[:10],
            "from_name": self.from_name,
            "to_name": self.to_name,
            "type": "labels",
            "value": {
                # Label Studio counts code points, as Python does: an emoji is one character.
                "start": entity.start,
                "end": entity.end,
                "text": text[entity.start : entity.end],
                "labels": entity.labels,
            },
            "score": entity.score,
        }

    # ---------------------------------------------------------------- learning

    def fit(self, event: str, data: dict[str, Any], **kwargs: Any) -> None:
        """Take over the spans of the event's annotation; START_TRAINING brings none."""
        with _storing:
            spans = json.loads(self.get(STORED) or "{}")
            if event.endswith("_DELETED"):
                for annotation in data.get("annotations") or [data.get("annotation") or {}]:
                    spans.pop(str(annotation.get("id")), None)
            elif data.get("annotation"):
                # By annotation, so that an update takes back what the former version said.
                annotation_id = str(data["annotation"]["id"])
                spans[annotation_id] = self._spans(data["annotation"], data.get("task") or {})
                if not spans[annotation_id]:
                    del spans[annotation_id]
            stored = json.dumps(spans, ensure_ascii=False)
            if stored != (self.get(STORED) or "{}"):
                self.set(STORED, stored)
                self.set("model_version", f"spans-{zlib.crc32(stored.encode()):08x}")

    def _spans(self, annotation: dict, task: dict) -> list[tuple[str, list[str]]]:
        if annotation.get("was_cancelled"):  # that is what a skipped annotation is called
            return []
        text, spans = self._text(task), []
        for region in annotation.get("result") or []:
            value = region.get("value") or {}
            if region.get("from_name") == self.from_name and value.get("labels"):
                # Not value["text"]: there, line breaks are written as a backslash and an n.
                marked = text[value["start"] : value["end"]].strip()
                if marked:
                    spans.append((marked, value["labels"]))
        return spans

    def _text(self, task: dict[str, Any]) -> str:
        text = (task.get("data") or {}).get(self.key)
        return "" if text is None else str(text)


@lru_cache(maxsize=8)
def compile_patterns(stored: str) -> tuple[Language, list[Pattern]]:
    """Return a pipeline that finds the stored texts, labelled with their place in the list.

    The argument is the stored JSON itself, so what was compiled before can never be out of date.
    """
    votes: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for spans in json.loads(stored).values():
        for text, labels in spans:
            votes[text][tuple(sorted(labels))] += 1

    nlp, patterns, entries = spacy.blank("en"), [], []
    for text, counts in votes.items():
        labels, count = counts.most_common(1)[0]
        # The number instead of the label: for spaCy, some characters in a label are special.
        entries.append({"label": str(len(patterns)), "pattern": text})
        patterns.append(Pattern(labels, count / counts.total()))
    if entries:  # spaCy warns about a ruler that has none
        nlp.add_pipe("entity_ruler").add_patterns(entries)
    return nlp, patterns
