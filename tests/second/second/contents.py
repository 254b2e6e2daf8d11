"""What is in letters, answers and team events: CBOR maps with integer keys (SPEC §8)."""

import io
import unicodedata

import cbor2

from .refused import Refused, insist

TEXT_MOST = 16_000
LANGUAGES = ("zh", "ko", "en")


def encode(value) -> bytes:
    """CBOR with definite lengths, shortest integers and map keys in ascending order."""
    return cbor2.dumps(_in_order(value))


def _in_order(value):
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(item) for item in value] if isinstance(value, list) else value


def decode(data: bytes) -> dict:
    """One CBOR map of definite length, with nothing after it. Its keys are unsigned and strictly ascending."""
    stream = io.BytesIO(data)
    decoder = cbor2.CBORDecoder(stream, allow_indefinite=False, allow_duplicate_keys=False, read_size=1)
    try:
        value = decoder.decode()
    except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError) as error:
        raise Refused("malformed", "CBOR") from error
    insist(stream.tell() == len(data), "malformed", "trailing bytes")
    insist(isinstance(value, dict), "malformed", "not a map")
    insist_keys(value)
    return value


def insist_keys(value: dict) -> None:
    """Refuses a map whose keys are not unsigned integers in ascending order."""
    keys = list(value)
    insist(all(map(_is_uint, keys)), "malformed", "a key that is not an unsigned integer")
    insist(keys == sorted(keys), "malformed", "keys are not in ascending order")


def _is_uint(value) -> bool:
    return type(value) is int and 0 <= value < 2**64


def _uint(below: int):
    return lambda value: _is_uint(value) and value < below


def _text(value) -> bool:
    return (
        isinstance(value, str)
        and len(value.encode()) <= TEXT_MOST
        and unicodedata.is_normalized("NFC", value)
    )


def _bytes(length: int | None = None):
    return lambda value: isinstance(value, bytes) and (length is None or len(value) == length)


def _bool(value) -> bool:
    return isinstance(value, bool)


def _withdraw(value) -> bool:
    if not isinstance(value, list):
        return False
    return value == [] or (len(value) == 2 and _bytes(8)(value[0]) and _uint(2**16)(value[1]))


_LETTER = {0: _uint(5), 1: _text, 2: _uint(2**64), 3: _bool, 4: _bool, 5: _uint(3), 6: _withdraw}
_ANSWER = {0: _uint(2**64), 1: _text, 2: _uint(3), 3: _bool, 4: _bytes()}


def _typed(value: dict, types: dict) -> dict:
    for key, fits in types.items():
        insist(key not in value or fits(value[key]), "malformed", f"key {key}")
    return {key: value[key] for key in types if key in value}


def _leave_out(value: dict, absent: dict) -> dict:
    return {key: item for key, item in value.items() if absent.get(key, object()) != item}


_LETTER_ABSENT = {0: 0, 1: "", 2: 0, 3: False, 4: False, 5: 0}
_ANSWER_ABSENT = {1: "", 2: 0, 3: False, 4: b""}


def letter(value: dict) -> bytes:
    """A letter's bytes; `value` is keyed as in §8.1, and its text is brought to NFC."""
    value = _leave_out(_with_nfc(value), _LETTER_ABSENT)
    _check_letter(value)
    return encode(value)


def parse_letter(data: bytes) -> dict:
    value = _typed(decode(data), _LETTER)
    _check_letter(value)
    return value


def _check_letter(value: dict) -> None:
    _typed(value, _LETTER)
    insist(any(key in value for key in (0, 1, 6)), "malformed", "an empty letter")


def answer(value: dict) -> bytes:
    """An answer's bytes; `value` is keyed as in §8.2."""
    value = _leave_out(_with_nfc(value), _ANSWER_ABSENT)
    _check_answer(value)
    return encode(value)


def parse_answer(data: bytes) -> dict:
    value = _typed(decode(data), _ANSWER)
    _check_answer(value)
    return value


def _check_answer(value: dict) -> None:
    _typed(value, _ANSWER)
    insist(0 in value, "malformed", "an answer needs n")


def _with_nfc(value: dict) -> dict:
    return {key: unicodedata.normalize("NFC", item) if isinstance(item, str) else item for key, item in value.items()}


def _acknowledged(value) -> bool:
    return isinstance(value, dict) and all(_bytes(8)(key) and _is_uint(item) for key, item in value.items())


def _slots(value) -> bool:
    return isinstance(value, list) and all(map(_is_uint, value))


_ANY_TEXT = lambda value: isinstance(value, str)  # noqa: E731
_CALLER = _bytes(16)
_EVENTS = {
    1: {1: _bytes(1216)},
    2: {1: _acknowledged, 2: _bytes(8), 3: _is_uint},
    3: {1: _CALLER, 2: _is_uint, 3: _ANY_TEXT},
    4: {1: _CALLER},
    5: {1: _CALLER, 2: _ANY_TEXT},
    6: {
        1: _CALLER, 2: _bytes(8), 3: _bytes(), 4: _is_uint, 5: _bytes(8),
        6: _uint(2**16), 7: lambda kind: kind in (1, 2) and _is_uint(kind), 8: _uint(4),
    },
    7: {1: _CALLER, 2: _bytes(8), 3: _uint(2**16)},
    8: {1: _CALLER, 2: _bytes(8)},
    9: {1: _slots},
    10: {1: _uint(2**32), 2: _bytes(32)},
    11: {1: _CALLER, 2: _bytes(8)},
}


def event(value: dict) -> bytes:
    """A team event's bytes; `value` is keyed as in §8.4."""
    _check_event(value)
    return encode(value)


def parse_event(data: bytes) -> dict:
    """A team event. One of an unknown type is returned as it is, to be kept and passed on."""
    value = decode(data)
    insist(0 in value and _is_uint(value[0]), "malformed", "an event needs a type")
    if value[0] not in _EVENTS:
        return value
    _check_event(value)
    return {0: value[0], **_typed(value, _EVENTS[value[0]])}


def _check_event(value: dict) -> None:
    types = _EVENTS.get(value.get(0), {})
    insist(all(key in value for key in types), "malformed", "a key is missing")
    _typed(value, types)
