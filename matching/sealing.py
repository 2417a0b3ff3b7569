"""Seals many contact hashes at once: hashes of one length and the key come in, sealed hex goes out.

The same bytes as `contact_hashes.seal` gives one by one (AES-SIV, RFC 5297, one header). Why: one
call of the library for each hash takes longer than all else that an import does with a row.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from matching.contact_hashes import PURPOSE

BLOCK: Final = 16
_Blocks = NDArray[np.uint8]


class Sealer:
    """AES-SIV under one key of 32, 48 or 64 bytes, for hashes of 16 to 32 bytes."""

    def __init__(self, key: bytes) -> None:
        half = len(key) // 2
        self._mac = Cipher(algorithms.AES(key[:half]), modes.ECB())  # noqa: S305 - blocks of CMAC
        self._stream = Cipher(algorithms.AES(key[half:]), modes.ECB())  # noqa: S305 - and of CTR
        zero = self._encrypt(self._mac, np.zeros((1, BLOCK), np.uint8))[0]
        self._whole = _doubled(zero)
        self._padded = _doubled(self._whole)
        start = _doubled(self._cmac(np.zeros((1, BLOCK), np.uint8))[0])
        self._header = start ^ self._cmac(np.frombuffer(PURPOSE[0], np.uint8)[None, :])[0]

    def seal_all(self, hashes: Sequence[bytes]) -> list[str]:
        """Seal hashes that all have one length."""
        if not hashes:
            return []
        size = len(hashes[0])
        if not BLOCK <= size <= 2 * BLOCK or set(map(len, hashes)) != {size}:
            raise ValueError("Hashes that are sealed together have one length of 16 to 32 bytes.")
        plain = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, size)
        mixed = plain.copy()
        mixed[:, size - BLOCK :] ^= self._header
        marks = self._cmac(mixed)
        sealed = np.empty((len(hashes), BLOCK + size), np.uint8)
        sealed[:, :BLOCK] = marks
        sealed[:, BLOCK:] = plain ^ self._key_stream(marks, size)
        text = sealed.tobytes().hex()
        step = 2 * (BLOCK + size)
        return [text[begin : begin + step] for begin in range(0, len(text), step)]

    def _cmac(self, messages: _Blocks) -> _Blocks:
        """Give the CMAC of each message; all have one length."""
        count, size = messages.shape
        blocks = max(1, -(-size // BLOCK))
        filled = np.zeros((count, blocks * BLOCK), np.uint8)
        filled[:, :size] = messages
        if size == blocks * BLOCK:
            filled[:, -BLOCK:] ^= self._whole
        else:
            filled[:, size] = 0x80
            filled[:, -BLOCK:] ^= self._padded
        state = np.zeros((count, BLOCK), np.uint8)
        for block in range(blocks):
            state = self._encrypt(self._mac, state ^ filled[:, block * BLOCK : (block + 1) * BLOCK])
        return state

    def _key_stream(self, marks: _Blocks, size: int) -> _Blocks:
        counters = marks.copy()
        counters[:, 8] &= 0x7F
        counters[:, 12] &= 0x7F
        stream = np.empty((len(marks), 2 * BLOCK), np.uint8)
        stream[:, :BLOCK] = self._encrypt(self._stream, counters)
        if size > BLOCK:
            # Why no carry beyond 32 bits: the cleared bits leave room for one more.
            low = np.ascontiguousarray(counters[:, 12:]).view(">u4") + np.uint32(1)
            counters[:, 12:] = low.astype(">u4").view(np.uint8)
            stream[:, BLOCK:] = self._encrypt(self._stream, counters)
        return stream[:, :size]

    @staticmethod
    def _encrypt(cipher: "Cipher[modes.ECB]", blocks: _Blocks) -> _Blocks:
        done = cipher.encryptor().update(np.ascontiguousarray(blocks).tobytes())
        return np.frombuffer(done, np.uint8).reshape(-1, BLOCK)


def _doubled(block: _Blocks) -> _Blocks:
    """Double a value of GF(2^128), as CMAC and S2V do."""
    value = int.from_bytes(block.tobytes(), "big")
    twice = (value << 1) & ((1 << 128) - 1)
    if value >> 127:
        twice ^= 0x87
    return np.frombuffer(twice.to_bytes(BLOCK, "big"), np.uint8)
