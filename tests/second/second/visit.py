"""A caller's visit as a machine without network or clock (SPEC §9.1, §9.2). Times are milliseconds of the driver's clock."""

import secrets
from typing import NamedTuple

from . import answer, api, bulletin, clock, contents, letter, line as lines, mailbox, notice, part as parts_, phrase, sign, stamp, up
from .layout import LAYOUTS
from .refused import Refused, insist
from .voice import Voice

SAFEGUARDING_EVERY = 7
SAFEGUARDING = 8
_CELL = LAYOUTS["down-cell"].length


class Side:
    """One voice with its keys and its mailbox; a stranger's until the phrase is known."""

    def __init__(self, name: str, use: int, lane: mailbox.Lane, seats: range):
        self.name, self.use = name, use
        self.voice, self.mailbox = Voice(), mailbox.Mailbox(lane, seats)
        self.seed, self.reply_key = secrets.token_bytes(32), secrets.token_bytes(32)
        self.session, self.live_key = secrets.token_bytes(8), secrets.token_bytes(32)


class Ticket(NamedTuple):
    """A POST whose reply is still waited for."""

    number: int
    side: Side
    part: tuple | None
    saw: bytes


def slow_weeks(roster) -> range:
    """The weeks whose reply keys an answer may still be sealed with."""
    spans = roster.numbers["slow_days"] * clock.SLOTS_PER_DAY * roster.numbers["slow_s"]
    count = roster.numbers["reply_weeks"] + -(-spans // 604_800)
    return range(max(0, roster.week - count + 1), roster.week + 1)


def slow_days(roster, day: int) -> range:
    """The days whose tags are looked for."""
    return range(max(0, day - max(7, roster.numbers["slow_days"] - 1)), day + 2)


class Visit:
    """One visit: give it what comes from the relays, and it says what to show and what to post."""

    def __init__(self, root_pk: bytes, native: bool):
        self.root_pk, self.line, self.native = root_pk, lines.line_id(root_pk), native
        self.roster, self.bulletin, self.keys = None, bulletin.Standing(), None
        self._relays: dict[int, dict] = {}
        self._ahead_ms = self._checked_ahead_ms = 0
        self._posts = 0
        self._slow_cells: list[tuple[int, bytes]] = []
        self._empty_room()

    def _empty_room(self) -> None:
        lane = mailbox.Lane()
        self.desk = Side("desk", up.DESK, lane, range(SAFEGUARDING))
        self.safe = Side("safeguarding", up.SAFEGUARDING, lane, range(SAFEGUARDING, SAFEGUARDING + 1))
        self._flight = None
        self._slow: dict[int, tuple[tuple, dict]] = {}
        self._fast: dict[int, dict] = {}

    # The relay's words.

    def notice(self, data: bytes, relay_no: int | None, now_ms: int) -> list:
        """Takes a notice; refuses a roster lower than one that was seen."""
        if relay_no is None and self._relays:
            relay_no = next(iter(self._relays))
        found = notice.check(data, self.root_pk, now_ms if self.native else None, relay_no)
        insist(self.roster is None or found.roster.rank >= self.roster.rank, "rolled back", "a lower roster than before")
        self.roster = found.roster
        self._relays[found.fields["relay_no"]] = found.fields
        self._ahead_ms = found.fields["clock_ms"] - now_ms
        self._checked_ahead_ms = 0 if self.native else self._ahead_ms
        said = self.bulletin.take(found.fields["bulletin"], self.roster, found.now)
        events = [["bulletin", said["code"]]] if said else []
        return events

    def wants_notice(self, now_ms: int) -> bool:
        return self.roster is None or not self.roster.in_force(self._now(now_ms))

    def _now(self, now_ms: int) -> int:
        return (now_ms + self._checked_ahead_ms) // 1000

    def _relays_now(self, now_ms: int) -> int:
        return (now_ms + self._ahead_ms) // 1000

    def day(self, now_ms: int) -> int:
        return clock.day(now_ms + self._ahead_ms, self.roster.numbers["slow_s"])

    def days(self, now_ms: int) -> list[int]:
        """The days to fetch, newest first."""
        day = self.day(now_ms)
        return [day - back for back in range(self.roster.numbers["slow_days"]) if back <= day]

    # Her words.

    def know(self, keys: phrase.Keys, now_ms: int) -> list:
        """The phrase is typed: from now on the voices are hers. Typed again, nothing stays of the room before but what was fetched."""
        if self.keys is not None:
            self._empty_room()
        self.keys = keys
        self.desk.seed, self.safe.seed = keys.sign_seed, keys.safe_sign_seed
        return self._read_slow(self._slow_cells, now_ms) + self._in_turn(now_ms)

    def write(self, value: dict, to: str, now_ms: int) -> int:
        insist(self.keys is not None, "no phrase")
        return self._side(to).voice.write(contents.letter(value), self._relays_now(now_ms))

    def displayed(self, of: str, answer_id: bytes) -> None:
        """She has an answer of this mailbox before her eyes: from now on cells name it."""
        self._side(of).voice.shown(answer_id)

    def _side(self, name: str) -> Side:
        return self.safe if name == "safeguarding" else self.desk

    def beat(self, relay_no: int, now_ms: int) -> tuple[int, bytes]:
        """This beat's POST: its number and its body."""
        insist(relay_no in self._relays, "no roster", "no notice of this relay")
        side = self.safe if self._posts % SAFEGUARDING_EVERY == SAFEGUARDING_EVERY - 1 else self.desk
        part = None if self.wants_notice(now_ms) else side.voice.next_part()
        saw = side.voice.next_saw()
        cell = letter.seal(self._recipient(side), side.seed, {**self._keys_of(side), **self._part(part, now_ms), "saw": saw})
        self._flight = Ticket(self._posts, side, part, saw)
        self._posts += 1
        return self._flight.number, self._stamp(relay_no, cell) + cell

    def _recipient(self, side: Side) -> up.Recipient:
        key = self.roster.fields["safe_key" if side is self.safe else "desk_key"]
        return up.Recipient(self.line, self.roster.period, side.use, key)

    def _keys_of(self, side: Side) -> dict:
        reply = side.reply_key
        if self.keys is not None:
            reply = (self.keys.safe_reply if side is self.safe else self.keys.reply)(self.roster.week)
        return {"session": side.session, "live_key": side.live_key, "reply_key": reply}

    def _part(self, part, now_ms: int) -> dict:
        if part is None:
            now = self._relays_now(now_ms)
            whole = parts_.Part(0, 1, letter.SIZE, secrets.token_bytes(letter.SIZE))
            return {"kind": letter.DUMMY, "seq": 0, "time": now - now % 600, **whole._asdict()}
        written, at = part
        return {"kind": letter.LETTER, "seq": written.seq, "time": written.time, **written.parts[at]._asdict()}

    def _stamp(self, relay_no: int, cell: bytes) -> bytes:
        relay = self._relays[relay_no]
        if relay["difficulty"] == 0:
            return secrets.token_bytes(32)
        return stamp.mint(relay["stamp_salt"], cell, self.line, relay["up_epoch"], relay["difficulty"])

    def posted(self, number: int, relay_no: int, reply: bytes | None) -> list:
        """Takes the reply to a POST, if there was one. One that comes after the next cell was sealed counts for none."""
        flight = self._flight
        if flight is None or flight.number != number:
            return []
        self._flight = None
        if reply is None:
            return []
        fields = api.parse("up-reply", reply)
        self._relays[relay_no]["difficulty"] = min(fields["difficulty"], stamp.HARDEST)
        events = self._outcome(fields["outcome"], flight)
        return events + ([["new roster", fields["serial"]]] if fields["serial"] not in (0, self.roster.serial) else [])

    def _outcome(self, outcome: int, flight: Ticket) -> list:
        if outcome:
            return [["full"] if outcome == 1 else ["stamp asked"]]
        in_the_box = flight.side.voice.posted(flight.part, flight.saw)
        return [] if in_the_box is None else [["in the box", flight.side.name, in_the_box]]

    # What comes down.

    def slow_day(self, relay_no: int, data: bytes, now_ms: int) -> list:
        insist(len(data) == clock.SLOTS_PER_DAY * _CELL, "malformed", "a day's length")
        fetched = [(relay_no, cell) for cell in _cells(data)]
        for one in fetched:
            self._keep(one)
        return self._read_slow(fetched, now_ms) + self._in_turn(now_ms)

    def _keep(self, one: tuple[int, bytes]) -> None:
        """Keeps a slow cell for words that are typed later, each once, and no more than the relays' tracks hold."""
        if one in self._slow_cells:
            return
        days = len(self._relays) * self.roster.numbers["slow_days"] if self.roster else 1
        if len(self._slow_cells) >= days * clock.SLOTS_PER_DAY:
            del self._slow_cells[0]
        self._slow_cells.append(one)

    def fast(self, relay_no: int, data: bytes, now_ms: int) -> list:
        insist(self.roster is not None, "no roster")
        insist(len(data) == 2 * self.roster.numbers["fast_slots"] * _CELL, "malformed", "the fast track's length")
        if self.keys is None or self.wants_notice(now_ms):
            return self._in_turn(now_ms)
        if relay_no not in self._fast:
            self._fast[relay_no] = self._fast_table(relay_no)
        return self._read(_cells(data), self._fast[relay_no], now_ms) + self._in_turn(now_ms)

    def _in_turn(self, now_ms: int) -> list:
        """The answers whose turn it is, but for those that are over or that a stop covers."""
        beat_ms = self.roster.numbers["beat_ms"] if self.roster else 0
        events = []
        for side in (self.desk, self.safe):
            events += side.mailbox.in_turn(self._now(now_ms), now_ms + self._ahead_ms, beat_ms)
        return [["answer", value] for value in events]

    def _read_slow(self, cells: list[tuple[int, bytes]], now_ms: int) -> list:
        """Reads cells of the slow track, if phrase and roster are there."""
        if self.keys is None or self.wants_notice(now_ms):
            return []
        events = []
        for relay_no, cell in cells:
            events += self._read([cell], self._slow_table(relay_no, now_ms), now_ms)
        return events

    def _slow_table(self, relay_no: int, now_ms: int) -> dict:
        span = (slow_weeks(self.roster), slow_days(self.roster, self.day(now_ms)))
        if self._slow.get(relay_no, (None,))[0] != span:
            self._slow[relay_no] = (span, self._search_slow(relay_no, *span))
        return self._slow[relay_no][1]

    def _search_slow(self, relay_no: int, weeks: range, days: range) -> dict:
        table = {}
        for week in weeks:
            for seat in range(9):
                key = self.keys.safe_reply(week) if seat == SAFEGUARDING else self.keys.reply(week)
                for day in days:
                    table |= answer.tags(self.line, key, answer.Place(relay_no, day, seat, 0))
        return table

    def _fast_table(self, relay_no: int) -> dict:
        table = {}
        for seat in range(9):
            side = self.safe if seat == SAFEGUARDING else self.desk
            table |= answer.tags(self.line, side.live_key, answer.Place(relay_no, None, seat, 0))
        return table

    def _read(self, cells: list[bytes], table: dict, now_ms: int) -> list:
        events = []
        for cell in cells:
            if cell[:16] in table:
                try:
                    events += self._read_cell(cell, *table[cell[:16]], now_ms)
                except Refused:
                    continue
        return events

    def _read_cell(self, cell: bytes, key: bytes, place: answer.Place, now_ms: int) -> list:
        side = self.safe if place.seat == SAFEGUARDING else self.desk
        caller = lines.caller_id(self.line, sign.public(side.seed))
        now = self._now(now_ms)
        reader = answer.Reader(self.line, caller, self.roster.seat_keys, now, self.roster.numbers["slow_s"])
        opened = reader.open_(cell, key, place)
        events = self._receipts(side, opened) + self._words(side, opened)
        try:
            what, value = side.mailbox.take(opened, now, now_ms + self._ahead_ms, place.day is None)
        except Refused:
            return events
        if what == "again":
            side.voice.came_again(opened["answer_id"])
        return events + ([["answer", value]] if what == "stop" else [])

    def _receipts(self, side: Side, opened: dict) -> list:
        fresh = side.voice.receipted(lambda seq: answer.have(opened, side.session, seq))
        return [["receipt", side.name, seq] for seq in fresh]

    def _words(self, side: Side, opened: dict) -> list:
        own = opened["answers_session"] == side.session
        if own and not 1 <= opened["answers_seq"] <= len(side.voice.letters):
            return []
        word = side.mailbox.word(opened)
        if word is None:
            return []
        if own:
            return [[word, side.name, opened["answers_seq"]]]
        return [["earlier", opened["answers_session"], opened["answers_seq"], word]]

    def visible(self, now_ms: int) -> list[dict]:
        """What stands on the page now, of both mailboxes."""
        return [one for side in (self.desk, self.safe) for one in side.mailbox.visible(self._now(now_ms))]


def _cells(data: bytes) -> list[bytes]:
    return [data[at : at + _CELL] for at in range(0, len(data), _CELL)]
