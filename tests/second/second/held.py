"""The letters of one visit that a desk holds, and the receipt it gives for them (SPEC §7)."""

MAP = 64


class Held:
    """Numbers of letters, from which a receipt is made."""

    def __init__(self):
        self._upto = 0
        self._beyond: set[int] = set()

    def take(self, seq: int) -> bool:
        """Notes a letter; false if no receipt can name it yet, so that it is not taken and will be sent again."""
        if not 1 <= seq <= self._upto + MAP:
            return False
        if seq > self._upto:
            self._beyond.add(seq)
        while self._upto + 1 in self._beyond:
            self._upto += 1
            self._beyond.remove(self._upto)
        return True

    def receipt(self) -> tuple[int, int]:
        """`have_upto` and `have_map`."""
        return self._upto, sum(1 << (seq - self._upto - 1) for seq in self._beyond)
