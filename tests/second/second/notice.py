"""What a caller's client makes of a relay's notice (SPEC §5.3 "Clock", §11)."""

from typing import NamedTuple

from . import api, roster as rosters, stamp
from .refused import insist

_NATIVE_CLOCK_MS = 86_400_000


class Notice(NamedTuple):
    """A checked notice: the roster it carries, its other fields, and the time that rosters are held against."""

    roster: rosters.Roster
    fields: dict
    now: int


def check(data: bytes, root_pk: bytes, own_clock_ms: int | None = None, relay_no: int | None = None) -> Notice:
    """The notice, if this client may use it. A page has neither a clock of its own nor a card with the relay's number."""
    fields = api.parse("notice", data)
    rosters.check_timing(fields)
    fields["difficulty"] = min(fields["difficulty"], stamp.HARDEST)
    insist(relay_no is None or fields["relay_no"] == relay_no, "other relay", "the card gives another number")
    clock_ms = fields["clock_ms"] if own_clock_ms is None else own_clock_ms
    insist(abs(clock_ms - fields["clock_ms"]) <= _NATIVE_CLOCK_MS, "clock", "more than a day apart")
    insist(any(fields["roster"]), "no roster")
    return Notice(rosters.check(fields["roster"], root_pk, clock_ms // 1000), fields, clock_ms // 1000)
