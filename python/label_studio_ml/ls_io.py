"""Reading annotated tasks from Label Studio."""

from typing import TYPE_CHECKING, Any, cast

from label_studio_ml._original import names as _names

if not TYPE_CHECKING:
    __getattr__ = _names.getter(__name__)


def download_ls_dataset(api_url: str, api_token: str, project_id: int) -> list[dict[str, Any]]:
    """Return the annotated tasks of a project, which the client of label-studio-sdk fetches."""
    from label_studio_sdk import Client

    project = Client(api_url, api_token).get_project(id=project_id)
    return cast(list[dict[str, Any]], project.get_labeled_tasks())
