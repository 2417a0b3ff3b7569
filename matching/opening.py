"""Opens many sealed contact hashes at once: sealed hex of one length comes in, hashes go out.

The reverse of `sealing.py`, and as strict as `contact_hashes.open_sealed`: what this key did not
seal, or was changed since, is opened by nobody. What is opened is stored nowhere.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from matching.contact_hashes import SealError
from matching.sealing import BLOCK, Sealer

AT_ONCE: Final = 1 << 17
"""So many are opened at a time: a few arrays of 4 MiB each."""


class Opener(Sealer):
    """AES-SIV under one key, for what a `Sealer` with this key sealed."""

    def open_all(self, sealed: Sequence[str]) -> list[bytes]:
        """Open hashes that all have one length; raise SealError when one cannot be opened."""
        found: list[bytes] = []
        for begin in range(0, len(sealed), AT_ONCE):
            found += self._open(sealed[begin : begin + AT_ONCE])
        return found

    def _open(self, sealed: Sequence[str]) -> list[bytes]:
        chars = len(sealed[0])
        size = chars // 2 - BLOCK
        if not BLOCK <= size <= 2 * BLOCK or set(map(len, sealed)) != {chars}:
            raise SealError(_problem(len(sealed), "their lengths are those of no sealed hash"))
        try:
            raw = np.frombuffer(bytes.fromhex("".join(sealed)), np.uint8).reshape(len(sealed), -1)
        except ValueError as error:
            raise SealError(_problem(len(sealed), "they are no hex")) from error
        marks = np.ascontiguousarray(raw[:, :BLOCK])
        plain = raw[:, BLOCK:] ^ self._key_stream(marks, size)
        mixed = plain.copy()
        mixed[:, size - BLOCK :] ^= self._header
        if bad := int((self._cmac(mixed) != marks).any(axis=1).sum()):
            raise SealError(_problem(bad, "another key sealed them or they are damaged"))
        opened = plain.tobytes()
        return [opened[begin : begin + size] for begin in range(0, len(opened), size)]


def _problem(count: int, why: str) -> str:
    return (
        f"{count} contact hashes cannot be opened: {why}; check that the keys are those of this "
        "installation."
    )
