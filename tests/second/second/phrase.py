"""The phrase and what follows from it (SPEC §4)."""

import functools
import pathlib
import re
import unicodedata

from . import line as lines
from . import sign
from .label import expand, label, u16, u32
from .refused import Refused, insist

_WORDS = pathlib.Path(__file__).resolve().parents[3] / "proto" / "words"
# White space as Unicode has it: Python counts four control characters more.
_SEPARATORS = re.compile(r"(?:[^\S\x1c-\x1f]|[,、。.·;/()\ufeff\u200b-])+")
LANGUAGES = ("ko", "zh", "en")


@functools.cache
def word_list() -> dict[str, list[str]]:
    """The 1,024 words of each language, by index."""
    columns, rows = _table("words.tsv")
    ordered = sorted(rows, key=lambda row: int(row[columns["index"]]))
    if [int(row[columns["index"]]) for row in ordered] != list(range(1024)):
        raise ValueError("words.tsv does not number its words from 0 to 1023")
    return {language: [nfc(row[columns[language]]) for row in ordered] for language in LANGUAGES}


@functools.cache
def pictures() -> list[list[str]]:
    """The sixty-four pictures."""
    return _table("pictures.tsv")[1]


@functools.cache
def _index() -> dict[str, int]:
    found: dict[str, int] = {}
    for words in word_list().values():
        for index, word in enumerate(words):
            if found.setdefault(read_word(word), index) != index:
                raise ValueError(f"{word} stands for two entries")
    return found


def _table(name: str) -> tuple[dict[str, int], list[list[str]]]:
    lines_ = [line for line in (_WORDS / name).read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    header = lines_[0].split("\t")
    return {column: at for at, column in enumerate(header)}, [line.split("\t") for line in lines_[1:]]


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def read_word(text: str) -> str:
    """Text as it is compared: NFKC, then every letter by itself in lower case."""
    return "".join(c.lower() for c in unicodedata.normalize("NFKC", text))


def read_words(text: str) -> list[int]:
    """The indexes of the words in a text, however they are separated; refuses a text with an unknown word."""
    found: list[int] = []
    for piece in _SEPARATORS.split(read_word(text)):
        if not re.fullmatch("[0-9]*", piece):
            found += _read_piece(piece)
    return found


def _read_piece(text: str) -> list[int]:
    """The words of a piece without separators: the longest word at its beginning, then on from there."""
    longest, found, at = max(map(len, _index())), [], 0
    while at < len(text):
        sizes = range(min(longest, len(text) - at), 0, -1)
        size = next((n for n in sizes if text[at : at + n] in _index()), None)
        if size is None:
            raise Refused("unknown word")
        found.append(_index()[text[at : at + size]])
        at += size
    return found


def read(text: str) -> list[int]:
    """A phrase: exactly eight words."""
    indexes = read_words(text)
    insist(len(indexes) == 8, "malformed", "a phrase has eight words")
    return indexes


def read_root(text: str) -> list[int]:
    """The root's words: exactly sixteen."""
    indexes = read_words(text)
    insist(len(indexes) == 16, "malformed", "the root has sixteen words")
    return indexes


def stretch(indexes: list[int], line: bytes) -> bytes:
    """Argon2id of the eight indexes under the line's id."""
    insist(len(indexes) == 8 and all(0 <= i < 1024 for i in indexes), "malformed", "a phrase has eight words")
    return lines.argon2id(b"".join(map(u16, indexes)), line, memory_kib=19_456, passes=2)


class Keys:
    """A caller's keys at one line."""

    def __init__(self, stretched: bytes):
        self._stretched = stretched
        self.sign_seed = self._key("caller/sign")
        self.safe_sign_seed = self._key("caller/sign/safe")

    def reply(self, week: int) -> bytes:
        return self._key("reply", u32(week))

    def safe_reply(self, week: int) -> bytes:
        return self._key("reply/safe", u32(week))

    def pictures(self) -> list[int]:
        return [byte % 64 for byte in self._key("pictures", length=3)]

    def public(self) -> bytes:
        return sign.public(self.sign_seed)

    def safe_public(self) -> bytes:
        return sign.public(self.safe_sign_seed)

    def _key(self, name: str, context: bytes = b"", length: int = 32) -> bytes:
        return expand(self._stretched, label(name) + context, length)
