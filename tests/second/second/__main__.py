"""One JSON object a line in, one a line out, until the input ends."""

import json
import sys

from . import verbs, visits  # noqa: F401  (they name the verbs)
from .request import run


def main() -> None:
    for line in sys.stdin:
        if line.strip():
            print(json.dumps(run(json.loads(line)), ensure_ascii=False, separators=(",", ":")), flush=True)


if __name__ == "__main__":
    main()
