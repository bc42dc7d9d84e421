"""The part of the base class that fetches files of tasks."""

import logging
import os
from typing import Any, cast

from label_studio_ml._media import label_studio_address
from label_studio_ml._media.label_studio_address import Connection
from label_studio_ml.exceptions import MediaError
from label_studio_ml.utils import is_preload_needed, names_file

logger = logging.getLogger("label_studio_ml.model")


class Media:
    """Finds local copies of files that a task's data names.

    Functions that tests of models patch are looked up in `label_studio_ml.model` at each call.
    """

    _label_studio_client: Any = None
    _label_studio_of_setup: Connection | None = None
    hostname: Any
    access_token: Any

    @classmethod
    def _ml_api_version(cls) -> int:
        raise NotImplementedError

    def _get_label_studio_client(self) -> Any:
        """Return the SDK's client of Label Studio, made once; False if that failed."""
        from label_studio_ml import model

        if self._label_studio_client is None:
            named = label_studio_address.of_environment()
            address = named[0] if named else None
            try:
                self._label_studio_client = model.LabelStudio(base_url=address)
            except Exception as error:
                logger.warning("no client for Label Studio at %s: %s", address, error)
                self._label_studio_client = False
        return self._label_studio_client

    def get_label_studio_access_token(self) -> str | None:
        """Return a token for Label Studio: a fresh one of the SDK's client, else that of the
        environment, else that of /setup.

        The client exchanges a personal access token for one that Label Studio accepts.
        """
        client = self._get_label_studio_client()
        if client:
            return cast(str, client._client_wrapper._tokens_client.api_key)
        environment = os.environ.get
        own = environment("LABEL_STUDIO_API_KEY") or environment("LABEL_STUDIO_ACCESS_TOKEN")
        return own or self._known_connection().access_token or None

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
        """Return the path of a local copy of `url`, which may be a path of Label Studio.

        Address and token of Label Studio are `ls_host` and `ls_access_token`, else those of the
        environment (LABEL_STUDIO_URL, LABEL_STUDIO_API_KEY), else those of /setup; files in cloud
        storages need `task_id`. Raises `label_studio_ml.exceptions.MediaError`, a FileNotFoundError.
        """
        from label_studio_ml import model

        known = self._known_connection()
        ls_host = ls_host or kwargs.pop("hostname", None)
        ls_access_token = ls_access_token or kwargs.pop("access_token", None)
        named: dict[str, Any] = {"project_dir": project_dir}
        if self._ml_api_version() == 1:
            named["hostname"] = ls_host or known.hostname
            named["access_token"] = ls_access_token or known.access_token
            named |= {} if task_id is None else {"task_id": task_id}
        else:
            if ls_access_token is None and _gives_own_token(self):
                ls_access_token = self.get_label_studio_access_token()
            named |= {"hostname": ls_host, "access_token": ls_access_token, "task_id": task_id}
        fetch: Any = model.get_local_path
        with label_studio_address.connected(known):
            return cast(str, fetch(url, *args, **named, **kwargs))

    def _known_connection(self) -> Connection:
        """Return address and token that /setup brought for this instance."""
        known = self._label_studio_of_setup or label_studio_address.current()
        if self._ml_api_version() == 1:
            # An instance that was made without the server has only the attributes.
            return Connection(
                self.hostname or known.hostname, self.access_token or known.access_token
            )
        return known

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
        try:
            path = self.get_local_path(url=value, task_id=task.get("id"))
        except MediaError:
            if names_file(value) or os.path.isabs(value):  # noqa: PTH117
                raise
            # A text that happens to equal the name of something in the working folder.
            return value
        if not read_file:
            return path
        with open(path, "r") as file:  # noqa: PTH123, UP015 - tests of models patch this call
            return file.read()


def _gives_own_token(model: Media) -> bool:
    """Tell whether a class, or a test of it, has replaced the functions that provide the token."""
    return any(
        getattr(getattr(model, name), "__func__", None) is not own
        for name, own in _OWN_FUNCTIONS.items()
    ) or bool(model._label_studio_client)


_OWN_FUNCTIONS = {
    name: Media.__dict__[name]
    for name in ("get_label_studio_access_token", "_get_label_studio_client")
}
