"""A message's frame: all its bytes but id, times and reference, which differ from one to the next.

A message as our tag writes it comes in; its frame goes out when what was left out is certainly
plain. What was judged of one message holds for all others of its frame.
"""

import struct
from datetime import datetime
from typing import Final

FRAME_BYTES_MAX: Final = 1024
FRAMES_MAX: Final = 4096
_BETWEEN: Final = b'","timestamp":"'
_SENT: Final = b',"sentAt":"'
_ENDS: Final = b'Z"}'
_REFERENCE: Final = b',"anonymousId":"jr.'
_BEGINS: Final = {
    kind[0]: b'{"type":"%b","messageId":"' % kind
    for kind in (b"identify", b"track", b"page", b"screen", b"group", b"alias")
}
"""How messages begin, by the first letter of their type."""
_ID_AT: Final = {letter: len(begin) for letter, begin in _BEGINS.items()}
_LETTER_AT: Final = len('{"type":"')
_CUT: Final = struct.Struct("32s15s24s")
"""The id, what stands between, and the time."""
_CUT_BYTES: Final = _CUT.size
_END: Final = -26
"""Where the time of sending begins, which ends a message."""
_REFERENCE_BYTES: Final = 39
_REFERENCE_END: Final = _END - len('","sentAt":"')
_REFERENCE_AT: Final = _REFERENCE_END - _REFERENCE_BYTES
_BYTES_MIN: Final = 200
_T: Final = ord("T")
_Z: Final = ord("Z")
_ZERO: Final = ord("0")
_COMMA: Final = ord(",")
_cut: Final = _CUT.unpack_from
_read_time: Final = datetime.fromisoformat


def frame_of(raw: bytes) -> bytes | None:
    """Give a message's frame; None for a message that is written in another way.

    Left out are texts that cannot end early and in which no contact can hide: 32 letters and
    digits, two times as browsers write them, and a reference of ours.
    """
    begin = _ID_AT.get(raw[_LETTER_AT]) if len(raw) >= _BYTES_MIN else None
    if begin is None:
        return None
    name, between, time = _cut(raw, begin)
    sent = raw[_END:-2]
    if between != _BETWEEN or not name.isalnum() or (name[0] == _ZERO and name[1] == _ZERO):
        return None
    if time[10] != _T or time[23] != _Z or sent[10] != _T or not raw.endswith(_ENDS):
        return None
    try:
        _read_time(time.decode("ascii"))
        _read_time(sent.decode("ascii"))
    except ValueError:
        return None
    rest = begin + _CUT_BYTES
    if (
        raw[_REFERENCE_AT - 16] != _COMMA
        or raw[_REFERENCE_AT - 16 : _REFERENCE_AT + 3] != _REFERENCE
    ):
        return raw[:begin] + raw[rest:_END]
    reference = raw[_REFERENCE_AT + 3 : _REFERENCE_END]
    if not reference.translate(None, b"_-").isalnum():
        return None
    return raw[:begin] + raw[rest:_REFERENCE_AT] + raw[_REFERENCE_END:_END]


def is_frame(frame: bytes, raw: bytes) -> bool:
    """Tell whether a message that was read says in its frame's places what these are for.

    The times are the message's own then: it begins as all do, and what ends the last object of a
    message stands in that object.
    """
    begin = _BEGINS[raw[_LETTER_AT]]
    return (
        len(frame) <= FRAME_BYTES_MAX and frame.startswith(begin + b'"') and frame.endswith(_SENT)
    )
