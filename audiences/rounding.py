"""Rounds counts of people for those who may not see them exactly, and hides small ones."""

from typing import Final, TypeAlias

ROUNDED_TO: Final = 10
HIDDEN_BELOW: Final = 20

Shown: TypeAlias = int | None


def shown(count: int, exact: bool) -> Shown:
    """Give the count as it may be shown; None is hidden."""
    if exact:
        return count
    return None if count < HIDDEN_BELOW else (count + ROUNDED_TO // 2) // ROUNDED_TO * ROUNDED_TO


def shown_share(part: int, whole: int, exact: bool) -> float | None:
    """Give the share of what may be shown; None where one of both is hidden."""
    shown_part, shown_whole = shown(part, exact), shown(whole, exact)
    if shown_part is None or shown_whole is None:
        return None
    return round(shown_part / shown_whole, 6) if shown_whole else 0.0
