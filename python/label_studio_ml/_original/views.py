"""Functions that the original registered with its app and that scripts call, or register again."""

import hmac

from flask import Response, request
from werkzeug.datastructures import Headers

from label_studio_ml import api


def safe_str_cmp(a: str | bytes, b: str | bytes) -> bool:
    """Compare two secrets in a time that does not tell how much of them is equal."""
    left, right = (text.encode() if isinstance(text, str) else text for text in (a, b))
    return hmac.compare_digest(left, right)


def log_request_info() -> None:
    """Log headers and body of the request at level DEBUG, without the password."""
    headers = Headers(request.headers)
    if "Authorization" in headers:
        headers["Authorization"] = "***"
    api.logger.debug("Request headers: %s", headers)
    api.logger.debug("Request body: %s", request.get_data())


def log_response_info(response: Response) -> Response:
    """Log status, headers and body of a response at level DEBUG; return it."""
    api.logger.debug("Response status: %s", response.status)
    api.logger.debug("Response headers: %s", response.headers)
    api.logger.debug("Response body: %s", response.get_data())
    return response


def no_such_job_error_handler(error: Exception) -> tuple[str, int]:
    """Answer 410 with the text of an error about a job."""
    return _warned(error, 410)


def file_not_found_error_handler(error: Exception) -> tuple[str, int]:
    """Answer 404 with the text of an error."""
    return _warned(error, 404)


def assertion_error(error: Exception) -> tuple[str, int]:
    """Answer 500 with the text of an error, and log its traceback."""
    return _logged(error)


def index_error(error: Exception) -> tuple[str, int]:
    """Answer 500 with the text of an error, and log its traceback."""
    return _logged(error)


def _warned(error: Exception, status: int) -> tuple[str, int]:
    api.logger.warning("Got error: %s", error)
    return str(error), status


def _logged(error: Exception) -> tuple[str, int]:
    api.logger.error("%s", error, exc_info=True)
    return str(error), 500
