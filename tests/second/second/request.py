"""What a verb of the JSON-lines command is, and how JSON becomes bytes and back. In JSON, bytes are hex strings."""

from .refused import Refused

VERBS = {}


def verb(function):
    """Makes a function a verb of its own name."""
    VERBS[function.__name__.rstrip("_")] = function
    return function


def run(request: dict) -> dict:
    """Carries out one request: `{"ok": value}`, or `{"refused": kind}`."""
    try:
        return {"ok": to_json(VERBS[request["do"]](request))}
    except Refused as refused:
        return {"refused": refused.kind, "why": refused.why}


def to_json(value):
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, dict):
        return {str(to_json(key)): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value


def hx(value: str) -> bytes:
    return bytes.fromhex(value)


def hex_or_number(fields: dict) -> dict:
    """Fields as a layout takes them: hex strings become bytes, numbers stay."""
    return {key: hx(value) if isinstance(value, str) else value for key, value in fields.items()}


def each(function, items) -> list:
    """What `function` gives for each item, or its refusal in that place."""
    out = []
    for item in items:
        try:
            out.append({"ok": function(item)})
        except Refused as refused:
            out.append({"refused": refused.kind, "why": refused.why})
    return out
