"""What a visitor's link to a customer is, and the words for why there is one or none.

Values only; `votes.py` decides them, `crowds.py` cuts those of customers with too many visitors.
"""

from enum import StrEnum
from typing import Annotated, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from matching.identification import METHOD_CODES, METHODS, STRENGTHS, UNKNOWN_METHOD, Method
from matching.ids import NOBODY, VISITOR_FIRST

STRENGTH_OF: Final = np.zeros(UNKNOWN_METHOD + 1, dtype=np.uint8)
"""A method's strength by its code; an unknown one has none."""
STRENGTH_OF[: len(METHODS)] = [STRENGTHS[method] for method in METHODS]
CLICK: Final = METHOD_CODES[Method.CLICK]
PAGE: Final = METHOD_CODES[Method.PAGE]


class LinkStatus(StrEnum):
    """Why a visitor is linked or not; a SUPERSEDED observation lost to another customer."""

    NONE = "none"
    LINKED = "linked"
    SHARED_DEVICE = "shared_device"
    OVER_LIMIT = "over_limit"
    CLAIMED_ONLY = "claimed_only"
    CLICK_UNCONFIRMED = "click_unconfirmed"
    SUPERSEDED = "superseded"
    CLICK_OVER_LIMIT = "click_over_limit"


STATUSES: Final = tuple(LinkStatus)
"""A status's code in arrays is its place here."""
STATUS_CODES: Final = {status: code for code, status in enumerate(STATUSES)}
NO_STATUS: Final = STATUS_CODES[LinkStatus.NONE]
LINKED: Final = STATUS_CODES[LinkStatus.LINKED]
SHARED_DEVICE: Final = STATUS_CODES[LinkStatus.SHARED_DEVICE]
OVER_LIMIT: Final = STATUS_CODES[LinkStatus.OVER_LIMIT]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many visitors a customer may have, and how many customers make a shared device."""

    visitors_per_customer: Annotated[int, msgspec.Meta(ge=1)] = 100
    customers_per_visitor: Annotated[int, msgspec.Meta(ge=1)] = 10


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Per visitor (index = ordinal - VISITOR_FIRST) its customer, and why.

    `method` and `at_ms` are those of the strongest observation, also where a limit cut the link.
    """

    customer_of: NDArray[np.uint32]
    status: NDArray[np.uint8]
    method: NDArray[np.uint8]
    at_ms: NDArray[np.int64]

    def status_of(self, visitor: int) -> LinkStatus:
        """Give the status of one visitor; one never observed has none."""
        index = visitor - VISITOR_FIRST
        return STATUSES[self.status[index]] if 0 <= index < self.status.size else LinkStatus.NONE

    def customer_of_visitor(self, visitor: int) -> int:
        """Give the customer of one visitor."""
        index = visitor - VISITOR_FIRST
        return int(self.customer_of[index]) if 0 <= index < self.customer_of.size else NOBODY


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """The visitors whose customer changed, ascending, with the customer before and now."""

    visitors: NDArray[np.uint32]
    before: NDArray[np.uint32]
    now: NDArray[np.uint32]


NO_CHANGES: Final = Changes(
    visitors=np.zeros(0, dtype=np.uint32),
    before=np.zeros(0, dtype=np.uint32),
    now=np.zeros(0, dtype=np.uint32),
)
