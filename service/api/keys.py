"""API keys: made once, shown once, revoked for ever."""

from typing import Any, Final

import msgspec
from litestar import Request, delete, get, post
from litestar.types import ControllerRouterHandler

from service.api.auth import ENVIRONMENT_KEY, Scope, needs
from service.api.errors import Invalid, NotFound


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new key may do."""

    scopes: tuple[str, ...]
    name: str = ""
    sites: tuple[str, ...] = ()


@get("/api/keys", guards=[needs(Scope.ADMIN)], sync_to_thread=True)
def list_keys(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """List the keys in force, never their text."""
    return {
        "keys": [
            {"id": key.id, "name": key.name, "scopes": key.scopes, "sites": key.sites}
            for key in request.app.state.key_ring.in_force()
        ]
    }


@post("/api/keys", guards=[needs(Scope.ADMIN)], sync_to_thread=True)
def create_key(request: Request[Any, Any, Any], data: NewKey) -> dict[str, Any]:
    """Make a key; its text is in this answer and nowhere else."""
    known = {str(scope) for scope in Scope}
    unknown = sorted(set(data.scopes) - known)
    if unknown or not data.scopes:
        raise Invalid(f"scopes {unknown or 'are missing'}; give some of {', '.join(sorted(known))}")
    if data.name == ENVIRONMENT_KEY:
        raise Invalid(f"only the environment's key is called {ENVIRONMENT_KEY}; name it otherwise")
    for site in data.sites:
        if request.app.state.engine.config.site(site) is None:
            raise Invalid(f"there is no site {site!r} that a key could be for")
    text = request.app.state.key_ring.create(data.name, data.scopes, data.sites)
    return {"key": text, "scopes": data.scopes, "sites": data.sites}


@delete("/api/keys/{key_id:str}", guards=[needs(Scope.ADMIN)], sync_to_thread=True)
def revoke_key(request: Request[Any, Any, Any], key_id: str) -> None:
    """End a key at once."""
    if not request.app.state.key_ring.revoke(key_id):
        raise NotFound(f"there is no key {key_id!r} in force; GET /api/keys lists them")


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (list_keys, create_key, revoke_key)
