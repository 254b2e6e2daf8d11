"""Refusals: input that the SPEC says is not to be believed."""


class Refused(Exception):
    """Somebody's bytes were not what the SPEC asks for. `kind` says in which way."""

    def __init__(self, kind: str, why: str = ""):
        super().__init__(f"{kind}: {why}" if why else kind)
        self.kind = kind
        self.why = why


def insist(condition: bool, kind: str, why: str = "") -> None:
    """Refuses with `kind` unless the condition holds."""
    if not condition:
        raise Refused(kind, why)
