"""The observed fact "this visitor is that customer", how it was learnt, and how much it weighs.

Values only: observations come in as parallel arrays (a whole log), or as columns to be stored.
Whether a claim was proven is decided on receipt, not here.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray


class Method(StrEnum):
    """How an identification was learnt; PAGE names nobody and only confirms a click."""

    LOGIN = "login"
    PURCHASE = "purchase"
    SERVER = "server"
    CLICK = "click"
    FORM = "form"
    PAGE = "page"
    IMPORT = "import"


METHODS: Final = tuple(Method)
"""A method's code in arrays is its place here."""
METHOD_CODES: Final = {method: code for code, method in enumerate(METHODS)}
UNKNOWN_METHOD: Final = 255
"""Code of a method that a newer version stored; it never counts."""

STRENGTHS: Final = {
    Method.LOGIN: 4,
    Method.PURCHASE: 4,
    Method.SERVER: 3,
    Method.IMPORT: 3,
    Method.CLICK: 2,
    Method.FORM: 1,
    Method.PAGE: 0,
}


class AuthState(StrEnum):
    """What is known of who sits at a browser; a click or a file proves a link, and no session."""

    UNKNOWN = "unknown"
    CLAIMED = "claimed"
    AUTHENTICATED = "authenticated"
    LOGGED_OUT = "logged_out"


AUTHENTICATING: Final = frozenset({Method.LOGIN, Method.PURCHASE, Method.SERVER})
"""The methods that tell of a session."""

BLOCKED_CRM_IDS: Final = frozenset(
    {
        "-1",
        "null",
        "none",
        "nil",
        "nan",
        "undefined",
        "unknown",
        "anonymous",
        "guest",
        "n/a",
        "na",
        "false",
        "true",
        "[object object]",
    }
)
"""What scripts send when they have no id: one such value would swallow every browser."""


class Observations(msgspec.Struct, frozen=True, kw_only=True):
    """A log of identifications as parallel arrays; (chunk, row) names the observation."""

    visitor: NDArray[np.uint32]
    customer: NDArray[np.uint32]
    at_ms: NDArray[np.int64]
    method: NDArray[np.uint8]
    claimed: NDArray[np.bool_]
    chunk: NDArray[np.uint64]
    row: NDArray[np.uint32]
    proof: NDArray[np.uint64]
    """Which link a click came by; 0 for all other methods."""

    def take(self, which: NDArray[Any]) -> "Observations":
        """Keep the observations at these indexes, or where the mask is true."""
        return Observations(**{name: getattr(self, name)[which] for name in self.__struct_fields__})


class IdentificationColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Identifications to be stored: one list or array per column, all of one length."""

    chunk: Sequence[int] | NDArray[np.uint64]
    row: Sequence[int] | NDArray[np.uint32]
    received_at_ms: Sequence[int] | NDArray[np.int64]
    at_ms: Sequence[int] | NDArray[np.int64]
    visitor: Sequence[int] | NDArray[np.uint32]
    customer: Sequence[int] | NDArray[np.uint32]
    method: Sequence[str]
    claimed: Sequence[bool] | NDArray[np.bool_]
    site: Sequence[str]
    proof: Sequence[int] | NDArray[np.uint64]


def auth_state(method: str, *, claimed: bool) -> AuthState:
    """Tell what an observation of this method says of the session it was made in."""
    if claimed or method == Method.FORM:
        return AuthState.CLAIMED
    return AuthState.AUTHENTICATED if method in AUTHENTICATING else AuthState.UNKNOWN


def is_blocked(crm_id: str) -> bool:
    """Tell an id that no customer has from a usable one.

    Unfilled macros count as blocked, and whatever is made of zeros and dashes alone.
    """
    text = crm_id.strip()
    if text.casefold() in BLOCKED_CRM_IDS or not text.strip("0-"):
        return True
    return text.startswith(("{{", "${", "%%", "[%"))
