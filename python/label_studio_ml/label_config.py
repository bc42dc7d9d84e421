"""Labelling configurations of Label Studio as dicts."""

from typing import Any, Literal

from label_studio_ml import _native


def parse_config(
    config: str | None, dialect: Literal["tools", "sdk"] = "tools"
) -> dict[str, dict[str, Any]]:
    """Return the control tags of a labelling config: name → description.

    A description holds `type` (the tag), `to_name` (names of object tags), `inputs` (the object
    tags: `type` and `value`, the key in the task's data), `labels` and `labels_attrs`, and where
    they apply `regex`, `conditionals` and `dynamic_labels`. None and "" give {}.

    `dialect` says whose result it is to equal: that of label-studio-tools, which models of
    generation 1 expect, or that of label-studio-sdk, for generation 2. A config that is not
    well-formed XML or has a `<!DOCTYPE>` raises `LabelStudioXMLSyntaxErrorSentryIgnored` of that
    package; one that names an encoding raises ValueError, as lxml does.
    """
    return _native.parse_config(config, dialect)
