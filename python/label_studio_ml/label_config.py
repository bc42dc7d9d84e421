"""Labelling configurations of Label Studio as dicts."""

from typing import Any, Literal

from label_studio_ml import _native


def parse_config(
    config_string: str | None, dialect: Literal["tools", "sdk"] = "tools"
) -> dict[str, dict[str, Any]]:
    """Return the control tags of a labelling config: name → description.

    A description has `type` (the tag), `to_name` (names of object tags), `inputs` (the object
    tags: `type` and `value`, the key in the task's data), `labels` and `labels_attrs`, and where
    they apply `regex`, `conditionals` and `dynamic_labels`. None and "" give {}.

    `dialect` chooses whose result to return: that of label-studio-tools, which models of API v1
    expect, or that of label-studio-sdk, for API v2. A config that is not well-formed XML or has a
    `<!DOCTYPE>` raises `LabelStudioXMLSyntaxErrorSentryIgnored` of that package; a config that names
    an encoding raises ValueError, as lxml does.
    """
    return _native.parse_config(config_string, dialect)
