"""A set of keys, with flags, that needs little memory: 24 to 48 bytes for each key.

A hash table with linear probing in one `bytearray`. A slot has 15 bytes of the key's hash and one
byte of flags, so a million keys need 32 MB, where a Python set of strings needs 150. Two of 10^9
keys have the same hash with a probability of 4 in 10^19.

Pure.
"""

import hashlib

SEEN = 1
"""The source has listed the key in this run."""
FINISHED = 2
"""The output has the key from an earlier run."""
FAILED = 4
"""That run recorded an error."""
SLOT_BYTES = 16
HASH_BYTES = 15
MIN_SLOTS = 1024
EMPTY = 0


class KeyTable:
    """Keys and their flags."""

    def __init__(self) -> None:
        self._slots = bytearray(MIN_SLOTS * SLOT_BYTES)
        self._mask = MIN_SLOTS - 1
        self._num_keys = 0

    def __len__(self) -> int:
        return self._num_keys

    def add(self, key: str, flag: int) -> int:
        """Set a flag of `key`; return the flags that it had before, 0 for a new key."""
        name = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES)
        return self._add(name.digest(), flag)

    def _add(self, name: bytes, flags: int) -> int:
        at = self._find(name)
        end = at + HASH_BYTES
        before = self._slots[end]
        self._slots[end] = before | flags
        if before == EMPTY:
            self._slots[at:end] = name
            self._num_keys += 1
            if self._num_keys * 3 > (self._mask + 1) * 2:
                self._grow()
        return before

    def _find(self, name: bytes) -> int:
        """Return the offset of the slot with `name`, or of the empty one where it belongs."""
        slots, mask = self._slots, self._mask
        index = int.from_bytes(name[:8], "little") & mask
        while True:
            at = index * SLOT_BYTES
            end = at + HASH_BYTES
            if slots[end] == EMPTY or slots[at:end] == name:
                return at
            index = (index + 1) & mask

    def _grow(self) -> None:
        old = self._slots
        self._slots = bytearray(2 * len(old))
        self._mask = 2 * self._mask + 1
        self._num_keys = 0
        for at in range(0, len(old), SLOT_BYTES):
            end = at + HASH_BYTES
            if old[end] != EMPTY:
                self._add(bytes(old[at:end]), old[end])
