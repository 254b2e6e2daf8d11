"""Ed25519 with strict verification (SPEC §2)."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from .refused import insist

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
# y of a point of order eight; its negative is the other one. Orders 1, 2 and 4 have y = 1, -1 and 0.
_Y8 = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
_SMALL = {0, 1, _P - 1, _Y8, _P - _Y8}


def public(seed: bytes) -> bytes:
    """The public key of a secret seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def sign(seed: bytes, message: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def not_canonical(signature: bytes) -> bytes:
    """The same signature with the group order added to S, which only a lax verifier takes: for tests of refusals."""
    return signature[:32] + (int.from_bytes(signature[32:], "little") + _ORDER).to_bytes(32, "little")


def small_order(point: bytes) -> bool:
    """Whether these 32 bytes encode a point of small order, in any encoding of it."""
    y = int.from_bytes(point, "little") & (2**255 - 1)
    return y % _P in _SMALL


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is strictly good: S below the group order, neither the key nor R of small order."""
    if len(signature) != 64 or int.from_bytes(signature[32:], "little") >= _ORDER:
        return False
    if small_order(key) or small_order(signature[:32]):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def insist_signed(key: bytes, message: bytes, signature: bytes, what: str) -> None:
    """Refuses as forged what the key has not signed."""
    insist(verify(key, message, signature), "forged", what)
