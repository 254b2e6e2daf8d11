"""Cards and doors (SPEC §10)."""

import base64
import binascii
import re

from . import cbor as cbor_
from .label import label, sha256
from .refused import Refused, insist

_PREFIX = "PORCHLIGHT1"
# White space as Unicode has it (Python counts four control characters more), and what some keyboards hide in text.
_PASSED_OVER = re.compile(r"[^\S\x1c-\x1f]|[-\ufeff\u200b]")
_MOST = 2_048
_PORT = r"0*(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_HOST = rf"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f.:]+\])(?::{_PORT})?"
_URL = re.compile(f"https://{_HOST}")
_GATE = re.compile(r"[a-z0-9]{4,32}")
_DOOR = re.compile(f"https://({_HOST})/([a-z0-9]{{4,32}})")
_DOOR_MOST = 24


def cbor(card: dict) -> bytes:
    """A card's CBOR; `card` is `{root, relays: [{url, gates, pin?, number?}]}`."""
    relays = [_relay_map(relay, at) for at, relay in enumerate(card["relays"])]
    data = cbor_.encode({0: 1, 1: card["root"], 2: relays})
    parse_cbor(data)
    return data


def _relay_map(relay: dict, at: int) -> dict:
    value = {0: relay["url"], 1: relay["gates"]}
    if relay.get("pin") is not None:
        value[2] = relay["pin"]
    if relay.get("number", at) != at:
        value[3] = relay["number"]
    return value


def text(card: dict) -> str:
    """The text form."""
    return text_of(cbor(card))


def text_of(data: bytes) -> str:
    """The text form of a card's CBOR, unchecked."""
    return f"{_PREFIX}-{base64.b32encode(data + _check_bytes(data)).decode().rstrip('=')}"


def parse_text(written: str) -> dict:
    """A card from its text form, with case, white space and hyphens as a person may have typed them."""
    squeezed = "".join(c.upper() if c.isascii() else c for c in _PASSED_OVER.sub("", written))
    insist(squeezed.startswith(_PREFIX), "malformed", "not a card")
    data = _base32(squeezed[len(_PREFIX) :])
    insist(len(data) > 4 and _check_bytes(data[:-4]) == data[-4:], "malformed", "a typing error in the card")
    return parse_cbor(data[:-4])


def _base32(letters: str) -> bytes:
    try:
        data = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except (binascii.Error, ValueError) as error:
        raise Refused("malformed", "not base32") from error
    insist(base64.b32encode(data).decode().rstrip("=") == letters, "malformed", "loose bits in base32")
    return data


def parse_cbor(data: bytes) -> dict:
    """A card from its CBOR, checked."""
    insist(len(data) <= _MOST, "malformed", "the card is too long")
    value = cbor_.read_map(data, (0, 1, 2))
    insist(type(value.get(0)) is int and value[0] == 1, "malformed", "version")
    insist(isinstance(value.get(1), bytes) and len(value[1]) == 32, "malformed", "root")
    relays = value.get(2)
    insist(_is_array(relays) and 1 <= len(relays) <= 8, "malformed", "relays")
    relays = [_parse_relay(relay, at) for at, relay in enumerate(relays)]
    insist(len({relay["number"] for relay in relays}) == len(relays), "malformed", "two relays of one number")
    return {"root": value[1], "relays": relays}


def _parse_relay(relay, at: int) -> dict:
    insist(isinstance(relay, cbor_.Pairs), "malformed", "relay")
    relay = relay.numbered(range(4))
    url, gates, pin, number = relay.get(0), relay.get(1), relay.get(2), relay.get(3, at)
    insist(isinstance(url, str) and len(url.encode()) <= 255 and bool(_URL.fullmatch(url)), "malformed", "url")
    insist(_is_array(gates) and 1 <= len(gates) <= 8, "malformed", "gates")
    insist(all(isinstance(gate, str) and _GATE.fullmatch(gate) for gate in gates), "malformed", "gate")
    insist(2 not in relay or (isinstance(pin, bytes) and len(pin) == 32), "malformed", "pin")
    insist(type(number) is int and 0 <= number <= 255, "malformed", "number")
    return {"url": url, "gates": gates, "pin": pin, "number": number}


def _is_array(value) -> bool:
    return isinstance(value, list) and not isinstance(value, cbor_.Pairs)


def parse_door(written: str) -> dict:
    """A door: the relay's address and a gate."""
    found = _DOOR.fullmatch(written.strip())
    insist(found is not None and len(written.strip()) - len("https://") <= _DOOR_MOST, "malformed", "not a door")
    return {"url": f"https://{found[1]}", "gate": found[2]}


def _check_bytes(data: bytes) -> bytes:
    return sha256(label("card"), data)[:4]
