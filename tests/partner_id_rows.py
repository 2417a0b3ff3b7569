"""Rows of the table of correspondence for tests."""

from collections.abc import Sequence

from matching.ids import VISITOR_FIRST
from matching.partner_ids_store import PartnerIdColumns, PartnerIdsStore

V = VISITOR_FIRST
DAY_MS = 86_400_000
START_MS = 20_000 * DAY_MS
Row = tuple[int, int, str, str, int]
"""Number of the visitor, day, action, id, nonce."""


def put(
    store: PartnerIdsStore,
    rows: list[Row],
    *,
    space: str = "xandr",
    chunk: int = 1,
    browsers: Sequence[str] = (),
) -> None:
    """Store rows of one partner whose id space is its own."""
    store.insert(
        PartnerIdColumns(
            chunk=[chunk] * len(rows),
            row=list(range(len(rows))),
            received_at_ms=[START_MS + day * DAY_MS for _, day, *_ in rows],
            partner=[space] * len(rows),
            id_space=[space] * len(rows),
            action=[action for _, _, action, _, _ in rows],
            reason=["sentinel" if action == "refused" else "" for _, _, action, _, _ in rows],
            nonce=[nonce for *_, nonce in rows],
            visitor=[V + visitor for visitor, *_ in rows],
            id=[text for *_, text, _ in rows],
            id_ordinal=store.id_ordinals(space, [text for *_, text, _ in rows]),
            source=["sync"] * len(rows),
            browser=browsers,
        )
    )
