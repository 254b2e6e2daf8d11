"""Labels, integers and the hash: the conventions at the head of the SPEC and its §2."""

import hashlib
import hmac


def label(name: str) -> bytes:
    """`L(name)`: the length-prefixed label that begins every hash, signature and derivation."""
    text = b"porchlight/v1/" + name.encode("ascii")
    return u8(len(text)) + text


def u8(value: int) -> bytes:
    return value.to_bytes(1, "big")


def u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    return value.to_bytes(8, "big")


def sha256(*pieces: bytes) -> bytes:
    """SHA-256 of the pieces, one after the other."""
    return hashlib.sha256(b"".join(pieces)).digest()


def expand(key: bytes, info: bytes, length: int) -> bytes:
    """`Expand(k, info, n)`: HKDF-Expand with SHA-256 and the key as PRK."""
    out, block = b"", b""
    for count in range(1, 1 + -(-length // 32)):
        block = hmac.digest(key, block + info + u8(count), "sha256")
        out += block
    return out[:length]
