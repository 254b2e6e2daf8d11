"""Desk and device certificates (SPEC §5.1, §5.2)."""

from typing import NamedTuple

from . import sign
from .label import label
from .layout import LAYOUTS, number
from .refused import insist

_DESK, _DEVICE = LAYOUTS["desk-cert"], LAYOUTS["device-cert"]
WORKER, LEAD, SAFEGUARDING = 1, 2, 3
NO_SEAT = 255


class DeskCert(NamedTuple):
    """A lead's desk signing key, signed by the root."""

    desk_pk: bytes
    generation: int
    not_before: int
    not_after: int

    def covers(self, now: int) -> bool:
        return self.not_before <= now < self.not_after


class DeviceCert(NamedTuple):
    """A device's key, signed by a desk signing key."""

    role: int
    seat: int
    device_pk: bytes
    not_before: int
    not_after: int

    def covers(self, now: int) -> bool:
        return self.not_before <= now < self.not_after


def sign_desk(cert: DeskCert, root_seed: bytes, line: bytes) -> bytes:
    return _signed(_DESK, cert, "desk-cert", root_seed, line)


def check_desk(data: bytes, root_pk: bytes, line: bytes) -> DeskCert:
    """The certificate, if the root signed it. Says nothing about its life."""
    fields = _DESK.split(data)
    message = label("desk-cert") + line + _DESK.before(data, "signature")
    sign.insist_signed(root_pk, message, fields["signature"], "desk certificate")
    return DeskCert(
        fields["desk_pk"], number(fields["generation"]), number(fields["not_before"]), number(fields["not_after"])
    )


def sign_device(cert: DeviceCert, desk_seed: bytes, line: bytes) -> bytes:
    return _signed(_DEVICE, cert, "device-cert", desk_seed, line)


def check_device(data: bytes, desk_pk: bytes, line: bytes) -> DeviceCert:
    """The certificate, if the desk signing key signed it and its role and seat belong together."""
    fields = _DEVICE.split(data)
    message = label("device-cert") + line + _DEVICE.before(data, "signature")
    sign.insist_signed(desk_pk, message, fields["signature"], "device certificate")
    role, seat = number(fields["role"]), number(fields["seat"])
    insist(role in (WORKER, LEAD, SAFEGUARDING), "malformed", "role")
    seats = {8} if role == SAFEGUARDING else {*range(8), NO_SEAT}
    insist(seat in seats, "malformed", "seat")
    return DeviceCert(role, seat, fields["device_pk"], number(fields["not_before"]), number(fields["not_after"]))


def _signed(layout, cert, name: str, seed: bytes, line: bytes) -> bytes:
    data = layout.join({**cert._asdict(), "signature": bytes(64)})
    body = layout.before(data, "signature")
    return body + sign.sign(seed, label(name) + line + body)
