"""Up cells: what letters and team cells have in common (SPEC §6)."""

from typing import NamedTuple

from . import hpke, xwing
from .label import label, sha256, u8, u16, u32
from .layout import LAYOUTS
from .refused import Refused, insist

_LAYOUT = LAYOUTS["up-cell"]
DESK, DEVICE, SAFEGUARDING = 1, 2, 3


class Recipient(NamedTuple):
    """Whom a cell is sealed to: a public key, in one period, for one use."""

    line: bytes
    period: int
    use: int
    key: bytes


class Holder(NamedTuple):
    """The same with the secret: who can open it."""

    line: bytes
    period: int
    use: int
    secret: xwing.Secret


def seal(to: Recipient, plaintext_of, randomness: bytes | None = None) -> bytes:
    """A cell; `plaintext_of(enc)` makes the 911 bytes inside once the encapsulation is known."""
    low = u8(to.period & 0xFF)
    enc, ct = hpke.seal(to.key, _info(to, to.key), lambda enc: _aad(low, enc), plaintext_of, randomness)
    return _LAYOUT.join({"period_lo": low, "enc": enc, "ct": ct})


def open_(cell: bytes, holder: Holder) -> tuple[bytes, bytes]:
    """The encapsulation and the plaintext of a cell sealed to this holder."""
    fields = _LAYOUT.split(cell)
    insist(fields["period_lo"] == u8(holder.period & 0xFF), "closed", "another period")
    info, aad = _info(holder, holder.secret.public), _aad(fields["period_lo"], fields["enc"])
    return fields["enc"], hpke.open_(holder.secret, fields["enc"], info, aad, fields["ct"])


def open_first(cell: bytes, holders: list[Holder]) -> tuple[Holder, bytes, bytes]:
    """Opens with the first holder for whom the cell opens."""
    for holder in holders:
        try:
            return holder, *open_(cell, holder)
        except Refused:
            continue
    raise Refused("closed", "no key opens the cell")


def _info(who: Recipient | Holder, key: bytes) -> bytes:
    return label("up") + who.line + u32(who.period) + u8(who.use) + sha256(key)


def _aad(period_lo: bytes, enc: bytes) -> bytes:
    return u8(1) + u16(0x0800) + period_lo + enc
