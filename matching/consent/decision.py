"""What a decision about consent says, and what it must know of a partner.

Values alone: how a decision is found stands in `decide.py`.
"""

from collections.abc import Mapping
from enum import StrEnum, auto
from types import MappingProxyType
from typing import Final

import msgspec

from matching.consent.vendor_list import VendorList


class Signal(StrEnum):
    """Which signal decided."""

    OPT_OUT = auto()
    GPC = auto()
    GPP = auto()
    US_PRIVACY = auto()
    TCF = auto()
    EXPLICIT = auto()
    GOOGLE = auto()
    SITE_DEFAULT = auto()


class Reason(StrEnum):
    """Why a use is allowed or denied."""

    ALLOWED = auto()
    OPTED_OUT = auto()
    GPC = auto()
    GPP_UNREADABLE = auto()
    GPP_SECTION_UNKNOWN = auto()
    """A section applies that is missing or that nobody here can read."""
    GPP_NO_NOTICE = auto()
    """The law asks for a notice and none was given, so nobody could refuse."""
    GPP_OPT_OUT = auto()
    GPP_CHILD = auto()
    USP_UNREADABLE = auto()
    USP_OPT_OUT = auto()
    TCF_MISSING = auto()
    TCF_UNREADABLE = auto()
    TCF_INVALID = auto()
    TCF_EXPIRED = auto()
    TCF_PURPOSE = auto()
    TCF_VENDOR = auto()
    NO_GVL_ID = auto()
    NO_VENDOR_LIST = auto()
    EXPLICIT_DENIAL = auto()
    GOOGLE_MISSING = auto()
    GOOGLE_DENIAL = auto()
    DEFAULT_DENY = auto()


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The answer, the signal that gave it and why."""

    allowed: bool
    signal: Signal
    reason: Reason


class PartnerConsent(msgspec.Struct, frozen=True, kw_only=True):
    """A partner's number in the vendor list, and purposes it needs beyond those of the use."""

    gvl_id: int | None
    purposes: tuple[int, ...] = ()


NO_VENDOR_LISTS: Final[Mapping[int, VendorList]] = MappingProxyType({})
