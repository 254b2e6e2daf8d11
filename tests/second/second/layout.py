"""Fixed layouts, read from the tables of docs/SPEC.md itself, so that no second copy can drift from the text."""

import pathlib
import re
from typing import NamedTuple

from .refused import insist

SPEC = pathlib.Path(__file__).resolve().parents[3] / "docs" / "SPEC.md"
_HEADING = re.compile(r"^#### Layout `([a-z-]+)` \((\d+)\)$")
_ROW = re.compile(r"^\| (\d+) \| (\d+) \| (\w+) \|$")


class Field(NamedTuple):
    """One row of a layout: where a field begins, and how many bytes it has."""

    at: int
    size: int
    name: str


class Layout:
    """A fixed sequence of fields with one length."""

    def __init__(self, name: str, length: int, fields: list[Field]):
        self.name = name
        self.length = length
        self.fields = {field.name: field for field in fields}
        end = 0
        for field in fields:
            if field.at != end:
                raise ValueError(f"layout {name}: {field.name} is said to begin at {field.at}, not {end}")
            end += field.size
        if end != length:
            raise ValueError(f"layout {name} has {end} bytes, not {length}")

    def split(self, data: bytes) -> dict[str, bytes]:
        """The fields of `data`, which must have exactly the layout's length."""
        insist(len(data) == self.length, "malformed", f"{self.name} has {len(data)} bytes, not {self.length}")
        return {f.name: data[f.at : f.at + f.size] for f in self.fields.values()}

    def join(self, values: dict[str, bytes | int]) -> bytes:
        """The layout's bytes from all its fields; integers are written big-endian. A field `zero` is added."""
        out = b""
        for field in self.fields.values():
            value = values.get(field.name, 0 if field.name == "zero" else None)
            if value is None:
                raise KeyError(f"{self.name} needs {field.name}")
            piece = value.to_bytes(field.size, "big") if isinstance(value, int) else bytes(value)
            if len(piece) != field.size:
                raise ValueError(f"{self.name}.{field.name} has {len(piece)} bytes, not {field.size}")
            out += piece
        return out

    def without(self, data: bytes, name: str) -> bytes:
        """`data` with one field cut out: what a signature inside a layout is made over."""
        field = self.fields[name]
        return data[: field.at] + data[field.at + field.size :]

    def before(self, data: bytes, name: str) -> bytes:
        """What stands in front of one field."""
        return data[: self.fields[name].at]


def number(value: bytes) -> int:
    """A field's big-endian integer."""
    return int.from_bytes(value, "big")


def _read_spec() -> dict[str, Layout]:
    layouts: dict[str, Layout] = {}
    name, length, fields = None, 0, []
    for line in SPEC.read_text(encoding="utf-8").splitlines() + [""]:
        if heading := _HEADING.match(line):
            name, length, fields = heading[1], int(heading[2]), []
        elif name and (row := _ROW.match(line)):
            fields.append(Field(int(row[1]), int(row[2]), row[3]))
        elif name and fields:
            layouts[name] = Layout(name, length, fields)
            name = None
    return layouts


LAYOUTS = _read_spec()
