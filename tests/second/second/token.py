"""Device tokens (SPEC §11.1)."""

import base64
import binascii
from typing import NamedTuple

from . import cert, line as lines, sign
from .label import label, u8, u16, u64
from .layout import LAYOUTS, number
from .refused import Refused, insist

_LAYOUT = LAYOUTS["token"]
_TEXT_LEN = 424
_AROUND = 300
_NONCES_KEPT = 600


class Request(NamedTuple):
    """What a token is for: one request over one connection."""

    line: bytes
    spki_hash: bytes
    method: str
    path: str
    body_hash: bytes


def build(desk_cert: bytes, device_cert: bytes, device_seed: bytes, request: Request, time: int, nonce: bytes) -> str:
    """A token as it stands in the header after `Bearer `."""
    signature = sign.sign(device_seed, _message(request, time, nonce))
    fields = {"desk_cert": desk_cert, "device_cert": device_cert, "time": time, "nonce": nonce, "signature": signature}
    return base64.urlsafe_b64encode(_LAYOUT.join(fields)).decode().rstrip("=")


def check(text: str, request: Request, root_pk: bytes, now: int, generation: int = 0, revoked: list[bytes] = ()) -> dict:
    """Who speaks, if the token is good for this request now. Nonces are the caller's to remember."""
    fields = _LAYOUT.split(_base64url(text))
    desk = cert.check_desk(fields["desk_cert"], root_pk, request.line)
    device = cert.check_device(fields["device_cert"], desk.desk_pk, request.line)
    time, nonce = number(fields["time"]), fields["nonce"]
    sign.insist_signed(device.device_pk, _message(request, time, nonce), fields["signature"], "token")
    insist(desk.generation >= generation, "void", "a lower generation")
    insist(desk.covers(now) and device.covers(now), "expired")
    insist(abs(time - now) <= _AROUND, "expired", "the token's time")
    device_id = lines.device_id(request.line, device.device_pk)
    insist(device_id not in revoked, "revoked")
    return {
        "device_id": device_id,
        "role": device.role,
        "seat": device.seat,
        "generation": desk.generation,
        "time": time,
        "nonce": nonce,
    }


class Gate:
    """What a relay lets in: tokens that check, by the right role, each once."""

    def __init__(self, root_pk: bytes, roster=None):
        self.root_pk, self.roster = root_pk, roster
        self._nonces: dict[bytes, int] = {}

    def admit(self, text: str, request: Request, now: int) -> dict:
        """Who speaks, if the call is theirs to make; the nonce is then used up for ten minutes."""
        generation, revoked = (self.roster.rank[0], self.roster.revoked()) if self.roster else (0, [])
        found = check(text, request, self.root_pk, now, generation, revoked)
        insist(request.path != "/v1/desk/roster" or found["role"] == cert.LEAD, "role", "rosters come from leads")
        self._nonces = {nonce: at for nonce, at in self._nonces.items() if now - at <= _NONCES_KEPT}
        insist(found["nonce"] not in self._nonces, "seen", "the nonce was used")
        self._nonces[found["nonce"]] = now
        return found


def _base64url(text: str) -> bytes:
    insist(len(text) == _TEXT_LEN, "malformed", "a token's length")
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("malformed", "not base64url") from error


def _message(request: Request, time: int, nonce: bytes) -> bytes:
    method, path = request.method.encode(), request.path.encode()
    return b"".join(
        (
            label("token"), request.line, request.spki_hash, u8(len(method)), method, u16(len(path)), path,
            request.body_hash, u64(time), nonce,
        )
    )
