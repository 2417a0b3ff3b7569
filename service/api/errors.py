"""Errors of every floor become `application/problem+json` (RFC 9457), each mapped once."""

from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from audiences.build import NotBuiltError
from audiences.definitions import AudienceInUseError, UnknownAudienceError
from audiences.exports.export_store import SegmentTaken
from audiences.lookalike import LookalikeError


class NotFound(Exception):
    """Something that was asked for is not there; the message says what and where to look."""


class Invalid(Exception):
    """What was sent cannot be used; the message says what was found and what to do."""


class Conflict(Exception):
    """What was asked contradicts what is; the message says with what."""


STATUS_OF: Final[dict[type[Exception], int]] = {
    NotFound: 404,
    Invalid: 400,
    Conflict: 409,
    ValueError: 400,
    msgspec.ValidationError: 400,
    msgspec.DecodeError: 400,
    LookalikeError: 422,
    UnknownAudienceError: 404,
    NotBuiltError: 409,
    AudienceInUseError: 409,
    SegmentTaken: 409,
}
TITLES: Final = {
    400: "Bad request",
    401: "Not authorised",
    403: "Forbidden",
    404: "Not found",
    409: "Conflict",
    422: "Cannot be done",
    500: "Internal error",
}


def on_error(_: Request[Any, Any, Any], problem: Exception) -> Response[bytes]:
    """Answer any exception with a problem document; what is ours shows no details."""
    if isinstance(problem, HTTPException):
        return problem_response(problem.status_code, problem.detail)
    for kind, status in STATUS_OF.items():
        if isinstance(problem, kind):
            return problem_response(status, str(problem))
    raise problem


def problem_response(status: int, detail: str) -> Response[bytes]:
    """Make a problem document."""
    body = {
        "type": "about:blank",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
    }
    return Response(
        msgspec.json.encode(body), status_code=status, media_type="application/problem+json"
    )
