"""HPKE (RFC 9180) in base mode over X-Wing, one message per context (SPEC §2)."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from . import xwing
from .label import expand, u16
from .refused import Refused

_SUITE = b"HPKE" + u16(0x647A) + u16(0x0001) + u16(0x0003)


def seal(recipient: bytes, info: bytes, aad_of, plaintext_of, randomness: bytes | None = None) -> tuple[bytes, bytes]:
    """The encapsulation and ciphertext. `aad_of(enc)` and `plaintext_of(enc)` are asked once `enc` is known,
    because both may contain it."""
    shared, enc = xwing.encapsulate(recipient) if randomness is None else xwing.encapsulate_with(recipient, randomness)
    key, nonce, _ = schedule(shared, info)
    return enc, ChaCha20Poly1305(key).encrypt(nonce, plaintext_of(enc), aad_of(enc))


def open_(secret: xwing.Secret, enc: bytes, info: bytes, aad: bytes, ciphertext: bytes) -> bytes:
    """The plaintext, or a refusal if anything differs from what was sealed."""
    key, nonce, _ = schedule(secret.decapsulate(enc), info)
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, ciphertext, aad)
    except InvalidTag as error:
        raise Refused("closed", "the cell does not open") from error


def schedule(shared: bytes, info: bytes) -> tuple[bytes, bytes, bytes]:
    """Key, base nonce and exporter secret of a base-mode context. The shared secret of X-Wing is used as it is:
    the extract-and-expand step of RFC 9180 §4.1 belongs to its Diffie-Hellman KEMs."""
    context = b"\x00" + _labeled_extract(b"", b"psk_id_hash", b"") + _labeled_extract(b"", b"info_hash", info)
    secret = _labeled_extract(shared, b"secret", b"")
    return (
        _labeled_expand(secret, b"key", context, 32),
        _labeled_expand(secret, b"base_nonce", context, 12),
        _labeled_expand(secret, b"exp", context, 32),
    )


def _labeled_extract(salt: bytes, label: bytes, ikm: bytes) -> bytes:
    mac = HMAC(salt or bytes(32), SHA256())
    mac.update(b"HPKE-v1" + _SUITE + label + ikm)
    return mac.finalize()


def _labeled_expand(prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return expand(prk, u16(length) + b"HPKE-v1" + _SUITE + label + info, length)
