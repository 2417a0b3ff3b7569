"""Whether a run would change a segment so much that somebody should look first.

In go the changes of a run and what the seat holds, out come the reasons to wait. Nothing here
decides what goes out meanwhile.
"""

from collections.abc import Collection, Mapping

from audiences.exports.ledger import Changes, Days, everything
from audiences.exports.seat import Seat


def alarms(
    seat: Seat, changes: Changes, held: Mapping[str, Days], *, filled: Collection[str]
) -> list[str]:
    """Say which segments would gain or lose too many ids at once.

    Segments that held nothing, and those that no audience fills any more, raise no alarm: somebody
    has just put them on the seat or taken them off.
    """
    if not seat.alarm_percent:
        return []
    found = []
    for segment in sorted(filled):
        before = len(everything(held.get(segment, {})))
        adds, removes = len(changes.adds[segment]), len(changes.removes[segment])
        most = max(adds, removes)
        if before and most > seat.alarm_ids and 100 * most > seat.alarm_percent * before:
            found.append(
                f"segment {segment} holds {before} ids and would gain {adds} and lose {removes}, "
                f"more than {seat.alarm_percent} % of them"
            )
    return found
