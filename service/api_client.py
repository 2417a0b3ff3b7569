"""The API as Python calls: takes a path and a JSON value, gives the answer's JSON value.

Every refusal becomes one `ApiError` with the server's own words. Nothing is retried and nothing is
kept: what a command or the demo does with an answer is its own affair.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

DEFAULT_URL = "http://127.0.0.1:8000"
REQUEST_SECONDS_MAX = 300.0
WAIT_SECONDS_MAX = 1800.0
UNFINISHED = frozenset({"queued", "running", ""})

Params = Mapping[str, str | int | float | bool | None]
OnWait = Callable[[list[dict[str, Any]]], None]


class ApiError(Exception):
    """The API refused, failed or could not be reached; `status` 0 means no answer at all."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(f"{title}: {detail}" if detail else title)
        self.status = status
        self.title = title
        self.detail = detail


class NoKeyError(Exception):
    """No API key is set in the environment."""


class ApiClient:
    """One connection to the API with one key; close it, or use it in a `with`."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            headers={"authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(REQUEST_SECONDS_MAX, connect=10.0),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def get(self, path: str, params: Params | None = None) -> Any:
        """Read one resource."""
        return self._answer("GET", path, params=params)

    def post(self, path: str, body: Any = None, params: Params | None = None) -> Any:
        """Ask for something to be done."""
        return self._answer("POST", path, params=params, body=body)

    def put(self, path: str, body: Any) -> Any:
        """Create or replace one resource."""
        return self._answer("PUT", path, body=body)

    def delete(self, path: str) -> Any:
        """Take one resource away."""
        return self._answer("DELETE", path)

    def upload(self, path: str, content: bytes, params: Params) -> Any:
        """Send a file's bytes as they are."""
        return self._answer("POST", path, params=params, content=content)

    def stream(self, path: str, params: Params | None = None) -> Iterator[bytes]:
        """Read a resource piece by piece, for answers that may not fit into memory."""
        try:
            with self._http.stream("GET", path, params=_given(params)) as response:
                if response.is_error:
                    response.read()
                    raise _refusal(response)
                yield from response.iter_bytes()
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def wait_for_jobs(self, run: str | int, on_wait: OnWait | None = None) -> list[dict[str, Any]]:
        """Poll a run until each of its jobs is ok or failed, and give them."""
        return self._wait(lambda: self.get("/api/jobs", {"run": run})["jobs"], run, on_wait)

    def wait_for_export(self, run: str | int, on_wait: OnWait | None = None) -> dict[str, Any]:
        """Poll an export run until it is finished, and give it with its seats."""
        return self._wait(lambda: [self.get(f"/api/exports/{run}")], run, on_wait)[0]

    def _wait(
        self, look: Callable[[], list[dict[str, Any]]], run: str | int, on_wait: OnWait | None
    ) -> list[dict[str, Any]]:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        pause = 0.05
        while time.monotonic() < deadline:
            things = look()
            if things and all(thing.get("status", "") not in UNFINISHED for thing in things):
                return things
            if on_wait is not None:
                on_wait(things)
            time.sleep(pause)
            pause = min(pause * 1.5, 1.0)
        raise ApiError(0, "Still running", f"run {run} has not ended in {WAIT_SECONDS_MAX:.0f} s")

    def _answer(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        content: bytes | None = None,
    ) -> Any:
        headers = {"content-type": "application/octet-stream"}
        if content is None:
            headers = {"content-type": "application/json"}
            content = b"" if body is None else msgspec.json.encode(body)
        try:
            response = self._http.request(
                method, path, params=_given(params), content=content, headers=headers
            )
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise _refusal(response)
        return msgspec.json.decode(response.content) if response.content else None

    def _unreachable(self, error: httpx.TransportError) -> ApiError:
        return ApiError(
            0,
            f"No answer from {self.url}",
            f"{error or type(error).__name__}. Is the service running? "
            "Start it with `jumelle serve`, or set JUMELLE_URL.",
        )


def client_from_environment() -> ApiClient:
    """Open the client that JUMELLE_URL and JUMELLE_API_KEY, else JUMELLE_ADMIN_KEY, describe."""
    key = os.environ.get("JUMELLE_API_KEY") or os.environ.get("JUMELLE_ADMIN_KEY")
    if not key:
        raise NoKeyError(
            "No API key is set. Set JUMELLE_API_KEY to a key made by `jumelle key create`, or "
            "JUMELLE_ADMIN_KEY to the admin key that the first start printed."
        )
    return ApiClient(os.environ.get("JUMELLE_URL") or DEFAULT_URL, key)


def run_of(answer: Mapping[str, Any]) -> str | int:
    """Find the run's number in the answer to a request that started one."""
    run: str | int = answer["run"] if "run" in answer else answer["id"]
    return run


def _given(params: Params | None) -> dict[str, str | int | float | bool]:
    return {name: value for name, value in (params or {}).items() if value is not None}


def _refusal(response: httpx.Response) -> ApiError:
    try:
        problem = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    title = str(problem.get("title") or f"{response.status_code} {response.reason_phrase}")
    detail = str(problem.get("detail") or "")
    return ApiError(response.status_code, title, detail)
