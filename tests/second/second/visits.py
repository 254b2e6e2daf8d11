"""The verbs that remember: visits, and a relay's door and till. Each is named by a number that its first verb gives."""

from . import phrase, stamp, token, visit
from .request import hx, verb
from .verbs import _content, _request
from . import roster as rosters

_KEPT = []


def _keep(one) -> int:
    _KEPT.append(one)
    return len(_KEPT) - 1


@verb
def visit_open(q):
    """A new visit: of a native client with its own clock, or of a page."""
    return _keep(visit.Visit(hx(q["root_pk"]), q["native"]))


@verb
def visit_notice(q):
    return _KEPT[q["visit"]].notice(hx(q["notice"]), q.get("relay_no"), q["now_ms"])


@verb
def visit_know(q):
    here = _KEPT[q["visit"]]
    return here.know(phrase.Keys(phrase.stretch(q["indexes"], here.line)), q["now_ms"])


@verb
def visit_write(q):
    return _KEPT[q["visit"]].write(_content(q["map"]), q["to"], q["now_ms"])


@verb
def visit_beat(q):
    number, body = _KEPT[q["visit"]].beat(q["relay_no"], q["now_ms"])
    return {"post": number, "body": body}


@verb
def visit_posted(q):
    reply = hx(q["reply"]) if q["reply"] is not None else None
    return _KEPT[q["visit"]].posted(q["post"], q["relay_no"], reply)


@verb
def visit_slow_day(q):
    return _KEPT[q["visit"]].slow_day(q["relay_no"], hx(q["bytes"]), q["now_ms"])


@verb
def visit_fast(q):
    return _KEPT[q["visit"]].fast(q["relay_no"], hx(q["bytes"]), q["now_ms"])


@verb
def visit_displayed(q):
    _KEPT[q["visit"]].displayed(q["of"], hx(q["answer"]))


@verb
def visit_says(q):
    """What a visit would tell if asked now."""
    here, now_ms = _KEPT[q["visit"]], q["now_ms"]
    stands = here.bulletin.stands(here.roster, here._now(now_ms)) if here.roster else None
    sides = (here.desk, here.safe)
    return {
        "visible": [one["answer_id"] for one in here.visible(now_ms)],
        "bulletin": stands["code"] if stands else None,
        "wants_notice": here.wants_notice(now_ms),
        "days": here.days(now_ms) if here.roster else [],
        "all_named": all(side.voice.all_named() for side in sides),
        "all_receipted": all(letter.receipted for side in sides for letter in side.voice.letters),
        "sides": [{"all_named": side.voice.all_named()} for side in sides],
    }


@verb
def visit_places(q):
    """How many tags a visit looks for on the slow track, and the bounds of its weeks and days."""
    stands = rosters.check_signed(hx(q["roster"]), hx(q["root_pk"]))
    weeks, days = visit.slow_weeks(stands), visit.slow_days(stands, q["day"])
    return {"weeks": [weeks[0], weeks[-1]], "days": [days[0], days[-1]], "tags": len(weeks) * len(days) * 9 * 64}


@verb
def gate_open(q):
    """A relay's door, with the roster in force if there is one."""
    root = hx(q["root_pk"])
    return _keep(token.Gate(root, rosters.check_signed(hx(q["roster"]), root) if "roster" in q else None))


@verb
def gate_admit(q):
    return _KEPT[q["gate"]].admit(q["token"], _request(q), q["now"])


@verb
def till_open(_q):
    return _keep(stamp.Till())


@verb
def till_take(q):
    _KEPT[q["till"]].take(hx(q["stamp"]), hx(q["salt"]), hx(q["cell"]), hx(q["line"]), q["up_epoch"], q["difficulty"])
