"""What every API command shares: the client from the environment, `--json`, and exit codes.

0 ok, 1 failed, 2 usage, 3 not found, 4 partly done. Messages go to stderr.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import click

from service.api_client import ApiClient, ApiError, NoKeyError, client_from_environment
from service.audience_files import AudienceFileError
from service.import_files import ImportFailedError

P = ParamSpec("P")
FAILURES = (ApiError, NoKeyError, AudienceFileError, ImportFailedError)


class CommandError(click.ClickException):
    """The command did not do its work."""

    exit_code = 1


class NotFoundError(CommandError):
    """The thing that was asked for does not exist."""

    exit_code = 3


class PartlyDoneError(CommandError):
    """A part of the work is done, the message says which is not."""

    exit_code = 4


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Write the answer as JSON on stdout."
)
site_option = click.option(
    "--site", default="demo", show_default=True, help="The site, by its key."
)


def with_api(command: Callable[Concatenate[ApiClient, P], None]) -> Callable[P, None]:
    """Give a command an open API client, and turn refusals into messages and exit codes."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with client_from_environment() as api:
                command(api, *args, **kwargs)
        except FAILURES as error:
            raise _as_click(error) from error

    return run


def find_in(things: list[dict[str, Any]], key: str, kind: str) -> dict[str, Any]:
    """Give the thing with this key out of a list, or say that there is none."""
    for thing in things:
        if thing.get("key") == key:
            return thing
    known = ", ".join(str(thing.get("key")) for thing in things) or "none"
    raise NotFoundError(f"no {kind} {key!r}; known are: {known}")


def _as_click(error: Exception) -> click.ClickException:
    if isinstance(error, NoKeyError):
        return click.UsageError(str(error))
    if isinstance(error, ApiError) and error.status == 404:
        return NotFoundError(str(error))
    return CommandError(str(error))
