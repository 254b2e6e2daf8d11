"""CBOR (RFC 8949) as SPEC §8 restricts it: definite lengths, unsigned keys in strictly ascending order.

Writing is cbor2's. Reading is done here, because a general reader gives meaning to tags and forgives what §8 refuses.
"""

import cbor2

from .refused import Refused, insist

UINT, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)


class Other:
    """A value that no field of the protocol has: a negative number, a tag, null, a float."""


def encode(value) -> bytes:
    """CBOR with definite lengths, shortest integers and map keys in ascending order."""
    return cbor2.dumps(_in_order(value))


def _in_order(value):
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(item) for item in value] if isinstance(value, list) else value


class Reader:
    """Reads one value after the other from bytes."""

    def __init__(self, data: bytes):
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        insist(count <= len(self.data) - self.at, "malformed", "cut off")
        self.at += count
        return self.data[self.at - count : self.at]

    def head(self) -> tuple[int, int, int]:
        """Major type, additional information, and the argument; indefinite lengths are refused."""
        major, info = divmod(self.take(1)[0], 32)
        if info < 24:
            return major, info, info
        insist(info < 28, "malformed", "an indefinite length or a reserved head")
        return major, info, int.from_bytes(self.take(1 << (info - 24)), "big")

    def skip(self) -> None:
        """Passes over one value, which must be well-formed. It counts instead of nesting, so depth costs nothing."""
        left = 1
        while left:
            major, _, argument = self.head()
            left -= 1
            if major == BYTES:
                self.take(argument)
            elif major == TEXT:
                _utf8(self.take(argument))
            else:
                left += {ARRAY: argument, MAP: 2 * argument, TAG: 1}.get(major, 0)

    def value(self, depth: int = 4):
        """One value. Fields of the protocol nest four deep at most; deeper is passed over as `Other`."""
        start = self.at
        major, info, argument = self.head()
        if major == UINT:
            return argument
        if major == BYTES:
            return self.take(argument)
        if major == TEXT:
            return _utf8(self.take(argument))
        if major == ARRAY and depth:
            insist(argument <= len(self.data), "malformed", "cut off")
            return [self.value(depth - 1) for _ in range(argument)]
        if major == MAP and depth:
            insist(argument <= len(self.data), "malformed", "cut off")
            return Pairs([(self.value(depth - 1), self.value(depth - 1)) for _ in range(argument)])
        if major == SIMPLE and info in (20, 21):
            return info == 21
        self.at = start
        self.skip()
        return Other()


class Pairs(list):
    """A map as it stood: its entries in order, with any keys."""

    def numbered(self, known) -> dict:
        """The entries under known keys; refuses keys that are not unsigned integers in strictly ascending order."""
        keys = [key for key, _ in self]
        insist(all(type(key) is int for key in keys), "malformed", "a key that is not an unsigned integer")
        insist(all(a < b for a, b in zip(keys, keys[1:])), "malformed", "keys are not in ascending order")
        return {key: value for key, value in self if key in known}


def read(data: bytes):
    """The one value that these bytes are."""
    reader = Reader(data)
    value = reader.value()
    insist(reader.at == len(data), "malformed", "trailing bytes")
    return value


def read_map(data: bytes, known) -> dict:
    """The known entries of the one map that these bytes are."""
    value = read(data)
    insist(isinstance(value, Pairs), "malformed", "not a map")
    return value.numbered(known)


def _utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("malformed", "text that is not UTF-8") from error
