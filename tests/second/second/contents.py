"""What is in letters, answers and team events: CBOR maps with integer keys (SPEC §8)."""

import unicodedata

from .cbor import Pairs, encode, read_map
from .label import label, sha256, u16
from .refused import Refused, insist

TEXT_MOST = 16_000
CARD_MOST = 2048
BOARD_BLOBS_MOST = 512
KEEP_DAYS_MOST = 180
BLOB_LEN = 65_536
LANGUAGES = ("zh", "ko", "en")


def _is_uint(value) -> bool:
    return type(value) is int and 0 <= value < 2**64


def _uint(below: int):
    return lambda value: _is_uint(value) and value < below


def _text(value) -> bool:
    """Any text within its bounds, in whatever normal form: an older device knows an older Unicode."""
    return isinstance(value, str) and len(value.encode()) <= TEXT_MOST


def _bytes(length: int | None = None):
    return lambda value: isinstance(value, bytes) and (length is None or len(value) == length)


def _bool(value) -> bool:
    return isinstance(value, bool)


def _withdraw(value) -> bool:
    if not isinstance(value, list) or isinstance(value, Pairs):
        return False
    return value == [] or (len(value) == 2 and _bytes(8)(value[0]) and _uint(2**16)(value[1]))


def _card(value) -> bool:
    return isinstance(value, bytes) and len(value) <= CARD_MOST


def _stops(value) -> bool:
    return isinstance(value, list) and not isinstance(value, Pairs) and len(value) <= 64 and all(map(_bytes(8), value))


_LETTER = {0: _is_uint, 1: _text, 2: _is_uint, 3: _bool, 4: _bool, 5: _is_uint, 6: _withdraw}
_ANSWER = {0: _is_uint, 1: _text, 2: _is_uint, 3: _bool, 4: _card, 5: _is_uint, 6: _stops}
# How many values the enumerations have. A value of a later version is as if its key were absent.
_LETTER_ENUMERATIONS = {0: 5, 5: 3}
_ANSWER_ENUMERATIONS = {2: 3}


def _typed(value: dict, types: dict) -> dict:
    for key, fits in types.items():
        insist(key not in value or fits(value[key]), "malformed", f"key {key}")
    return {key: value[key] for key in types if key in value}


def _leave_out(value: dict, absent: dict) -> dict:
    return {key: item for key, item in value.items() if absent.get(key, object()) != item}


# What is left out. Not a language: 0 is Chinese, and an absent one is not said.
_LETTER_ABSENT = {0: 0, 1: "", 2: 0, 3: False, 4: False}
_ANSWER_ABSENT = {1: "", 3: False, 6: []}


def letter(value: dict) -> bytes:
    """A letter's bytes; `value` is keyed as in §8.1, and its text is brought to NFC."""
    value = _leave_out(_with_nfc(value), _LETTER_ABSENT)
    _check_letter(value)
    return encode(value)


def parse_letter(data: bytes) -> dict:
    value = _received(_typed(read_map(data, _LETTER), _LETTER), _LETTER_ENUMERATIONS)
    _check_letter(value)
    return value


def _check_letter(value: dict) -> None:
    _typed(value, _LETTER)
    insist(value.get(0) or value.get(1) or 6 in value, "malformed", "an empty letter")


def answer(value: dict) -> bytes:
    """An answer's bytes; `value` is keyed as in §8.2."""
    value = _leave_out(_with_nfc(value), _ANSWER_ABSENT)
    _check_answer(value)
    return encode(value)


def parse_answer(data: bytes) -> dict:
    value = _received(_typed(read_map(data, _ANSWER), _ANSWER), _ANSWER_ENUMERATIONS)
    _check_answer(value)
    return value


def _received(value: dict, enumerations: dict) -> dict:
    """What a reader makes of it: texts in NFC, and without values that only a later version knows."""
    return {key: item for key, item in _with_nfc(value).items() if key not in enumerations or item < enumerations[key]}


def _check_answer(value: dict) -> None:
    _typed(value, _ANSWER)
    insist(0 in value and 5 in value, "malformed", "an answer needs n and its writing time")


def _with_nfc(value: dict) -> dict:
    return {key: unicodedata.normalize("NFC", item) if isinstance(item, str) else item for key, item in value.items()}


def _acknowledged(value) -> bool:
    return isinstance(value, dict) and len(value) <= 64 and all(_bytes(8)(key) and _is_uint(item) for key, item in value.items())


def _slots(value) -> bool:
    return isinstance(value, list) and not isinstance(value, Pairs) and len(value) <= 8 and all(map(_uint(2**8), value))


_CALLER = _bytes(16)
_EVENTS = {
    1: {1: _bytes(1216)},
    2: {1: _acknowledged, 2: _bytes(8), 3: _is_uint},
    3: {1: _CALLER, 2: _uint(2**32), 3: _text},
    4: {1: _CALLER},
    5: {1: _CALLER, 2: _text},
    6: {
        1: _CALLER, 2: _bytes(8), 3: _bytes(), 4: _uint(2**32), 5: _bytes(8),
        6: _uint(2**16), 7: lambda kind: kind in (1, 2) and _is_uint(kind), 8: _uint(2**8),
    },
    7: {1: _CALLER, 2: _bytes(8), 3: _uint(2**16)},
    8: {1: _CALLER, 2: _bytes(8)},
    9: {1: _slots},
    10: {1: _uint(2**32), 2: _bytes(32)},
    11: {1: _CALLER, 2: _bytes(8)},
    12: {1: _bytes(116), 2: _bytes(114), 3: _bytes(1216)},
    13: {1: _bytes(8)},
    14: {1: _CALLER, 2: _bytes(8), 3: _text, 4: _text, 5: _text, 6: _text, 7: _text},
    15: {1: _CALLER, 2: _bytes(8), 3: _is_uint},
    16: {1: _acknowledged, 2: _uint(2**32)},
    17: {
        1: _bytes(8), 2: _is_uint, 3: _bytes(16), 4: _uint(2**8),
        5: lambda blobs: _uint(BOARD_BLOBS_MOST + 1)(blobs) and blobs > 0, 6: _bytes(32),
    },
    18: {1: _CALLER, 2: _uint(2**32)},
    19: {1: _bytes(8), 2: _uint(2**32), 3: _uint(2**32)},
    20: {1: _bytes(8), 2: _is_uint},
    21: {1: _CALLER, 2: _uint(3), 3: _text, 4: _uint(2**32)},
    22: {1: _CALLER, 2: _text, 3: _text},
    23: {1: _CALLER, 2: _text},
    24: {1: _CALLER, 2: _bytes(16)},
    25: {1: lambda days: _uint(KEEP_DAYS_MOST + 1)(days) and days > 0},
    26: {1: _CALLER, 2: lambda act: _uint(6)(act) and act > 0, 3: _bytes(16), 4: _text},
    27: {1: _bytes(8), 2: _is_uint, 3: _bytes(32)},
    28: {1: _bytes(8), 2: _is_uint, 3: _bytes(32)},
    29: {1: _CALLER, 2: _bytes(16)},
    30: {1: _bytes(4096)},
    31: {1: _bytes(32)},
}


def event(value: dict) -> bytes:
    """A team event's bytes; `value` is keyed as in §8.4."""
    _check_event(value)
    return encode(value)


def parse_event(data: bytes) -> dict:
    """A team event. One of an unknown type is returned as it is, to be kept and passed on."""
    kind = read_map(data, (0,)).get(0)
    insist(_is_uint(kind), "malformed", "an event needs a type")
    if kind not in _EVENTS:
        return {0: kind, "whole": data}
    value = read_map(data, {0, *_EVENTS[kind]})
    if kind in (2, 16) and isinstance(value.get(1), Pairs):
        value[1] = _held(value[1])
    _check_event(value)
    return value


_WORDS = {5: (2,), 14: (3, 4, 5, 6, 7), 21: (3,), 22: (2, 3), 23: (2,), 26: (4,)}


def trace(body: bytes) -> bytes:
    """What stays of an event when its words are forgotten (SPEC §8.4)."""
    try:
        value = parse_event(body)
    except Refused:
        return body
    kind = value[0]
    if kind == 3 and value[3]:
        return encode(value | {3: "…"})
    if kind == 6 and value[7] == 1 and value[8] == 0:
        try:
            said = parse_answer(value[3])
        except Refused:
            return body
        return encode(value | {3: encode({key: said[key] for key in (0, 3, 5) if said.get(key) not in (None, False)})})
    return encode(value | {key: "" for key in _WORDS[kind]}) if kind in _WORDS else body


def _held(pairs: Pairs) -> dict:
    """The map of an acknowledgement or an asking, whose keys are device ids: in any order, none twice."""
    insist(all(_bytes(8)(device) for device, _ in pairs), "malformed", "a device id")
    insist(len({device for device, _ in pairs}) == len(pairs), "malformed", "a device twice")
    return dict(pairs)


def _check_event(value: dict) -> None:
    types = _EVENTS.get(value.get(0), {})
    insist(all(key in value for key in types), "malformed", "a key is missing")
    _typed(value, types)


def said_id(proposal: bytes) -> bytes:
    """The id of the answer that says what two agreed to, by the hash of the proposal (SPEC §8.4)."""
    return sha256(label("team/say"), proposal)[:8]


def blob_names(root: bytes, blobs: int) -> list[bytes]:
    """The names of a board's blobs, in order (SPEC §8.5)."""
    return [sha256(label("desk/blob"), root, u16(number))[:16] for number in range(blobs)]


def blobs_hash(data: bytes) -> bytes:
    """What a board's event says of its blobs' bytes, one after the other."""
    return sha256(label("desk/blobs"), data)
