"""ISO times read together are those read one by one, and whatever else is left alone."""

from hypothesis import example, given
from hypothesis import strategies as st

from service.engine.iso_times import UNREAD, read_iso_times
from service.tag.messages import read_time_ms

fields = st.tuples(
    st.sampled_from([0, 1, 99, 1582, 1900, 1969, 1970, 2000, 2023, 2024, 2100, 9999]),
    st.integers(0, 13),
    st.integers(0, 32),
    st.integers(0, 25),
    st.integers(0, 61),
    st.integers(0, 61),
    st.integers(0, 999),
)
forms = fields.map(lambda each: "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z".format(*each))
marred = st.tuples(forms, st.integers(0, 23), st.characters()).map(
    lambda each: each[0][: each[1]] + each[2] + each[0][each[1] + 1 :]
)
GOOD = "2026-01-31T09:05:00.250Z"


@given(st.lists(st.one_of(st.none(), forms, forms, marred, st.text(max_size=50)), max_size=6))
@example([GOOD + "\n" * 8 + GOOD, "\n"])
@example([GOOD + "\n" * 8 + GOOD, ""])
@example([GOOD[:-1], "Z" + GOOD])
@example([])
def test_times_read_together_are_those_read_alone(texts: list[str | None]) -> None:
    """A text of the form gives its exact time; any other gives none, and moves no neighbour."""
    for text, found in zip(texts, read_iso_times(texts).tolist(), strict=True):
        if text and len(text) == len(GOOD) and text.isascii() and text[10] == "T":
            expected = _time_or_unread(text)
            assert found in {expected, UNREAD}
            if text[19] == "." and text[23] == "Z" and text[4] == text[7] == "-":
                assert found == expected
        else:
            assert found == UNREAD


def _time_or_unread(text: str) -> int:
    try:
        return read_time_ms(text)
    except (ValueError, OverflowError):
        return UNREAD
