"""A text classifier that learns from your annotations: TF-IDF and logistic regression.

It works with any labelling config that has a Choices control on a Text object. Until it has been
trained it answers with the first label of the config at a low score; after that it answers with
what the annotations taught it. See README.md next to this file.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import uuid
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from label_studio_ml.model import LabelStudioMLBase
from label_studio_ml.utils import DATA_UNDEFINED_NAME

logger = logging.getLogger(__name__)

TIMEOUT = (5, 60)  # seconds to connect to Label Studio, and to wait for its answer
RECENT_RUNS = 20  # how many of the last training runs are searched for earlier examples
TRAINING_SET = "training_set.json"

# One annotation as the model sees it: {"text", "label", "updated_at"}. The label is None for a
# skipped or unusable annotation. It is kept all the same: it has to replace an older version of
# the same annotation that did have a label. Examples are stored in a dict by annotation id.
Example = dict[str, Any]
Examples = dict[str, Example]


class SimpleTextClassifier(LabelStudioMLBase):
    """Gives every task one label of the Choices control."""

    def __init__(self, **kwargs: Any) -> None:
        """Find the control tag and the object tag to work with.

        Raises ValueError when the labelling config has no Choices control on a Text object. No
        config at all is fine (the server may check the class before it knows a project).
        """
        super().__init__(**kwargs)
        self.from_name, self.to_name, self.value, self.labels = find_choices(
            self.parsed_label_config
        )
        self.model: Any = None  # read from disk at the first prediction

    # ---------------------------------------------------------------- prediction

    def predict(self, tasks: list[dict[str, Any]], **kwargs: Any) -> list[dict[str, Any]]:
        """Return one prediction per task: {"result": [one choices item], "score": probability}.

        A task without text, and every task before the first training, gets the first label at the
        score of a blind guess, 1 / number of labels. The result is empty only when there is no
        label to choose from.
        """
        answers = self._classify([self._text(task) for task in tasks])
        return [self._prediction(label, score) for label, score in answers]

    def _classify(self, texts: list[str]) -> list[tuple[str | None, float]]:
        guess = (self.labels[0], 1 / len(self.labels)) if self.labels else (None, 0.0)
        model = self._trained_model()
        if model is None or not texts:
            return [guess for _ in texts]

        # The config may have changed since the training: only its present labels are answers.
        known = [str(label) for label in model.classes_]
        columns = [i for i, label in enumerate(known) if label in self.labels or not self.labels]
        if not columns:
            return [guess for _ in texts]

        answers: list[tuple[str | None, float]] = []
        for text, row in zip(texts, model.predict_proba(texts), strict=True):
            best = max(columns, key=lambda column: row[column])
            # A model that has only ever seen one label is sure of it, but it knows nothing.
            score = float(row[best]) if len(known) > 1 else guess[1]
            answers.append((known[best], score) if text else guess)
        return answers

    def _prediction(self, label: str | None, score: float) -> dict[str, Any]:
        if label is None:
            return {"result": [], "score": score}
        region = {
            "from_name": self.from_name,
            "to_name": self.to_name,
            "type": "choices",
            "value": {"choices": [label]},
        }
        return {"result": [region], "score": score}

    def _trained_model(self) -> Any:
        """Return the model that train_output names, None before the first training."""
        model_file = self.train_output.get("model_file")
        if self.model is None and model_file:
            try:
                # Unpickling imports scikit-learn, which takes a second or two: that is why it
                # happens here and not in __init__, where Label Studio's /setup waits for us.
                with open(model_file, "rb") as file:
                    self.model = pickle.load(file)
            except OSError as error:
                logger.error("Answering like an untrained model, there is no model file: %s", error)
        return self.model

    # ---------------------------------------------------------------- training

    def fit(
        self, tasks: Iterable[dict[str, Any]], workdir: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Train on annotated tasks and return the train_output of the new model.

        /train hands over the annotated tasks themselves. A webhook event hands over no tasks but
        its payload, as data=: then the project's annotations are fetched from Label Studio, or,
        where that is not possible, the payload's annotation is added to the earlier examples.

        The train_output is {"labels": [str], "model_file": path or None, "training_set": path,
        "examples": int}; the paths are absolute. Without any usable example the previous model
        stays in place. Raises RuntimeError when training was asked for explicitly (the event
        START_TRAINING) and there is nothing at all to learn from.
        """
        folder = Path(workdir or os.getenv("MODEL_DIR") or ".").resolve()
        folder.mkdir(parents=True, exist_ok=True)

        payload = kwargs.get("data")
        if not payload:
            return self._train(self._examples(tasks), None, folder)

        event = str(kwargs.get("event") or "")
        project = project_id(payload)
        exported = self._export(project)
        if exported is None:
            examples = self._earlier_examples(project, folder, search_runs=workdir is not None)
        else:
            examples = self._examples(exported)
        # The export can be a moment older than the event, so the payload counts in either case.
        merge(examples, self._examples_in_payload(event, payload))
        if not examples and exported is None and event == "START_TRAINING":
            raise RuntimeError(
                "Nothing to train on: set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, so that the "
                "annotations can be fetched from Label Studio"
            )
        return self._train(examples, project, folder)

    def _train(self, examples: Examples, project: Any, folder: Path) -> dict[str, Any]:
        training_set = folder / TRAINING_SET
        # Written before the training, which takes longer: a job that runs at the same time should
        # find these examples. Replaced in one step: it must not find half of them.
        draft = folder / f"{TRAINING_SET}.{uuid.uuid4().hex[:8]}"
        draft.write_text(
            json.dumps({"project": project, "examples": examples}, ensure_ascii=False, indent=1),
            encoding="utf-8",
        )
        os.replace(draft, training_set)

        usable = [
            example
            for example in examples.values()
            if example["text"] and example["label"] and self._is_known(example["label"])
        ]
        train_output: dict[str, Any] = {
            "labels": self.train_output.get("labels", []),
            "model_file": self.train_output.get("model_file"),
            "training_set": str(training_set),
            "examples": len(usable),
        }
        if not usable:
            logger.warning("No usable annotation among %d, the model stays as it is", len(examples))
            return train_output

        model = make_model([example["label"] for example in usable])
        model.fit([example["text"] for example in usable], [example["label"] for example in usable])
        # A new name each time: a server may still be reading the previous file.
        model_file = folder / f"model-{uuid.uuid4().hex[:8]}.pkl"
        model_file.write_bytes(pickle.dumps(model))
        train_output["labels"] = [str(label) for label in model.classes_]
        train_output["model_file"] = str(model_file)
        return train_output

    # ---------------------------------------------------------------- examples

    def _text(self, task: dict[str, Any]) -> str:
        data = task.get("data") or {}
        text = data.get(self.value)
        if text is None:
            # Tasks imported as plain lines, before the project had a config, use this key.
            text = data.get(DATA_UNDEFINED_NAME)
        return "" if text is None else str(text).strip()

    def _is_known(self, label: str) -> bool:
        # A config may take its choices from the task: then it lists none, and any label is fine.
        return label in self.labels or not self.labels

    def _example(self, task: dict[str, Any], annotation: dict[str, Any]) -> Example:
        label = None
        # Label Studio calls a skipped annotation "cancelled".
        if not (annotation.get("was_cancelled") or annotation.get("skipped")):
            label = self._label(annotation)
        updated_at = annotation.get("updated_at") or annotation.get("created_at") or ""
        return {"text": self._text(task), "label": label, "updated_at": updated_at}

    def _label(self, annotation: dict[str, Any]) -> str | None:
        """Return the first label of our control in the annotation that the config knows."""
        for region in annotation.get("result") or []:
            if region.get("from_name") != self.from_name:
                continue
            for label in (region.get("value") or {}).get("choices") or []:
                if self._is_known(label):
                    return str(label)
                logger.warning(
                    "Annotation %s has the label %r, which is not in the labelling config: ignored",
                    annotation.get("id"),
                    label,
                )
        return None

    def _examples(self, tasks: Iterable[dict[str, Any]]) -> Examples:
        """Return an example for every annotation of the tasks, skipped ones included."""
        return {
            str(annotation.get("id") or f"{row}.{column}"): self._example(task, annotation)
            for row, task in enumerate(tasks)
            for column, annotation in enumerate(task.get("annotations") or [])
        }

    def _examples_in_payload(self, event: str, payload: dict[str, Any]) -> Examples:
        """Return what a webhook event says about annotations; {} if it says nothing."""
        if "DELETED" in event:
            lists = (as_dicts(payload.get(field)) for field in ("annotations", "annotation"))
            gone = [annotation for dicts in lists for annotation in dicts if "id" in annotation]
            # "9" is later than any date, so no earlier version brings the annotation back.
            return {str(a["id"]): {"text": "", "label": None, "updated_at": "9"} for a in gone}

        tasks = {task.get("id"): task for task in as_dicts(payload.get("task"))}
        only_task = next(iter(tasks.values())) if len(tasks) == 1 else None
        examples = {}
        for annotation in as_dicts(payload.get("annotation")):
            task = tasks.get(annotation.get("task"), only_task)
            if task is not None:
                key = str(annotation.get("id") or f"task {task.get('id')}")
                examples[key] = self._example(task, annotation)
        return examples

    def _earlier_examples(self, project: Any, folder: Path, search_runs: bool) -> Examples:
        """Return the examples of earlier training runs of this project.

        The train_output names the training set of the run that made the current model. A run that
        is not finished yet, or whose train_output was not handed to us, is found as a neighbour
        of our own workdir (search_runs).
        """
        examples: Examples = {}
        if self.train_output.get("training_set"):
            saved = read_training_set(Path(self.train_output["training_set"]))
            merge(examples, saved.get("examples", {}))
        runs = folder.parent.glob(f"*/{TRAINING_SET}") if search_runs else [folder / TRAINING_SET]
        newest_first = sorted(filter(Path.exists, runs), key=modified, reverse=True)
        saved_sets = (read_training_set(path) for path in newest_first)
        ours = (saved for saved in saved_sets if saved.get("project") == project)
        for saved in reversed(list(islice(ours, RECENT_RUNS))):
            merge(examples, saved.get("examples", {}))
        return examples

    # ---------------------------------------------------------------- Label Studio

    def _connections(self) -> list[tuple[str, str]]:
        """Return the (address, token) pairs to try: the environment's, then what /setup told us.

        Your token from the environment goes to your address only: whoever reaches this server can
        send a /setup request with another address in it.
        """
        variables = ("LABEL_STUDIO_URL", "LABEL_STUDIO_HOST", "LABEL_STUDIO_HOSTNAME")
        address = next((os.environ[name] for name in variables if os.getenv(name)), "")
        pairs = [
            (address, os.getenv("LABEL_STUDIO_API_KEY", "")),
            (self.hostname, self.access_token),
            (address, self.access_token),  # in a container, /setup's "localhost" leads nowhere
        ]
        clean = [((host or "").strip().rstrip("/"), (token or "").strip()) for host, token in pairs]
        return [(host, token) for host, token in dict.fromkeys(clean) if host and token]

    def _export(self, project: Any) -> list[dict[str, Any]] | None:
        """Return the project's annotated tasks, None when no Label Studio gives them to us."""
        if project is None:
            return None
        for host, token in self._connections():
            try:
                return fetch_annotated_tasks(host, token, project)
            # An error of requests is an OSError; the others mean an answer of the wrong shape.
            except (OSError, ValueError, LookupError, TypeError) as error:
                logger.warning("No export of project %s from %s: %s", project, host, error)
        return None


def find_choices(config: dict[str, Any]) -> tuple[str, str, str, list[str]]:
    """Return (from_name, to_name, key of the text in task["data"], labels) of the first fit.

    Raises ValueError if a config is given and has no Choices control on a Text object.
    """
    for from_name, control in config.items():
        if control["type"] == "Choices":
            for to_name, obj in zip(control["to_name"], control["inputs"], strict=False):
                if obj["type"] == "Text" and obj.get("value"):
                    return from_name, to_name, obj["value"], list(control["labels"])
    if config:
        found = ", ".join(f"{control['type']} {name!r}" for name, control in config.items())
        raise ValueError(
            "The labelling config needs a <Choices> control whose toName is a <Text> object, "
            f"but its controls are: {found}"
        )
    return "", "", "", []


def make_model(labels: list[str]) -> Any:
    """Return an untrained scikit-learn pipeline that suits these labels."""
    # Imported here, because a server that has not been trained yet does not need scikit-learn.
    from sklearn.dummy import DummyClassifier  # type: ignore
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore
    from sklearn.linear_model import LogisticRegression  # type: ignore
    from sklearn.pipeline import make_pipeline  # type: ignore

    # Pieces of words rather than words: with a few dozen examples "charged" should help with
    # "charge", and a text without spaces (Chinese, Japanese) should not be one single word.
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    if len(set(labels)) == 1:
        # Logistic regression refuses to learn from one label only.
        return make_pipeline(pieces, DummyClassifier(strategy="prior"))
    return make_pipeline(pieces, LogisticRegression(C=10, max_iter=1000))


def fetch_annotated_tasks(host: str, token: str, project: Any) -> list[dict[str, Any]]:
    """Return the JSON export of a project: its annotated tasks.

    Raises requests.RequestException when Label Studio cannot be reached or refuses; ValueError,
    LookupError or TypeError when its answer has the wrong shape.
    """
    import requests  # type: ignore

    if token.count(".") == 2:
        # A personal access token is a JWT: it is traded for a short-lived one.
        reply = requests.post(f"{host}/api/token/refresh", json={"refresh": token}, timeout=TIMEOUT)
        reply.raise_for_status()
        authorization = f"Bearer {reply.json()['access']}"
    else:
        authorization = f"Token {token}"
    reply = requests.get(
        f"{host}/api/projects/{project}/export",
        params={"exportType": "JSON"},
        headers={"Authorization": authorization},
        timeout=TIMEOUT,
    )
    reply.raise_for_status()
    tasks = reply.json()
    if not isinstance(tasks, list):
        raise ValueError("the export is not a list of tasks")
    return tasks


def project_id(payload: dict[str, Any]) -> Any:
    """Return the project's id from a webhook payload, None if it has none."""
    project = payload.get("project")
    return project.get("id") if isinstance(project, dict) else project


def as_dicts(value: Any) -> list[dict[str, Any]]:
    """Return the dicts in a payload field, which holds one of them, a list, or nothing."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, dict)]


def merge(examples: Examples, newer: Examples) -> None:
    """Add the newer examples in place; of two versions of an annotation the last edit wins."""
    for key, example in newer.items():
        known = examples.get(key)
        edited = example["updated_at"]
        if known is None or not edited or edited >= known["updated_at"]:
            examples[key] = example


def modified(path: Path) -> float:
    """Return the time of the last change; 0 for a file that has been cleaned up meanwhile."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def read_training_set(path: Path) -> dict[str, Any]:
    """Return a saved training set, {} if it is gone or cannot be read."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        logger.warning("Earlier examples are left out: %s", error)
        return {}
    return saved if isinstance(saved, dict) else {}
