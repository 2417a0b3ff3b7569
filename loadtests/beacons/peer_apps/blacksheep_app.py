"""The same beacon and pixel in BlackSheep, with its own request and response."""

from beacon import CORS, GIF, IMAGE, decode, set_cookie, visitor_in
from blacksheep import (  # type: ignore[import-not-found]
    Application,
    Content,
    Request,
    Response,
    get,
    post,
)

app = Application()


@post("/t")  # type: ignore[untyped-decorator]
async def beacon(request: Request) -> Response:
    """Answer a beacon with 204."""
    visitor = visitor_in(request.get_first_header(b"cookie") or b"")
    decode(await request.read())
    return Response(204, [*CORS, set_cookie(visitor)])


@get("/p.gif")  # type: ignore[untyped-decorator]
async def pixel(request: Request) -> Response:
    """Answer with the GIF."""
    visitor = visitor_in(request.get_first_header(b"cookie") or b"")
    return Response(200, [IMAGE[1], set_cookie(visitor)], Content(b"image/gif", GIF))
