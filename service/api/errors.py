"""Errors of every floor become `application/problem+json` (RFC 9457), each mapped once."""

import logging
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from audiences.build import NotBuiltError
from audiences.definitions import AudienceCycleError, AudienceInUseError, UnknownAudienceError
from audiences.exports.export_store import SegmentTaken
from audiences.lookalike import LookalikeError
from audiences.rule_source import RuleError
from service.engine.database_disk import DatabaseDiskFull

log: Final = logging.getLogger("jumelle.api")


class NotFound(Exception):
    """Something that was asked for is not there; the message says what and where to look."""


class Invalid(Exception):
    """What was sent cannot be used; the message says what was found and what to do."""


class NotAcceptable(Exception):
    """Something is never given in the form that was asked for; the message names the others."""


class Conflict(Exception):
    """What was asked contradicts what is; the message says with what."""


STATUS_OF: Final[dict[type[Exception], int]] = {
    NotFound: 404,
    Invalid: 400,
    NotAcceptable: 406,
    Conflict: 409,
    RuleError: 400,
    AudienceCycleError: 400,
    UnicodeError: 400,
    msgspec.ValidationError: 400,
    msgspec.DecodeError: 400,
    LookalikeError: 422,
    UnknownAudienceError: 404,
    NotBuiltError: 409,
    AudienceInUseError: 409,
    SegmentTaken: 409,
    DatabaseDiskFull: 507,
}
INTERNAL_ERROR: Final = 500
TITLES: Final = {
    400: "Bad request",
    401: "Not authorised",
    403: "Forbidden",
    404: "Not found",
    406: "Not acceptable",
    409: "Conflict",
    422: "Cannot be done",
    500: "Internal error",
    507: "No space",
}


def on_error(_: Request[Any, Any, Any], problem: Exception) -> Response[bytes]:
    """Answer any exception with a problem document; what is ours shows no details."""
    if _came_of_depth(problem):
        log.warning("a request needed more stack than there is")
        return problem_response(400, "the body is nested too deeply")
    if isinstance(problem, HTTPException) and problem.status_code != INTERNAL_ERROR:
        return problem_response(problem.status_code, problem.detail)
    for kind, status in STATUS_OF.items():
        if isinstance(problem, kind):
            return problem_response(status, str(problem))
    log.error("a request failed", exc_info=problem)
    return problem_response(INTERNAL_ERROR, "this failed on our side; the service's log says why")


def _came_of_depth(problem: BaseException | None) -> bool:
    """Tell whether the stack ran out: the framework wraps what a body's decoder raises."""
    while problem is not None and not isinstance(problem, RecursionError):
        problem = problem.__cause__ or problem.__context__
    return problem is not None


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
