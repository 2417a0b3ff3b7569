"""The overview page: what there is, read from the API with the key that its user enters.

Files stand beside this module; no script or style comes from anywhere else.
"""

from importlib.resources import files
from typing import Final

from litestar import Response, get
from litestar.types import ControllerRouterHandler

from service.api.errors import NotFound

TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
SECURITY: Final = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@get("/", sync_to_thread=False)
def overview() -> Response[bytes]:
    """Show the overview."""
    return _file("overview.html")


@get("/web/{name:str}", sync_to_thread=False)
def web_file(name: str) -> Response[bytes]:
    """Give a script or style of the pages."""
    return _file(name)


def _file(name: str) -> Response[bytes]:
    ending = name.rpartition(".")[2]
    path = files("service.web").joinpath(name)
    if ending not in TYPES or "/" in name or not path.is_file():
        raise NotFound(f"there is no page file {name!r}")
    headers = {**SECURITY, "Content-Type": f"{TYPES[ending]}; charset=utf-8"}
    return Response(path.read_bytes(), headers=headers)


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (overview, web_file)
