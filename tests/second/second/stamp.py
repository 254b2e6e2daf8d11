"""Stamps (SPEC §11.2)."""

from .label import label, sha256, u32
from .refused import Refused, insist

HARDEST = 20


def check(stamp: bytes, salt: bytes, cell: bytes, line: bytes, up_epoch: int, difficulty: int) -> None:
    """Refuses a stamp that is weaker than the difficulty."""
    insist(difficulty <= HARDEST, "malformed", "difficulty")
    insist(zero_bits(digest(stamp, salt, cell, line, up_epoch)) >= difficulty, "weak")


class Till:
    """A relay's till: stamps of the current and the previous epoch, each once."""

    def __init__(self):
        self._spent: set[tuple[int, bytes]] = set()

    def take(self, stamp: bytes, salt: bytes, cell: bytes, line: bytes, up_epoch: int, difficulty: int) -> None:
        """Takes a stamp in `up_epoch`, or refuses it. While the difficulty is 0 nothing is asked and nothing remembered."""
        if difficulty == 0:
            self._spent.clear()
            return
        self._spent = {spent for spent in self._spent if spent[0] >= up_epoch - 1}
        for epoch in (up_epoch, max(up_epoch - 1, 0)):
            if zero_bits(digest(stamp, salt, cell, line, epoch)) >= difficulty:
                value = (epoch, digest(stamp, salt, cell, line, epoch))
                insist(value not in self._spent, "seen", "the stamp was spent")
                self._spent.add(value)
                return
        raise Refused("weak")


def mint(salt: bytes, cell: bytes, line: bytes, up_epoch: int, difficulty: int) -> bytes:
    """The first good stamp, counting from zero."""
    count = 0
    while zero_bits(digest(count.to_bytes(32, "big"), salt, cell, line, up_epoch)) < difficulty:
        count += 1
    return count.to_bytes(32, "big")


def digest(stamp: bytes, salt: bytes, cell: bytes, line: bytes, up_epoch: int) -> bytes:
    return sha256(label("stamp"), salt, sha256(cell), line, u32(up_epoch), stamp)


def zero_bits(value: bytes) -> int:
    """How many zero bits a value begins with."""
    return 8 * len(value) - int.from_bytes(value, "big").bit_length()
