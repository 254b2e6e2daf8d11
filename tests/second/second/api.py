"""The bodies of the relay's calls (SPEC §11)."""

from .layout import LAYOUTS, number
from .refused import insist

CELL = LAYOUTS["up-cell"].length
GROUP, PAGE_MOST = 8, 512
NO_SLOT = 2**64 - 1
# Fields that are bytes; all others of these layouts are numbers.
_BYTES = {"roster", "stamp_salt", "bulletin", "stamp", "cell", "fast_cell", "slow_cell", "team_cells"}
_HIGHEST = {"up-reply": {"outcome": 2}, "desk-reply": {"outcome": 3, "fast_outcome": 2, "slow_outcome": 2}}
NAMES = ("notice", "up-post", "up-reply", "desk-beat", "desk-reply")


def build(name: str, fields: dict) -> bytes:
    return LAYOUTS[name].join(fields)


def parse(name: str, data: bytes) -> dict:
    """The fields of one body. `zero` must be zero and outcomes must be known ones."""
    insist(name in NAMES, "malformed", "no such body")
    fields = LAYOUTS[name].split(data)
    insist(not any(fields.pop("zero", b"")), "malformed", "zero")
    out = {key: value if key in _BYTES else number(value) for key, value in fields.items()}
    for key, highest in _HIGHEST.get(name, {}).items():
        insist(out[key] <= highest, "malformed", key)
    if name == "desk-reply":
        insist(out["outcome"] != 2, "malformed", "outcome")
    return out


def lane_page(life: int, first: int, cells: list[bytes], filler) -> bytes:
    """A page of the lane; `filler(n)` gives n random bytes."""
    head = LAYOUTS["lane-page"].join({"life": life, "first": first, "cells": len(cells)})
    return head + b"".join(cells) + filler(-len(cells) % GROUP * CELL)


def parse_lane_page(data: bytes) -> dict:
    layout = LAYOUTS["lane-page"]
    head = layout.split(data[: layout.length])
    count = number(head["cells"])
    insist(not any(head["zero"]), "malformed", "zero")
    insist(count <= PAGE_MOST, "malformed", "too many cells")
    insist(number(head["first"]) + count < 1 << 64, "malformed", "no position is left")
    body = data[layout.length :]
    insist(len(body) == (count + -count % GROUP) * CELL, "malformed", "the page's length")
    cells = [body[at * CELL : (at + 1) * CELL] for at in range(count)]
    return {"life": number(head["life"]), "first": number(head["first"]), "cells": cells}
