"""Beats, slots, days and weeks (SPEC §1 and §9). Times are seconds, or milliseconds where the name says so."""

SLOTS_PER_DAY = 48
SAFEGUARDING_EVERY = 8


def week(not_before: int) -> int:
    return not_before // 604_800


def beat(clock_ms: int, beat_ms: int) -> int:
    return clock_ms // beat_ms


def slow_slot(clock_ms: int, slow_s: int) -> int:
    return clock_ms // 1000 // slow_s


def day(clock_ms: int, slow_s: int) -> int:
    return slow_slot(clock_ms, slow_s) // SLOTS_PER_DAY


def is_safeguarding(slot: int) -> bool:
    """Whether a slow slot belongs to role 3."""
    return slot % SAFEGUARDING_EVERY == SAFEGUARDING_EVERY - 1
