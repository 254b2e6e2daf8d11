"""Parts: how a letter, an answer or an event is cut to fit cells, and joined again (SPEC §6.1, §6.2, §7)."""

from typing import NamedTuple

from .refused import insist

MOST = 32


class Part(NamedTuple):
    """One piece: its number, how many there are, its length, and its content padded with zeros."""

    part: int
    parts: int
    len: int
    content: bytes


def cut(data: bytes, size: int) -> list[Part]:
    """`data` in pieces of `size` bytes, of which only the last may be shorter."""
    insist(0 < len(data) <= MOST * size, "malformed", "does not fit into thirty-two parts")
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return [Part(n, len(pieces), len(piece), piece.ljust(size, b"\0")) for n, piece in enumerate(pieces)]


def check(part: int, parts: int, length: int, content: bytes) -> None:
    """Refuses a part that `cut` cannot have made."""
    size = len(content)
    insist(1 <= parts <= MOST and part < parts, "malformed", "part numbers")
    insist(length == size if part + 1 < parts else 1 <= length <= size, "malformed", "len")
    insist(not any(content[length:]), "malformed", "padding")


class Joiner:
    """Collects parts by what they have in common, in any order."""

    def __init__(self):
        self._held: dict[tuple, dict[int, bytes]] = {}

    def take(self, key: tuple, part: int, parts: int, content: bytes) -> bytes | None:
        """Adds a part; the whole, once it is there. `key` must contain `parts`.

        A repeated part changes nothing; one that contradicts an earlier one is refused and the first stays.
        """
        held = self._held.setdefault(key, {})
        insist(held.setdefault(part, content) == content, "contradiction", "a part with other content")
        return b"".join(held[n] for n in range(parts)) if len(held) == parts else None
