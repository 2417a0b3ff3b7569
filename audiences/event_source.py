"""What behaviour criteria ask of events, whoever holds them: the table, or memory for some."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from numpy.typing import NDArray

from audiences.event_selection import Selection

Columns: TypeAlias = Mapping[str, NDArray[Any]] | NDArray[Any]
"""Arrays of one length by name, or one array with those fields."""


class EventSource(Protocol):
    """Events by visitor and customer ordinal."""

    def owners(self, selection: Selection) -> Columns:
        """Give visitor and customer of every event; without conditions or field."""

    def rows(
        self, selection: Selection, currencies: Mapping[str, str], *, moments: bool = False
    ) -> NDArray[Any]:
        """Give the events that meet the selection, with amounts; when exactly only if asked."""

    def amounts(self, selection: Selection, currencies: Mapping[str, str]) -> Columns:
        """Give visitor, customer and, where a field is named, amount of the events that meet it.

        Then events of amount 0 may be left out.
        """

    def owners_on_site(self, site: str, *, last_day: int) -> Columns:
        """Give the visitors and customers that did anything on the site."""
