"""Bulletins (SPEC §11)."""

from . import sign
from .label import label
from .layout import LAYOUTS, number
from .refused import Refused, insist
from .roster import Roster

_LAYOUT = LAYOUTS["bulletin"]
_AHEAD = 600


def build(code: int, seat: int, time: int, seat_seed: bytes, line: bytes) -> bytes:
    data = _LAYOUT.join({"code": code, "seat": seat, "time": time, "signature": bytes(64)})
    body = _LAYOUT.before(data, "signature")
    return body + sign.sign(seat_seed, label("bulletin") + line + body)


def check(data: bytes, roster: Roster, now: int) -> dict | None:
    """The bulletin that stands, or None if these are the 80 zero bytes of no bulletin."""
    fields = _LAYOUT.split(data)
    code, seat, time = (number(fields[name]) for name in ("code", "seat", "time"))
    if code == 0:
        insist(not any(data), "malformed", "no bulletin is all zero")
        return None
    insist(code <= 3 and seat <= 7 and not any(fields["zero"]), "malformed", "bulletin")
    message = label("bulletin") + roster.line + _LAYOUT.before(data, "signature")
    signed = any(sign.verify(key, message, fields["signature"]) for key in roster.seat_keys(seat))
    insist(signed, "forged", "no key of the seat signed it")
    insist(time <= now + _AHEAD, "malformed", "too far ahead")
    insist(time >= roster.numbers["bulletins_void_before"], "void")
    return {"code": code, "seat": seat, "time": time}


class Standing:
    """The newest bulletin a reader has seen. No notice takes it away; a roster may void it."""

    def __init__(self):
        self._data, self._found = None, None

    def take(self, data: bytes, roster: Roster, now: int) -> dict | None:
        """Takes the bulletin of a notice; gives it if it is new. One that does not check is as if there were none."""
        try:
            found = check(data, roster, now)
        except Refused:
            return None
        if found is None or (self._found and found["time"] <= self._found["time"]):
            return None
        self._data, self._found = data, found
        return found

    def stands(self, roster: Roster, now: int) -> dict | None:
        """What is still said under the roster in force."""
        try:
            return None if self._data is None else check(self._data, roster, now)
        except Refused:
            return None
