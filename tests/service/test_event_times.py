"""When events happened, from what a browser says and when its words came."""

import numpy as np
import pytest

from service.engine.event_times import Told, batch_time_ms, event_times

RECEIVED_MS = 1_795_000_000_000
MINUTE_MS = 60_000


def iso(at_ms: int) -> str:
    return f"{np.datetime64(at_ms, 'ms')}Z"


def told(timestamp_ms: int, sent_ms: int) -> Told:
    """Say what one browser's message says of its time."""
    return Told(
        timestamp=[iso(timestamp_ms)],
        sent_at=[None],
        batch_sent_at=np.array([iso(sent_ms)], object),
        batch_sent_ms=np.array([batch_time_ms(iso(sent_ms))]),
        received_ms=np.array([RECEIVED_MS]),
        server=np.array([False]),
    )


@pytest.mark.parametrize(
    ("clock_ms", "way_ms", "expected_ms"),
    [
        (0, 40, 0),
        (0, 2000, 0),
        (0, 2001, 2001),
        (-300, 40, -300),
        (2000, 0, 2000),
        (2001, 0, 0),
        (-MINUTE_MS, 40, 40),
        (90 * MINUTE_MS, 40, 40),
    ],
    ids=[
        "right",
        "the longest way",
        "longer than a way",
        "nearly right",
        "as fast as a way is long",
        "faster than that",
        "a minute slow",
        "an hour and a half fast",
    ],
)
def test_a_wrong_clock_is_put_right_and_the_way_is_not(
    clock_ms: int, way_ms: int, expected_ms: int
) -> None:
    """What sending took moves no event; a clock that is minutes wrong is right but for the way."""
    happened_ms = RECEIVED_MS - way_ms - 5000
    sent_ms = RECEIVED_MS - way_ms
    times = event_times(told(happened_ms + clock_ms, sent_ms + clock_ms))
    assert times.at_ms.tolist() == [happened_ms + expected_ms]


def test_two_batches_keep_their_order() -> None:
    """What happened first stays first when its batch took longer on its way than the next one."""
    first = event_times(told(RECEIVED_MS - 900, RECEIVED_MS - 890))
    second = event_times(told(RECEIVED_MS - 880, RECEIVED_MS - 5))
    assert first.at_ms[0] < second.at_ms[0]
