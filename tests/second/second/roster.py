"""The roster: the signed public statement of a line (SPEC §5.3)."""

from . import cert, clock, line as lines, sign, xwing
from .label import label, sha256
from .layout import LAYOUTS, number
from .refused import insist

_LAYOUT = LAYOUTS["roster"]
LENGTH = _LAYOUT.length
_NUMBERS = (
    "serial period not_before not_after up_beat_ms beat_ms fast_slots slow_s slow_days reply_weeks answer_within"
    " bulletins_void_before closed_until"
).split()
_LONGEST = 7 * 86_400
_AHEAD = 8 * 86_400


class Roster:
    """A roster that the pinned root stands behind. Whether it is valid now is `check`'s business."""

    def __init__(self, data: bytes, fields: dict[str, bytes], desk_cert: cert.DeskCert):
        self.data = data
        self.fields = fields
        self.desk_cert = desk_cert
        self.line = fields["line_id"]
        self.numbers = {name: number(fields[name]) for name in _NUMBERS}
        self.serial, self.period = self.numbers["serial"], self.numbers["period"]
        self.rank = (desk_cert.generation, self.serial)
        self.hash = sha256(data)
        self.week = clock.week(self.numbers["not_before"])

    def in_force(self, now: int) -> bool:
        """Whether it and its certificate are valid now."""
        return self.numbers["not_before"] <= now < self.numbers["not_after"] and self.desk_cert.covers(now)

    def seat_keys(self, seat: int) -> list[bytes]:
        """The current and the previous key of a seat, 0 to 8."""
        if seat == 8:
            return [self.fields["safe_seat_now"], self.fields["safe_seat_previous"]]
        return [self.fields[name][32 * seat : 32 * seat + 32] for name in ("seats_now", "seats_previous")]

    def revoked(self) -> list[bytes]:
        return [self.fields["revoked"][at : at + 8] for at in range(0, 64, 8)]


def build(fields: dict[str, bytes | int], desk_seed: bytes) -> bytes:
    """A roster's bytes from its fields, signed by the desk signing key."""
    data = _LAYOUT.join({"version": 1, "flags": 0, **fields, "signature": bytes(64)})
    body = _LAYOUT.before(data, "signature")
    return body + sign.sign(desk_seed, label("roster") + body)


def check(data: bytes, root_pk: bytes, now: int) -> Roster:
    """The roster, if the pinned root stands behind it and it is valid now. Refuses in the SPEC's order."""
    roster = check_signed(data, root_pk)
    insist(now >= roster.numbers["not_before"], "not yet")
    insist(now < roster.numbers["not_after"] and roster.desk_cert.covers(now), "expired")
    return roster


def check_signed(data: bytes, root_pk: bytes) -> Roster:
    """As `check`, without the times."""
    fields = _LAYOUT.split(data)
    insist(fields["version"] == b"\x01", "malformed", "version")
    insist(not any(fields["flags"]) and not any(fields["zero"]), "malformed", "flags or zero")
    insist(fields["root_pk"] == root_pk, "forged", "another root")
    insist(fields["line_id"] == lines.line_id(root_pk), "forged", "another line")
    desk_cert = cert.check_desk(fields["desk_cert"], root_pk, fields["line_id"])
    message = label("roster") + _LAYOUT.before(data, "signature")
    sign.insist_signed(desk_cert.desk_pk, message, fields["signature"], "roster")
    roster = Roster(data, fields, desk_cert)
    _check_bounds(roster)
    return roster


def _check_bounds(roster: Roster) -> None:
    n, fields = roster.numbers, roster.fields
    check_timing(n)
    insist(1 <= n["reply_weeks"] <= 26, "malformed", "reply_weeks")
    insist(n["answer_within"] <= 5, "malformed", "answer_within")
    insist(n["not_before"] < n["not_after"], "malformed", "times")
    insist(n["not_after"] - n["not_before"] <= _LONGEST, "malformed", "longer than seven days")
    insist(n["serial"] >= 1, "malformed", "serial")
    xwing.check_public(fields["desk_key"])
    xwing.check_public(fields["safe_key"])


def check_timing(n: dict[str, int]) -> None:
    """The bounds of the timing fields, of a roster or of a notice."""
    insist(n["up_beat_ms"] >= 10, "malformed", "up_beat_ms")
    insist(n["beat_ms"] >= 100 and 86_400_000 % n["beat_ms"] == 0, "malformed", "beat_ms")
    insist(1 <= n["fast_slots"] <= 8, "malformed", "fast_slots")
    insist(n["slow_s"] >= 1 and 86_400 % n["slow_s"] == 0, "malformed", "slow_s")
    insist(1 <= n["slow_days"] <= 31, "malformed", "slow_days")


class Kept:
    """The rosters that a relay or a desk has taken, and the rule that chooses among them.

    `after` is the highest generation, and the highest serial in it, that were seen in an earlier life.
    """

    def __init__(self, after: tuple[int, int] = (0, 0)):
        self._rosters: dict[bytes, Roster] = {}
        self._generation = after[0]

    def take(self, roster: Roster, now: int) -> None:
        """Keeps a roster, unless it begins too far ahead or another has voided it; forgets what it voids."""
        insist(roster.numbers["not_before"] <= now + _AHEAD, "not yet", "begins more than eight days ahead")
        insist(roster.desk_cert.generation >= self._generation, "void", "a lower generation")
        insist(not any(_voids(other, roster) for other in self._rosters.values()), "void", "a newer serial voids it")
        self._generation = roster.desk_cert.generation
        self._rosters = {hash_: kept for hash_, kept in self._rosters.items() if not _voids(roster, kept)}
        self._rosters[roster.hash] = roster

    def in_force(self, now: int) -> Roster | None:
        """The one in force: the highest generation and serial of those valid now, and of two equals the lower hash."""
        valid = [roster for roster in self._rosters.values() if roster.in_force(now)]
        return min(valid, key=lambda roster: (-roster.rank[0], -roster.rank[1], roster.hash), default=None)


def _voids(newer: Roster, older: Roster) -> bool:
    if newer.desk_cert.generation != older.desk_cert.generation:
        return newer.desk_cert.generation > older.desk_cert.generation
    return newer.serial > older.serial and newer.period <= older.period
