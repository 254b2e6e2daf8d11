"""Down cells: tags, answers, receipts (SPEC §7)."""

from typing import NamedTuple

from nacl import bindings, exceptions

from . import clock, part as parts_, sign
from .label import expand, label, u8, u16, u32
from .layout import LAYOUTS, number
from .refused import Refused, insist

_CELL, _INNER = LAYOUTS["down-cell"], LAYOUTS["down-inner"]
SIZE = _INNER.fields["content"].size
RECEIPT, ANSWER, STOP = 0, 1, 2
WITHDRAWN, TOO_LATE = 1, 2
FAST_MOST, SLOW_MOST = 1024, 64
JOINS_MOST = 64
_LEAST_MARGIN = 3_600
_FAST_MARGIN = 86_400


class Place(NamedTuple):
    """What a tag is derived for: a track's slot in one caller's sequence. `day` is None on the fast track."""

    relay_no: int
    day: int | None
    seat: int
    i: int


def tag_and_key(line: bytes, key: bytes, place: Place) -> tuple[bytes, bytes]:
    """The 16 bytes of the tag and the 32 bytes of the key at a place, from a live key (fast) or reply key (slow)."""
    insist(0 <= place.seat <= 8, "malformed", "seat")
    if place.day is None:
        insist(place.i < FAST_MOST, "malformed", "i")
        info = label("fast") + line + u8(place.relay_no) + u8(place.seat) + u16(place.i)
    else:
        insist(place.i < SLOW_MOST, "malformed", "i")
        info = label("slow") + line + u8(place.relay_no) + u32(place.day) + u8(place.seat) + u16(place.i)
    both = expand(key, info, 48)
    return both[:16], both[16:]


def tags(line: bytes, key: bytes, place: Place) -> dict[bytes, tuple[bytes, Place]]:
    """The tags of a whole sequence, from `i` 0 on: for each the key it came from and its place."""
    count = FAST_MOST if place.day is None else SLOW_MOST
    found = {}
    for i in range(count):
        one = Place(place.relay_no, place.day, place.seat, i)
        found[tag_and_key(line, key, one)[0]] = (key, one)
    return found


def cut(data: bytes) -> list[parts_.Part]:
    return parts_.cut(data, SIZE)


def seal(
    line: bytes, key: bytes, place: Place, caller: bytes, seat_seed: bytes, fields: dict, nonce: bytes,
    signed_tag: bytes | None = None, spoil=bytes,
) -> bytes:
    """A cell for one place, signed by a seat. What is given of `flags` and `sig` is used as it is.

    For tests of refusals `signed_tag` is signed instead of the cell's, and `spoil` changes the signature.
    """
    tag, cell_key = tag_and_key(line, key, place)
    filled = {"flags": 0, "sig": bytes(64), **fields}
    inner = _INNER.join(filled)
    if "sig" not in fields:
        inner = _INNER.join({**filled, "sig": spoil(sign.sign(seat_seed, _message(line, caller, signed_tag or tag, inner)))})
    ct = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(inner, tag, nonce, cell_key)
    return _CELL.join({"tag": tag, "nonce": nonce, "ct": ct})


class Reader:
    """What a caller needs to believe an answer: the line, who she is, the seats' keys and the time."""

    def __init__(self, line: bytes, caller: bytes, seat_keys, now: int, slow_s: int):
        self.line, self.caller, self.now, self.slow_s = line, caller, now, slow_s
        self._seat_keys = seat_keys

    def open_(self, cell: bytes, key: bytes, place: Place) -> dict:
        """The checked fields of the cell at this place. `closed` if it is not there."""
        tag, cell_key = tag_and_key(self.line, key, place)
        fields = _CELL.split(cell)
        insist(fields["tag"] == tag, "closed", "another tag")
        return self.check(_decrypt(cell_key, fields), tag, place)

    def check(self, inner: bytes, tag: bytes, place: Place) -> dict:
        """The fields of 968 opened bytes, if they obey §7 and the place's seat signed them for this tag."""
        fields = _INNER.split(inner)
        message = _message(self.line, self.caller, tag, inner)
        signed = any(sign.verify(key, message, fields["sig"]) for key in self._seat_keys(place.seat))
        insist(signed, "forged", "no key of the seat signed it")
        out = _checked_shape(fields)
        self._check_time(out["time"], place)
        insist(self.now <= out["good_until"], "expired", "past good_until")
        return {**out, "seat": place.seat}

    def _check_time(self, time: int, place: Place) -> None:
        if place.day is None:
            insist(abs(time - self.now) <= _FAST_MARGIN, "expired", "time is not near now")
            return
        length = clock.SLOTS_PER_DAY * self.slow_s
        margin = max(length, _LEAST_MARGIN)
        fits = place.day * length - margin <= time < (place.day + 1) * length + margin
        insist(fits, "expired", "time is not near the tag's day")


def _checked_shape(fields: dict[str, bytes]) -> dict:
    kind, flags, part, count, length = (number(fields[name]) for name in ("kind", "flags", "part", "parts", "len"))
    insist(kind in (RECEIPT, ANSWER, STOP), "malformed", "kind")
    insist(flags in (0, WITHDRAWN, TOO_LATE), "malformed", "flags")
    insist(any(fields["answer_id"]) == (kind != RECEIPT), "malformed", "answer_id")
    if kind == RECEIPT:
        insist((part, count, length) == (0, 1, 0) and not any(fields["content"]), "malformed", "one empty part")
    else:
        parts_.check(part, count, length, fields["content"])
    return {
        "kind": kind,
        "flags": flags,
        "answer_id": fields["answer_id"],
        "part": part,
        "parts": count,
        "time": number(fields["time"]),
        "good_until": number(fields["good_until"]),
        "answers_session": fields["answers_session"],
        "answers_seq": number(fields["answers_seq"]),
        "have_session": fields["have_session"],
        "have_upto": number(fields["have_upto"]),
        "have_map": number(fields["have_map"]),
        "content": fields["content"][:length],
    }


def have(opened: dict, session: bytes, seq: int) -> bool:
    """Whether the receipt in an opened cell says that the desk holds this letter."""
    if not any(opened["have_session"]) or opened["have_session"] != session:
        return False
    beyond = seq - opened["have_upto"] - 1
    return beyond < 0 or (beyond < 64 and opened["have_map"] >> beyond & 1 == 1)


def _decrypt(key: bytes, fields: dict[str, bytes]) -> bytes:
    try:
        return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(fields["ct"], fields["tag"], fields["nonce"], key)
    except exceptions.CryptoError as error:
        raise Refused("closed", "the cell does not open") from error


def _message(line: bytes, caller: bytes, tag: bytes, inner: bytes) -> bytes:
    return label("answer") + line + caller + tag + _INNER.without(inner, "sig")


class Coming:
    """An answer on its way: its parts, how many began before it, and when the fast track last brought one of them."""

    def __init__(self, opened: dict, begun: int):
        self.opened, self.begun, self.heard = opened, begun, None
        self.parts = parts_.Joiner()


class Joiner:
    """Joins answers and stops from their parts; of more than 64 that are not whole the oldest is forgotten."""

    def __init__(self):
        self._coming: dict[tuple, Coming] = {}
        self._begun = 0

    def take(self, opened: dict, heard: int | None = None) -> tuple[bytes, int] | None:
        """Adds an opened part; with the last one the answer's bytes, and how many began before it."""
        if opened["kind"] == RECEIPT:
            return None
        names = ("seat", "kind", "answer_id", "parts", "good_until", "answers_session", "answers_seq")
        key = tuple(opened[name] for name in names)
        if key not in self._coming:
            if len(self._coming) >= JOINS_MOST:
                del self._coming[next(iter(self._coming))]
            self._coming[key] = Coming(opened, self._begun)
            self._begun += 1
        coming = self._coming[key]
        if heard is not None:
            coming.heard = heard
        whole = coming.parts.take((), opened["part"], opened["parts"], opened["content"])
        if whole is None:
            return None
        del self._coming[key]
        return whole, coming.begun

    def before(self, begun: int) -> list[Coming]:
        """The answers that began before and are not whole."""
        return [one for one in self._coming.values() if one.begun < begun and one.opened["kind"] == ANSWER]
