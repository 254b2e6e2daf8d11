"""What a reader makes of the answers, stops and words about letters of one mailbox (SPEC §7, §8.2)."""

from . import answer, contents
from .refused import insist

LIFE_MOST = 30 * 86_400
MEETING_LIFE_MOST = 48 * 3_600
WRITTEN_AHEAD_MOST = 86_400
DEFAULT_LIFE = 14 * 86_400


def good_until(written: int, meeting: bool) -> int:
    """The `good_until` that a desk gives unless somebody says otherwise."""
    return written + (MEETING_LIFE_MOST if meeting else DEFAULT_LIFE)


def read(data: bytes, until: int, now: int) -> dict:
    """An answer's or stop's content, if it was not written ahead of its time nor made to live too long."""
    value = contents.parse_answer(data)
    written, meeting = value[5], value.get(3, False)
    insist(written <= now + WRITTEN_AHEAD_MOST, "expired", "written ahead of its time")
    insist(until <= written + (MEETING_LIFE_MOST if meeting else LIFE_MOST), "expired", "it lives too long")
    return value


class Lane:
    """What a visit has read from all seats: parts that wait for others, and answers that have been whole."""

    def __init__(self):
        self.joiner = answer.Joiner()
        self.known: set[tuple[bytes, bytes]] = set()


class Mailbox:
    """The answers of the desk's seats, or of safeguarding's, as one visit reads them."""

    def __init__(self, lane: Lane):
        self._joiner, self._known = lane.joiner, lane.known
        self._stops: list[dict] = []
        self._words: set[tuple] = set()
        self.shown: list[dict] = []

    def take(self, opened: dict, now: int) -> tuple[str, dict | None]:
        """Takes an opened part; says what it is: `nothing` yet, `shown`, `stopped`, or shown `again`."""
        if opened["kind"] == answer.RECEIPT:
            return "nothing", None
        whole = self._joiner.take(opened)
        if whole is None:
            return ("again" if any(known == opened["answer_id"] for known, _ in self._known) else "nothing"), None
        if (opened["answer_id"], whole) in self._known:
            return "again", None
        value = {**opened, "map": read(whole, opened["good_until"], now)}
        self._known.add((opened["answer_id"], whole))
        if opened["kind"] == answer.STOP:
            self._stops.append(value)
            self.shown = [one for one in self.shown if not _covers(value, one)]
        elif any(_covers(stop, value) for stop in self._stops):
            return "stopped", None
        self.shown.append(value)
        return "shown", value

    def visible(self, now: int) -> list[dict]:
        """What stands on the page: in the order of `n`, without what is past its `good_until`."""
        standing = [one for one in self.shown if now <= one["good_until"]]
        return sorted(standing, key=lambda one: one["map"][0])

    def word(self, opened: dict) -> str | None:
        """The first word about a letter that was to be taken back; nothing of a later one."""
        letter = (opened["answers_session"], opened["answers_seq"])
        if not opened["flags"] or letter in self._words:
            return None
        self._words.add(letter)
        return "withdrawn" if opened["flags"] == answer.WITHDRAWN else "too late"


def _covers(stop: dict, one: dict) -> bool:
    """Whether a stop covers an answer: one it names, or, if it names none, any with a lower `n`."""
    if one["kind"] != answer.ANSWER:
        return False
    named = stop["map"].get(6, [])
    return one["answer_id"] in named if named else one["map"][0] < stop["map"][0]
