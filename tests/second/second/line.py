"""The line's ids and its root (SPEC §3)."""

from argon2.low_level import Type, hash_secret_raw

from . import sign
from .label import label, sha256, u16
from .refused import insist


def line_id(root_pk: bytes) -> bytes:
    return sha256(label("line"), root_pk)


def device_id(line: bytes, device_pk: bytes) -> bytes:
    return sha256(label("device"), line, device_pk)[:8]


def caller_id(line: bytes, caller_pk: bytes) -> bytes:
    return sha256(label("caller"), line, caller_pk)[:16]


def root_seed(indexes: list[int]) -> bytes:
    """The root's Ed25519 seed from its sixteen words (§3.1)."""
    insist(len(indexes) == 16 and all(0 <= i < 1024 for i in indexes), "malformed", "the root has sixteen words")
    return argon2id(b"".join(map(u16, indexes)), b"porchlight/v1/root-words", memory_kib=262_144, passes=3)


def root_public(indexes: list[int]) -> bytes:
    return sign.public(root_seed(indexes))


def argon2id(password: bytes, salt: bytes, memory_kib: int, passes: int) -> bytes:
    """Argon2id version 1.3 with one lane and 32 bytes out."""
    return hash_secret_raw(password, salt, passes, memory_kib, 1, 32, Type.ID, version=0x13)
