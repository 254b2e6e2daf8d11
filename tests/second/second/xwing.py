"""X-Wing (draft-connolly-cfrg-xwing-kem), with version 1's own rule about all-zero X25519 parts (SPEC §2)."""

import hashlib

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from kyber_py.ml_kem import ML_KEM_768

from .refused import Refused, insist

PUBLIC_LEN, ENC_LEN, SEED_LEN = 1216, 1120, 32
_PK_M, _CT_M = 1184, 1088
_LABEL = rb"\.//^" + b"\\"


class Secret:
    """The receiver's half, from a 32-byte seed."""

    def __init__(self, seed: bytes):
        expanded = hashlib.shake_256(seed).digest(96)
        self._m = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        self._x = X25519PrivateKey.from_private_bytes(expanded[64:])
        self.public = self._m.public_key().public_bytes_raw() + self._x.public_key().public_bytes_raw()

    def decapsulate(self, enc: bytes) -> bytes:
        """The shared secret of an encapsulation; refuses an all-zero X25519 part or result."""
        insist(len(enc) == ENC_LEN, "malformed", "an encapsulation has 1,120 bytes")
        ct_m, ct_x = enc[:_CT_M], enc[_CT_M:]
        ss_x = _exchange(self._x, ct_x)
        return _combine(self._m.decapsulate(ct_m), ss_x, ct_x, self.public[_PK_M:])


def check_public(key: bytes) -> None:
    """Refuses a public key of the wrong length, with an all-zero X25519 part or an unreduced ML-KEM part."""
    insist(len(key) == PUBLIC_LEN, "malformed", "a sealing key has 1,216 bytes")
    insist(any(key[_PK_M:]), "malformed", "the X25519 part of a sealing key is zero")
    try:
        MLKEM768PublicKey.from_public_bytes(key[:_PK_M])
    except ValueError as error:
        raise Refused("malformed", "the ML-KEM part of a sealing key") from error


def encapsulate(key: bytes) -> tuple[bytes, bytes]:
    """A fresh shared secret for a public key, and its encapsulation."""
    check_public(key)
    ss_m, ct_m = MLKEM768PublicKey.from_public_bytes(key[:_PK_M]).encapsulate()
    return _finish(key, ss_m, ct_m, X25519PrivateKey.generate())


def encapsulate_with(key: bytes, randomness: bytes) -> tuple[bytes, bytes]:
    """As `encapsulate`, with the 64 bytes of randomness given: for published and our own vectors only."""
    check_public(key)
    ss_m, ct_m = ML_KEM_768._encaps_internal(key[:_PK_M], randomness[:32])
    return _finish(key, ss_m, ct_m, X25519PrivateKey.from_private_bytes(randomness[32:]))


def _finish(key: bytes, ss_m: bytes, ct_m: bytes, share: X25519PrivateKey) -> tuple[bytes, bytes]:
    ct_x = share.public_key().public_bytes_raw()
    ss_x = _exchange(share, key[_PK_M:])
    return _combine(ss_m, ss_x, ct_x, key[_PK_M:]), ct_m + ct_x


def _exchange(secret: X25519PrivateKey, share: bytes) -> bytes:
    insist(any(share), "malformed", "an X25519 part is zero")
    try:
        result = secret.exchange(X25519PublicKey.from_public_bytes(share))
    except ValueError as error:
        raise Refused("malformed", "an X25519 result is zero") from error
    insist(any(result), "malformed", "an X25519 result is zero")
    return result


def _combine(ss_m: bytes, ss_x: bytes, ct_x: bytes, pk_x: bytes) -> bytes:
    return hashlib.sha3_256(ss_m + ss_x + ct_x + pk_x + _LABEL).digest()
