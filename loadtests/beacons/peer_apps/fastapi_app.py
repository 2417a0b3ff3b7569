"""The same beacon in FastAPI as its manual shows it: a pydantic body, Cookie, CORSMiddleware."""

from typing import Annotated, Any

from fastapi import Cookie, FastAPI, Response  # type: ignore[import-not-found]
from fastapi.middleware.cors import CORSMiddleware  # type: ignore[import-not-found]
from pydantic import BaseModel  # type: ignore[import-not-found]

app = FastAPI()
app.add_middleware(
    CORSMiddleware,
    allow_origins=["https://shop.example"],
    allow_credentials=True,
    expose_headers=["Jumelle-Visitor", "Retry-After"],
)


class Context(BaseModel):  # type: ignore[misc]
    """The part of a message's context that is read."""

    token: str = ""
    consent: dict[str, Any] | None = None
    library: dict[str, str] | None = None


class Beacon(BaseModel):  # type: ignore[misc]
    """A message of eleven fields."""

    type: str
    messageId: str  # noqa: N815 - as it is written on the wire
    timestamp: str = ""
    sentAt: str = ""  # noqa: N815
    userId: str = ""  # noqa: N815
    anonymousId: str = ""  # noqa: N815
    event: str = ""
    name: str = ""
    properties: dict[str, Any] = {}
    traits: dict[str, Any] = {}
    context: Context | None = None


@app.post("/t", status_code=204)  # type: ignore[untyped-decorator]
async def beacon(
    data: Beacon | list[Beacon], response: Response, jml: Annotated[str, Cookie()] = ""
) -> None:
    """Answer a beacon with 204."""
    assert data
    response.set_cookie("jml", jml, max_age=34128000, httponly=True, samesite="lax")
