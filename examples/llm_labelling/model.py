"""Labelling by a large language model, behind any endpoint that speaks the OpenAI protocol.

It works with a labelling config that has a Choices control, a TextArea control, or both on a Text
object. A TextArea named "prompt" is for people: what they write there is what the model is told.
"""

from __future__ import annotations

import difflib
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chat import ask, model_name

from label_studio_ml.model import LabelStudioMLBase
from label_studio_ml.response import ModelResponse

PROMPT = "prompt"  # the name of the TextArea, the stored key and the extra parameter
DEFAULT_PROMPT = "You label texts for a data set. Read the text and answer briefly."

# Enough for a typing error. Lower, "not positive" would become "positive".
SIMILAR = 0.85


class LanguageModelLabeller(LabelStudioMLBase):
    """Asks the language model about every task, and puts its answers into the controls."""

    def setup(self) -> None:
        """Find the tags to work with; ValueError if the labelling config has no such tags."""
        if hasattr(self, "label_interface"):  # there is none before a project is known
            self.choices = self._find_tag("Choices")
            self.text_area = self._find_tag("TextArea")
            tag = self.choices or self.text_area
            if tag is None:
                raise ValueError(
                    "The labelling config needs a <Choices> control or a <TextArea> control "
                    f"with another name than {PROMPT!r} on a <Text> object"
                )
            self.key = tag[2]
            self.labels: list[str] = []
            if self.choices is not None:
                self.labels = self.parsed_label_config[self.choices[0]]["labels"]

    def _find_tag(self, kind: str) -> tuple[str, str, str] | None:
        try:
            return self.get_first_tag_occurence(kind, "Text", name_filter=lambda n: n != PROMPT)
        except ValueError:
            return None

    # ---------------------------------------------------------------- prediction

    def predict(
        self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **kwargs: Any
    ) -> ModelResponse:
        """Return one prediction per task; ChatError if the model cannot be asked.

        A prompt in the context, which is what a person has entered so far, is kept for the project
        and used from now on.
        """
        self._keep_prompt(context)
        instruction = self._instruction()
        version = f"{model_name()}-{zlib.crc32(instruction.encode()):08x}"
        if self.get("model_version") != version:
            self.set("model_version", version)

        # The endpoint is what takes the time. Bounded, since most endpoints limit their clients.
        with ThreadPoolExecutor(int(os.environ.get("LLM_CONCURRENCY") or 4)) as pool:
            # map() drops the tasks that still wait when one has failed: no point in asking on.
            predictions = list(pool.map(lambda task: self._predict_one(task, instruction), tasks))
        return ModelResponse(predictions=predictions, model_version=version)

    def _predict_one(self, task: dict[str, Any], instruction: str) -> dict[str, Any]:
        text = (task.get("data") or {}).get(self.key)
        if text is None or not str(text).strip():
            return {"result": [], "score": None}
        answer = ask(instruction, str(text))
        result, score = [], None
        if self.choices is not None:
            first_line, _, rest = answer.partition("\n")
            label, score = match(first_line, self.labels)
            if label is not None:
                result.append(region(self.choices, "choices", {"choices": [label]}))
                answer = rest.strip()
            # Else the whole answer goes into the TextArea: a person can see what went wrong.
        if self.text_area is not None and answer:
            result.append(region(self.text_area, "textarea", {"text": [answer]}))
        return {"result": result, "score": score}

    # ---------------------------------------------------------------- prompt

    def _keep_prompt(self, context: dict[str, Any] | None) -> None:
        # "or {}", because Label Studio does send "context": null.
        for drawn in (context or {}).get("result") or []:
            if drawn.get("from_name") == PROMPT:
                text = (drawn.get("value") or {}).get("text") or ""
                written = text if isinstance(text, str) else "\n".join(text)
                self.set(PROMPT, written.strip())

    def _instruction(self) -> str:
        """Return what the model is told: a person's prompt, else the extra parameter's."""
        params = self.extra_params
        given = params.get(PROMPT) if isinstance(params, dict) else None
        instruction = self.get(PROMPT) or given or DEFAULT_PROMPT
        if self.labels:
            listed = "\n".join(f"- {label}" for label in self.labels)
            instruction += f"\n\nAnswer with one of these, spelt exactly as here:\n{listed}"
            if self.text_area is not None:
                instruction += "\n\nExplain your answer on the next line."
        return instruction


def region(tag: tuple[str, str, str], kind: str, value: dict[str, Any]) -> dict[str, Any]:
    """Return a region of a control tag, which is (from_name, to_name, key in the task's data)."""
    return {"from_name": tag[0], "to_name": tag[1], "type": kind, "value": value}


def match(answer: str, labels: list[str]) -> tuple[str | None, float]:
    """Return the label that an answer means and how alike they are; (None, 0.0) without one."""
    answer = answer.strip()
    if answer in labels:
        return answer, 1.0
    plain = _plain(answer)
    for label in labels:
        if _plain(label) == plain:
            return label, 1.0
    ratios = [difflib.SequenceMatcher(None, plain, _plain(label)).ratio() for label in labels]
    best = max(ratios, default=0.0)
    return (labels[ratios.index(best)], best) if best >= SIMILAR else (None, 0.0)


def _plain(text: str) -> str:
    # Models like to decorate: "**Positive**", "- positive.", '"Positive"'.
    return text.strip(" \t*_`'\"“”‘’.,:;!-").casefold()
