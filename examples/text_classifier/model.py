"""A text classifier that learns from webhook events alone: TF-IDF and logistic regression.

It works with a labelling config that has a Choices control on a Text object. Every annotation
that an event brings is kept in MODEL_DIR, so nothing has to be fetched from Label Studio.
"""

from __future__ import annotations

import logging
import os
import pickle
import tempfile
import threading
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from store import AnnotationStore

from label_studio_ml.model import LabelStudioMLBase
from label_studio_ml.response import ModelResponse
from label_studio_ml.utils import DATA_UNDEFINED_NAME

logger = logging.getLogger(__name__)

# Path of a model file -> what the file looked like when it was read, and what was in it.
_loaded: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {}

# The server makes a new version when files of the model change; hidden folders are none of those.
COLLECTED = ".annotations"

# Where events are handled in request threads, two could train at once, and the older model win.
_training = threading.Lock()


class TextClassifier(LabelStudioMLBase):
    """Gives every task one choice, as soon as it has learnt two of them."""

    # Label Studio sends the plural when annotations are deleted.
    TRAIN_EVENTS = (*LabelStudioMLBase.TRAIN_EVENTS, "ANNOTATIONS_DELETED")

    def setup(self) -> None:
        """Find the tags to work with; ValueError if the labelling config has no such tags."""
        if hasattr(self, "label_interface"):  # there is none before a project is known
            self.from_name, self.to_name, self.key = self.get_first_tag_occurence("Choices", "Text")

    # ---------------------------------------------------------------- prediction

    def predict(
        self, tasks: list[dict[str, Any]], context: dict[str, Any] | None = None, **kwargs: Any
    ) -> ModelResponse:
        """Return one prediction per task, with an empty result where nothing is known.

        That is: before the first training, and for a task without text.
        """
        trained = load(self._file("model-{}.pkl"))
        if trained is None:
            return ModelResponse(predictions=[nothing() for _ in tasks])
        predictions = [self._predict_one(trained["pipeline"], self._text(task)) for task in tasks]
        # The version in the file, not self.model_version: a training may end at this moment.
        return ModelResponse(predictions=predictions, model_version=trained["version"])

    def _predict_one(self, pipeline: Pipeline, text: str) -> dict[str, Any]:
        labels = self._labels()
        # The config may have changed since the training: only its present choices are answers.
        columns = [i for i, label in enumerate(pipeline.classes_) if label in labels]
        if not text or not columns:
            return nothing()
        row = pipeline.predict_proba([text])[0]
        best = max(columns, key=lambda column: row[column])
        region = {
            "from_name": self.from_name,
            "to_name": self.to_name,
            "type": "choices",
            "value": {"choices": [str(pipeline.classes_[best])]},
        }
        return {"result": [region], "score": float(row[best])}

    # ---------------------------------------------------------------- training

    def fit(self, event: str, data: dict[str, Any], **kwargs: Any) -> dict[str, Any] | None:
        """Keep what the event tells, and train if it is time to; None if nothing was trained.

        START_TRAINING always trains; annotations do when TRAIN_EVERY of them (10 by default) are
        new to the model. With TRAIN_EVERY=0 only START_TRAINING does.
        """
        store = AnnotationStore(self._file("annotations-{}.db", COLLECTED))
        if event.endswith("_DELETED"):
            for annotation in data.get("annotations") or [data.get("annotation") or {}]:
                if "id" in annotation:
                    store.delete(str(annotation["id"]))
        elif data.get("annotation"):
            self._keep(store, data["annotation"], data.get("task") or {})

        every = int(os.environ.get("TRAIN_EVERY") or 10)
        if event == "START_TRAINING" or 0 < every <= store.unused():
            with _training:
                return self._train(store)
        logger.info("Project %s: %s new annotations of %s", self.project_id, store.unused(), every)
        return None

    def _keep(self, store: AnnotationStore, annotation: dict, task: dict) -> None:
        text, label = self._text(task), None
        if text and not annotation.get("was_cancelled"):  # that is what a skipped one is called
            label = self._choice(annotation)
        now = datetime.now(timezone.utc).isoformat()
        edited = annotation.get("updated_at") or annotation.get("created_at") or now
        store.put(str(annotation["id"]), text, label, edited)

    def _train(self, store: AnnotationStore) -> dict[str, Any] | None:
        labels = self._labels()
        examples = store.examples()
        texts = [text for _, text, label, _ in examples if label in labels]
        targets = [label for _, _, label, _ in examples if label in labels]
        if len(set(targets)) < 2:
            # Not marked as used: the next annotation tries again.
            reason = f"annotations with two different choices are needed, found {set(targets)}"
            logger.warning("Project %s is not trained: %s", self.project_id, reason)
            return None

        pipeline = make_pipeline(
            # Pieces of words: with few examples "repaired" should help with "repairs".
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True),
            LogisticRegression(C=10, max_iter=1000, class_weight="balanced"),
        )
        pipeline.fit(texts, targets)
        version = f"0.{store.next_training()}.0"
        trained = pickle.dumps({"version": version, "pipeline": pipeline})
        replace_file(self._file("model-{}.pkl"), trained)
        self.set("model_version", version)
        store.mark_used(examples)
        return {"examples": len(texts), "model_version": version}

    # ---------------------------------------------------------------- helpers

    def _file(self, pattern: str, subfolder: str = "") -> str:
        folder = os.path.join(os.environ.get("MODEL_DIR") or ".", subfolder)
        os.makedirs(folder, exist_ok=True)
        # The project comes with the request: quoted, it cannot lead out of the folder.
        return os.path.join(folder, pattern.format(quote(self.project_id, safe="")))

    def _labels(self) -> list[str]:
        return self.parsed_label_config[self.from_name]["labels"]

    def _text(self, task: dict[str, Any]) -> str:
        data = task.get("data") or {}
        # Tasks imported as plain lines, before the project had a config, use the other key.
        text = data.get(self.key, data.get(DATA_UNDEFINED_NAME))
        return "" if text is None else str(text).strip()

    def _choice(self, annotation: dict[str, Any]) -> str | None:
        for region in annotation.get("result") or []:
            if region.get("from_name") == self.from_name and region["value"].get("choices"):
                return region["value"]["choices"][0]
        return None


def nothing() -> dict[str, Any]:
    """Return a prediction that says nothing; a score would claim that it does."""
    return {"result": [], "score": None}


def load(path: str) -> dict[str, Any] | None:
    """Return what is in a model file, None if there is none; read again when it was replaced."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            signature = (status.st_ino, status.st_mtime_ns, status.st_size)
            known = _loaded.get(path)
            if known is None or known[0] != signature:
                known = _loaded[path] = (signature, pickle.load(file))
            return known[1]
    except FileNotFoundError:
        return None


def replace_file(path: str, content: bytes) -> None:
    """Write a file so that nobody, not even after a power cut, ever finds half of it."""
    handle, draft = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".draft-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
