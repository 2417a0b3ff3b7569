"""Who may call the API: Bearer keys with scopes, optionally for named sites.

Keys are 32 random bytes shown once; only their SHA-256 is kept. `admin` may do everything.
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
    """The API keys in force; the table is the authority."""

    def __init__(self, store: OperationStore) -> None:
        self._store = store
        self._by_hash: dict[str, ApiKey] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the table again."""
        self._by_hash = {each.hash: each for each in self._store.api_keys() if not each.revoked}

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
        """End a key; tell whether there was one."""
        for key in list(self._by_hash.values()):
            if key.id == key_id:
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


def needs(*scopes: Scope) -> Guard:
    """Make a guard that asks for one of these scopes."""

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        key = key_of(connection)
        if not has_scope(key, *scopes):
            wanted = " or ".join(scopes)
            raise PermissionDeniedException(f"this key lacks the scope {wanted}")

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


def has_scope(key: ApiKey, *scopes: Scope) -> bool:
    """Tell whether a key may do one of these."""
    return Scope.ADMIN in key.scopes or any(scope in key.scopes for scope in scopes)


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
