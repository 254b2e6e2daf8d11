"""Letters, dummies and safeguarding letters in up cells (SPEC §6.1)."""

from . import line as lines
from . import part as parts_
from . import sign, up
from .label import label, sha256, u8
from .layout import LAYOUTS, number
from .refused import insist

_LAYOUT = LAYOUTS["up-letter"]
SIZE = _LAYOUT.fields["content"].size
DUMMY, LETTER = 0, 1
_ROUND = 600


def cut(data: bytes) -> list[parts_.Part]:
    return parts_.cut(data, SIZE)


def seal(to: up.Recipient, sign_seed: bytes, fields: dict, randomness: bytes | None = None, spoil=bytes) -> bytes:
    """One part, sealed. `fields` are those of the layout but for `flags`, `caller_pk` and `sig`.

    A field `sig` or `caller_pk` or `flags` that is given all the same is used as it is, for tests of refusals;
    `spoil` changes the signature once it is made.
    """

    def plaintext(enc: bytes) -> bytes:
        filled = {"flags": 0, "caller_pk": sign.public(sign_seed), "sig": bytes(64), **fields}
        inner = _LAYOUT.join(filled)
        if "sig" not in fields:
            inner = _LAYOUT.join({**filled, "sig": spoil(sign.sign(sign_seed, _message(to.line, to.use, enc, inner)))})
        return inner

    return up.seal(to, plaintext, randomness)


def open_(cell: bytes, holder: up.Holder) -> dict:
    """The checked fields of a letter's part or of a dummy, with `caller_id` and the hash of `enc`."""
    insist(holder.use in (up.DESK, up.SAFEGUARDING), "malformed", "letters go to the desk or to safeguarding")
    enc, inner = up.open_(cell, holder)
    return check(inner, enc, holder.line, holder.use)


def check(inner: bytes, enc: bytes, line: bytes, use: int) -> dict:
    """The fields of 911 opened bytes, if they are a letter's part or a dummy and the caller signed them."""
    fields = _LAYOUT.split(inner)
    kind, flags, part, count, length, seq, time = (
        number(fields[name]) for name in ("kind", "flags", "part", "parts", "len", "seq", "time")
    )
    insist(kind in (DUMMY, LETTER), "malformed", "kind")
    insist(flags == 0, "malformed", "flags")
    parts_.check(part, count, length, fields["content"])
    insist(time % _ROUND == 0, "malformed", "time is not rounded")
    if kind == DUMMY:
        insist((seq, part, count, length) == (0, 0, 1, SIZE), "malformed", "dummy")
    else:
        insist(seq >= 1, "malformed", "letters count from 1")
    sign.insist_signed(fields["caller_pk"], _message(line, use, enc, inner), fields["sig"], "letter")
    return {
        "kind": kind,
        "caller_pk": fields["caller_pk"],
        "caller_id": lines.caller_id(line, fields["caller_pk"]),
        "session": fields["session"],
        "seq": seq,
        "part": part,
        "parts": count,
        "time": time,
        "live_key": fields["live_key"],
        "reply_key": fields["reply_key"],
        "saw": fields["saw"],
        "content": fields["content"][:length],
        "enc_hash": sha256(enc),
    }


def _message(line: bytes, use: int, enc: bytes, inner: bytes) -> bytes:
    return label("letter") + line + u8(use) + sha256(enc) + _LAYOUT.without(inner, "sig")


class Joiner:
    """Joins letters from their parts, whatever the order, and refuses cells it has seen."""

    def __init__(self):
        self._seen: set[bytes] = set()
        self._parts = parts_.Joiner()
        self._done: set[tuple] = set()

    def take(self, opened: dict) -> bytes | None:
        """Adds an opened part; the letter's bytes when the last part comes, nothing otherwise."""
        insist(opened["enc_hash"] not in self._seen, "seen", "the cell was posted before")
        self._seen.add(opened["enc_hash"])
        if opened["kind"] == DUMMY:
            return None
        letter = (opened["caller_id"], opened["session"], opened["seq"])
        key = (*letter, opened["parts"], opened["time"])
        whole = self._parts.take(key, opened["part"], opened["parts"], opened["content"])
        if whole is None or letter in self._done:
            return None
        self._done.add(letter)
        return whole
