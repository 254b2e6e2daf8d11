"""Team letters, team dummies and the chain of a device's events (SPEC §6.2)."""

from . import part as parts_
from . import cert, contents, sign, up, xwing
from .label import label, sha256, u8, u32, u64
from .layout import LAYOUTS, number
from .refused import insist

_LAYOUT = LAYOUTS["up-team"]
SIZE = _LAYOUT.fields["content"].size
LETTER, DUMMY = 2, 3
SECRET = 10


def cut(data: bytes) -> list[parts_.Part]:
    return parts_.cut(data, SIZE)


def seal(to: up.Recipient, device_seed: bytes, fields: dict, randomness: bytes | None = None, spoil=bytes) -> bytes:
    """One part of an event, or a dummy, sealed. What is given of `flags`, `device_pk` and `sig` is used as it is;
    `spoil` changes the signature once it is made."""
    filled = {"flags": 0, "device_pk": sign.public(device_seed), "sig": bytes(64), **fields}
    inner = _LAYOUT.join(filled)
    if "sig" not in fields:
        inner = _LAYOUT.join({**filled, "sig": spoil(sign.sign(device_seed, _message(to.line, to.use, inner)))})
    return up.seal(to, lambda _enc: inner, randomness)


def open_(cell: bytes, holder: up.Holder) -> dict:
    """The checked fields of a part of a team letter, or of a team dummy."""
    insist(holder.use in (up.DESK, up.DEVICE), "malformed", "team cells go to the desk or to a device")
    _, inner = up.open_(cell, holder)
    return check(inner, holder.line, holder.use)


def check(inner: bytes, line: bytes, use: int) -> dict:
    """The fields of 911 opened bytes, if they are a team cell and the device named in them signed it."""
    fields = _LAYOUT.split(inner)
    numbers = {name: number(fields[name]) for name in "kind flags device_seq lamport time part parts len".split()}
    insist(numbers["kind"] in (LETTER, DUMMY), "malformed", "kind")
    insist(numbers["flags"] == 0, "malformed", "flags")
    part, count, length = numbers["part"], numbers["parts"], numbers["len"]
    parts_.check(part, count, length, fields["content"])
    if numbers["kind"] == DUMMY:
        shape = (numbers["device_seq"], part, count, length)
        insist(shape == (0, 0, 1, SIZE) and not any(fields["previous"]), "malformed", "dummy")
    else:
        insist(numbers["device_seq"] >= 1, "malformed", "events count from 1")
    sign.insist_signed(fields["device_pk"], _message(line, use, inner), fields["sig"], "team cell")
    return {
        **{name: numbers[name] for name in "kind device_seq lamport time part parts".split()},
        "device_pk": fields["device_pk"],
        "previous": fields["previous"],
        "content": fields["content"][:length],
    }


def check_direct(opened: dict, line: bytes, own_pk: bytes) -> None:
    """Refuses a direct letter that was written to another device and passed on."""
    insist(opened["kind"] == DUMMY or opened["previous"] == direct(line, own_pk), "forged", "a direct letter to another")


def check_secret(event: dict, use: int, sender_role: int, roster) -> bytes:
    """The desk secret in an event of type 10, if it came directly from a lead and is the roster's."""
    insist(event[0] == SECRET, "malformed", "no desk secret")
    insist(use == up.DEVICE and sender_role == cert.LEAD, "forged", "desk secrets come directly from a lead")
    insist(event[1] == roster.period, "void", "another period")
    insist(xwing.Secret(event[2]).public == roster.fields["desk_key"], "forged", "not the secret of the desk key")
    return event[2]


class Joiner:
    """Joins events from their parts; each event comes once, however often its parts were sealed."""

    def __init__(self):
        self._parts, self._done = parts_.Joiner(), set()

    def take(self, opened: dict, use: int) -> bytes | None:
        """Adds an opened part; the event's bytes with the last one. Dummies are nothing."""
        if opened["kind"] == DUMMY:
            return None
        event = (opened["device_pk"], use, opened["device_seq"])
        whole = self._parts.take((*event, opened["parts"]), opened["part"], opened["parts"], opened["content"])
        if whole is None or event in self._done:
            return None
        self._done.add(event)
        return whole


def direct(line: bytes, recipient_pk: bytes) -> bytes:
    """What a direct letter names as `previous`: its recipient, who checks it."""
    return sha256(label("team/direct"), line, recipient_pk)


def event_hash(line: bytes, device_pk: bytes, device_seq: int, previous: bytes, lamport: int, time: int, body: bytes):
    """The hash that the device's next event names as `previous`."""
    return sha256(
        label("team/event"), line, device_pk, u64(device_seq), previous, u64(lamport), u32(time),
        sha256(body), contents.trace(body),
    )


def _message(line: bytes, use: int, inner: bytes) -> bytes:
    return label("team") + line + u8(use) + _LAYOUT.without(inner, "sig")
