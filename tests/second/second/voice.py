"""One of a visit's two voices: what it still has to post, and what it has shown (SPEC §6.1, §9.1)."""

from . import letter as letters, part as parts_
from .refused import insist

_SEQ_MOST = 0xFFFF


class Written:
    """A letter of this visit, and how far it has come."""

    def __init__(self, seq: int, time: int, parts: list[parts_.Part]):
        self.seq, self.time, self.parts = seq, time, parts
        self.posted: set[int] = set()
        self.receipted = False
        self.again = 0

    def in_the_box(self) -> bool:
        return len(self.posted) == len(self.parts)


class Voice:
    """What one mailbox hears of a visit: letters in order, their parts until receipted, and which answers were shown."""

    def __init__(self):
        self.letters: list[Written] = []
        self._shown: list[bytes] = []
        self._named: set[bytes] = set()
        self._turn = -1

    def write(self, data: bytes, time: int) -> int:
        """Takes a letter's bytes; gives its number."""
        insist(len(self.letters) < _SEQ_MOST, "malformed", "no numbers are left in this visit")
        self.letters.append(Written(len(self.letters) + 1, time - time % 600, letters.cut(data)))
        return len(self.letters)

    def next_part(self) -> tuple[Written, int] | None:
        """The next unposted part; else the next part of the oldest letter not receipted; else nothing, so a dummy."""
        open_ = [letter for letter in self.letters if not letter.receipted]
        for letter in open_:
            for at in range(len(letter.parts)):
                if at not in letter.posted:
                    return letter, at
        if not open_:
            return None
        oldest = open_[0]
        oldest.again += 1
        return oldest, (oldest.again - 1) % len(oldest.parts)

    def next_saw(self) -> bytes:
        """The answer that the next cell names: first what has not been named, oldest first, then all in turn."""
        for answer_id in self._shown:
            if answer_id not in self._named:
                return answer_id
        self._turn += 1
        return self._shown[self._turn % len(self._shown)] if self._shown else bytes(8)

    def posted(self, part: tuple[Written, int] | None, saw: bytes) -> int | None:
        """A relay has taken the cell; gives the letter's number if it was the last part to come."""
        self._named.add(saw)
        if part is None or part[1] in part[0].posted:
            return None
        letter, at = part
        letter.posted.add(at)
        return letter.seq if letter.in_the_box() else None

    def shown(self, answer_id: bytes) -> None:
        """An answer was shown in full."""
        if answer_id not in self._shown:
            self._shown.append(answer_id)

    def came_again(self, answer_id: bytes) -> None:
        """The desk sends once more what was shown: it has not heard of it, so it is named once more."""
        self._named.discard(answer_id)

    def receipted(self, holds) -> list[int]:
        """The letters that a receipt speaks of for the first time; `holds(seq)` says of which it does."""
        fresh = [letter for letter in self.letters if not letter.receipted and holds(letter.seq)]
        for letter in fresh:
            letter.receipted = True
        return [letter.seq for letter in fresh]

    def all_named(self) -> bool:
        return self._named.issuperset(self._shown)
