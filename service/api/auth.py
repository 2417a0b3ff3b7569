"""Who may call the API: Bearer keys with scopes, optionally for named sites.

Keys are 32 random bytes shown once; only their SHA-256 is kept. `admin` may do everything. The
environment's key is held in memory alone. A key for named sites opens only routes that name one.
"""

import secrets
from collections.abc import Callable
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

import msgspec
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler

from service.engine.operation_store import ApiKey, OperationStore

PREFIX: Final = "jk_"
ENVIRONMENT_KEY: Final = "JUMELLE_ADMIN_KEY"
"""Name of the key that the environment gives; a stored key of this name is not in force."""


class Scope(StrEnum):
    """What a key may do."""

    AUDIENCES_READ = "audiences:read"
    AUDIENCES_WRITE = "audiences:write"
    PEOPLE_READ = "people:read"
    EXPORTS_RUN = "exports:run"
    CUSTOMERS_WRITE = "customers:write"
    PRIVACY = "privacy"
    OPERATION = "operation"
    ADMIN = "admin"


class KeyRing:
    """The API keys in force: those of the table, and the environment's admin key."""

    def __init__(self, store: OperationStore, *, admin_key: str = "") -> None:
        self._store = store
        self._own = _environment_keys(admin_key)
        self._by_hash: dict[str, ApiKey] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the table again."""
        stored = {
            each.hash: each
            for each in self._store.api_keys()
            if not each.revoked and each.name != ENVIRONMENT_KEY
        }
        self._by_hash = stored | self._own

    def find(self, text: str) -> ApiKey | None:
        """Give the key that this text is, or None."""
        return self._by_hash.get(_hash(text))

    def create(self, name: str, scopes: tuple[str, ...], sites: tuple[str, ...] = ()) -> str:
        """Make a key and give its text, which is never shown again."""
        text = PREFIX + secrets.token_urlsafe(32)
        self.admit(text, name, scopes, sites)
        return text

    def admit(
        self, text: str, name: str, scopes: tuple[str, ...], sites: tuple[str, ...] = ()
    ) -> None:
        """Let this text be a key with these scopes."""
        key = ApiKey(
            id=secrets.token_hex(6), hash=_hash(text), name=name, scopes=scopes, sites=sites
        )
        self._store.put_key(key)
        self.refresh()

    def revoke(self, key_id: str) -> bool:
        """End a stored key; tell whether there was one."""
        for key in list(self._by_hash.values()):
            if key.id == key_id and key.hash not in self._own:
                self._store.put_key(msgspec.structs.replace(key, revoked=True))
                self.refresh()
                return True
        return False

    def in_force(self) -> list[ApiKey]:
        """List the keys in force."""
        return list(self._by_hash.values())

    @property
    def has_admin(self) -> bool:
        """Whether anybody can administer this installation."""
        return any(Scope.ADMIN in key.scopes for key in self._by_hash.values())


Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], None]


def needs(*scopes: Scope, per_site: bool = False) -> Guard:
    """Make a guard that asks for one of these scopes.

    Only routes that name a site (`per_site`) open to a key for some sites; the handler asks which.
    """

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        key = key_of(connection)
        if not has_scope(key, *scopes):
            wanted = " or ".join(scopes)
            raise PermissionDeniedException(f"this key lacks the scope {wanted}")
        if key.sites and not per_site:
            raise PermissionDeniedException(
                f"this key is for the sites {', '.join(key.sites)} alone, and this route is for all"
            )

    return guard


def key_of(connection: ASGIConnection[Any, Any, Any, Any]) -> ApiKey:
    """Give the caller's key; refuse a caller without one."""
    scheme, _, text = connection.headers.get("authorization", "").partition(" ")
    found = None
    if scheme.lower() == "bearer":
        ring: KeyRing = connection.app.state.key_ring
        found = ring.find(text.strip())
    if found is None:
        raise NotAuthorizedException("send `Authorization: Bearer KEY` with a key of this service")
    return found


def sees_people(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Tell whether the caller may see exact counts of people; others see `rounding.shown`."""
    return has_scope(key_of(connection), Scope.PEOPLE_READ)


def has_scope(key: ApiKey, *scopes: Scope) -> bool:
    """Tell whether a key may do one of these."""
    return Scope.ADMIN in key.scopes or any(scope in key.scopes for scope in scopes)


def _environment_keys(text: str) -> dict[str, ApiKey]:
    if not text:
        return {}
    key = ApiKey(id="environment", hash=_hash(text), name=ENVIRONMENT_KEY, scopes=(Scope.ADMIN,))
    return {key.hash: key}


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
