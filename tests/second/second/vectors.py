"""Reads the hex files under proto/vectors: `# comment`, `name = hex`, cases apart by blank lines."""

import pathlib

HOME = pathlib.Path(__file__).resolve().parents[3] / "proto" / "vectors"


CHECKED: set[str] = set()


def kept(folder: str) -> set[str]:
    """The names of the files that lie in a folder of the vectors; the vectors' own for ``."""
    return {path.relative_to(HOME).as_posix() for path in (HOME / folder).glob("*.hex")}


def read(name: str) -> list[dict[str, bytes]]:
    """The cases of one file, in order. A name may stand once in a case."""
    CHECKED.add(name)
    cases: list[dict[str, bytes]] = [{}]
    for number, line in enumerate((HOME / name).read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            cases.append({})
        elif not line.startswith("#"):
            key, separator, value = line.partition("=")
            if not separator or key.strip() in cases[-1]:
                raise ValueError(f"{name}:{number}: not `name = hex`, or said twice")
            cases[-1][key.strip()] = bytes.fromhex(value.strip())
    return [case for case in cases if case]
