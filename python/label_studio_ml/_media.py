"""The part of the base class that fetches files of tasks."""

import logging
import os
from typing import Any, cast

from label_studio_ml.utils import is_preload_needed

logger = logging.getLogger("label_studio_ml.model")


class Media:
    """Finds local copies of what a task's data names.

    Functions that tests of models replace are looked up in `label_studio_ml.model` at each call.
    """

    _label_studio_client: Any = None
    hostname: str = ""
    access_token: str = ""

    @classmethod
    def _api_generation(cls) -> int:
        raise NotImplementedError

    def _get_label_studio_client(self) -> Any:
        """Return the SDK's client of Label Studio, made once; False if none could be made."""
        from label_studio_ml import model

        if self._label_studio_client is None:
            environment = os.environ.get
            address = (
                environment("LABEL_STUDIO_URL")
                or environment("LABEL_STUDIO_HOST")
                or environment("HOSTNAME")
            )
            try:
                self._label_studio_client = model.LabelStudio(base_url=address)
            except Exception as error:
                logger.warning("no client for Label Studio at %s: %s", address, error)
                self._label_studio_client = False
        return self._label_studio_client

    def get_label_studio_access_token(self) -> str | None:
        """Return a token for Label Studio: a fresh one of the SDK's client, else the environment's.

        The client trades a personal access token for one that Label Studio takes.
        """
        client = self._get_label_studio_client()
        if client:
            return cast(str, client._client_wrapper._tokens_client.api_key)
        environment = os.environ.get
        return environment("LABEL_STUDIO_API_KEY") or environment("LABEL_STUDIO_ACCESS_TOKEN")

    def get_local_path(
        self,
        url: str,
        project_dir: str | None = None,
        ls_host: str | None = None,
        ls_access_token: str | None = None,
        task_id: int | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> str:
        """Return the path of a local copy of `url`, which may be one of Label Studio's own.

        Generation 1 asks the Label Studio that /setup named. Generation 2 asks `ls_host` with
        `ls_access_token`, else those of the environment; files in cloud storages need `task_id`.
        """
        from label_studio_ml import model

        if self._api_generation() == 1:
            return model.get_local_path(
                url,
                project_dir=project_dir,
                hostname=self.hostname,
                access_token=self.access_token,
            )
        if ls_access_token is None:
            ls_access_token = self.get_label_studio_access_token()
        named = {"project_dir": project_dir, "hostname": ls_host, "access_token": ls_access_token}
        return model.get_local_path(url, *args, **named, task_id=task_id, **kwargs)

    def preload_task_data(
        self, task: dict[str, Any], value: Any = None, read_file: bool = True
    ) -> Any:
        """Return `value` of a task with addresses and paths replaced by the text of their files.

        Dicts are changed in place, lists are copied. With `read_file=False` they are replaced by
        the paths of local copies.
        """
        if isinstance(value, dict):
            for key, item in value.items():
                value[key] = self.preload_task_data(task=task, value=item, read_file=read_file)
            return value
        if isinstance(value, list):
            return [
                self.preload_task_data(task=task, value=item, read_file=read_file) for item in value
            ]
        if not (isinstance(value, str) and is_preload_needed(value)):
            return value
        path = self.get_local_path(url=value, task_id=task.get("id"))
        if not read_file:
            return path
        with open(path, "r") as file:  # noqa: PTH123, UP015 - tests of models patch this call
            return file.read()
