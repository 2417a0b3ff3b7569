"""An answer's bytes as they go over a connection, the server's own headers included.

Nothing is sent here.
"""

from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.tag.endpoint import wire_headers
from service.tag.request import TagAnswer

FAULT: Final = TagAnswer(
    status=500,
    headers=(("content-type", "text/plain; charset=utf-8"),),
    body=b"Internal Server Error",
)
"""What is answered when making an answer failed."""


def wire_of(answer: TagAnswer, defaults: list[tuple[bytes, bytes]], *, keep_alive: bool) -> bytes:
    """Give an answer's bytes, with the server's own headers; the same answer remembers them.

    The server makes a new list of its headers each second.
    """
    known: tuple[list[tuple[bytes, bytes]], bytes] | None = answer.__dict__.get("wire")
    if keep_alive and known is not None and known[0] is defaults:
        return known[1]
    lines = [b"%b: %b\r\n" % header for header in (*defaults, *wire_headers(answer))]
    if not keep_alive:
        lines.append(b"connection: close\r\n")
    made = b"".join((STATUS_LINE[answer.status], *lines, b"\r\n", answer.body))
    if keep_alive:
        answer.__dict__["wire"] = (defaults, made)
    return made
