"""What a reader makes of the answers, stops and words about letters of one mailbox (SPEC §7, §8.2)."""

from typing import NamedTuple

from . import answer, contents
from .refused import insist

LIFE_MOST = 30 * 86_400
MEETING_LIFE_MOST = 48 * 3_600
WRITTEN_AHEAD_MOST = 86_400
DEFAULT_LIFE = 14 * 86_400
PATIENCE_BEATS = 4


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


class Waiting(NamedTuple):
    """A whole answer that is not shown yet. `begun` is none if the slow track brought it."""

    value: dict
    begun: int | None
    since: int


class Mailbox:
    """The answers of the desk's seats, or of safeguarding's, as one visit reads them."""

    def __init__(self, lane: Lane, seats: range):
        self._joiner, self._known, self._seats = lane.joiner, lane.known, seats
        self._stops: list[dict] = []
        self._words: set[tuple] = set()
        self._waiting: list[Waiting] = []
        self._highest: int | None = None
        self.shown: list[dict] = []
        self._newest: dict[bytes, int] = {}

    def take(self, opened: dict, now: int, slots_ms: int, fast: bool) -> tuple[str, dict | None]:
        """Takes an opened part; says what it is: `nothing` yet, a `stop`, an answer that is `whole`, or one sent `again` later."""
        if opened["kind"] == answer.RECEIPT:
            return "nothing", None
        before = self._newest.get(opened["answer_id"], -1)
        self._newest[opened["answer_id"]] = max(before, opened["time"])
        again = "again" if opened["time"] > before else "nothing"
        joined = self._joiner.take(opened, slots_ms if fast else None)
        if joined is None:
            return (again if self._was_whole(opened["answer_id"]) else "nothing"), None
        whole, begun = joined
        if (opened["answer_id"], whole) in self._known:
            return again, None
        value = {**opened, "map": read(whole, opened["good_until"], now)}
        self._known.add((opened["answer_id"], whole))
        if opened["kind"] == answer.STOP:
            self._stops.append(value)
            self._count(value, fast)
            self.shown = [one for one in self.shown if not _covers(value, one)] + [value]
            return "stop", value
        self._waiting.append(Waiting(value, begun if fast else None, slots_ms))
        return "whole", None

    def _was_whole(self, answer_id: bytes) -> bool:
        return any(known == answer_id for known, _ in self._known)

    def in_turn(self, now: int, slots_ms: int, beat_ms: int) -> list[dict]:
        """The answers whose turn it is, in the order of `n`, but for those that are over or that a stop covers."""
        out = []
        while self._waiting:
            at = min(range(len(self._waiting)), key=lambda at: self._waiting[at].value["map"][0])
            if self._must_wait(self._waiting[at], slots_ms - PATIENCE_BEATS * beat_ms):
                break
            one = self._waiting.pop(at)
            self._count(one.value, one.begun is not None)
            if now <= one.value["good_until"] and not any(_covers(stop, one.value) for stop in self._stops):
                out.append(one.value)
        self.shown += out
        return out

    def _count(self, value: dict, fast: bool) -> None:
        """The highest number shown since the fast track first brought one; a stop never waits, but has its number."""
        if self._highest is not None or fast:
            self._highest = max(value["map"][0], self._highest or 0)

    def _must_wait(self, one: Waiting, too_old: int) -> bool:
        """Whether one before it is still heard of, or a number before it is missing and may yet come."""
        if one.begun is None:
            return False
        before = (coming for coming in self._joiner.before(one.begun) if coming.opened["seat"] in self._seats)
        heard = [coming.heard for coming in before if not self._was_whole(coming.opened["answer_id"])]
        missing = self._highest is not None and one.value["map"][0] > self._highest + 1
        return any(since is not None and since > too_old for since in [*heard, one.since if missing else None])

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
