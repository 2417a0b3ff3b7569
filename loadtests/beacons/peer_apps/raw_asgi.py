"""A bare ASGI function: the least that a Python program can do behind uvicorn."""

from collections.abc import Awaitable, Callable
from typing import Any

from beacon import CORS, GIF, IMAGE, decode, set_cookie, visitor_in

Event = dict[str, Any]


async def app(
    scope: Event, receive: Callable[[], Awaitable[Event]], send: Callable[[Event], Awaitable[None]]
) -> None:
    """Answer a beacon with 204, a pixel with its GIF."""
    visitor = b""
    for name, value in scope["headers"]:
        if name == b"cookie":
            visitor = visitor_in(value)
    status, body, fixed = 200, GIF, IMAGE
    if scope["method"] == "POST":
        decode(await _body_of(receive))
        status, body, fixed = 204, b"", CORS
    headers = [*fixed, set_cookie(visitor), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _body_of(receive: Callable[[], Awaitable[Event]]) -> bytes:
    event = await receive()
    body: bytes = event["body"]
    while event["more_body"]:
        event = await receive()
        body += event["body"]
    return body
