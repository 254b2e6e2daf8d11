"""The verbs of the JSON-lines command: each takes one object and gives one value (README.md beside this folder).

In JSON, bytes are hex strings. Functions here only translate; what they mean is in the modules they call.
"""

from . import answer, api, bulletin, card, cert, clock, contents, held, letter, phrase, roster, sign, stamp, team, token, up
from . import line as lines
from . import xwing
from .refused import Refused, insist
from .request import each, hex_or_number, hx, run, verb

@verb
def batch(q):
    """Several requests in one line."""
    return [run(request) for request in q["of"]]


# Lines, phrases, keys.


@verb
def ids(q):
    line = hx(q["line"]) if "line" in q else lines.line_id(hx(q["root_pk"]))
    out = {"line": line}
    if "device_pk" in q:
        out["device_id"] = lines.device_id(line, hx(q["device_pk"]))
    if "caller_pk" in q:
        out["caller_id"] = lines.caller_id(line, hx(q["caller_pk"]))
    return out


@verb
def root_key(q):
    seed = lines.root_seed(q["indexes"])
    return {"seed": seed, "public": sign.public(seed)}


@verb
def read_phrase(q):
    return phrase.read(q["text"])


@verb
def read_root(q):
    return phrase.read_root(q["text"])


@verb
def words(q):
    return [phrase.word_list()[q["language"]][index] for index in q["indexes"]]


@verb
def caller_keys(q):
    line = hx(q["line"])
    stretched = phrase.stretch(q["indexes"], line)
    keys = phrase.Keys(stretched)
    return {
        "stretched": stretched,
        "sign_seed": keys.sign_seed,
        "safe_sign_seed": keys.safe_sign_seed,
        "sign_pk": keys.public(),
        "safe_sign_pk": keys.safe_public(),
        "reply": keys.reply(q["week"]),
        "safe_reply": keys.safe_reply(q["week"]),
        "pictures": keys.pictures(),
        "caller_id": lines.caller_id(line, keys.public()),
        "safe_caller_id": lines.caller_id(line, keys.safe_public()),
    }


@verb
def sign_pk(q):
    return sign.public(hx(q["seed"]))


@verb
def sealing_pk(q):
    return xwing.Secret(hx(q["seed"])).public


@verb
def verify(q):
    sign.insist_signed(hx(q["key"]), hx(q["message"]), hx(q["signature"]), "message")


@verb
def times(q):
    ms, slow_s = q["clock_ms"], q["slow_s"]
    return {
        "beat": clock.beat(ms, q["beat_ms"]),
        "slow_slot": clock.slow_slot(ms, slow_s),
        "day": clock.day(ms, slow_s),
        "week": clock.week(ms // 1000),
        "safeguarding": clock.is_safeguarding(clock.slow_slot(ms, slow_s)),
    }


# Certificates, roster, bulletin.


@verb
def sign_desk_cert(q):
    made = cert.DeskCert(hx(q["desk_pk"]), q["generation"], q["not_before"], q["not_after"])
    return cert.sign_desk(made, hx(q["root_seed"]), hx(q["line"]))


@verb
def check_desk_cert(q):
    return cert.check_desk(hx(q["cert"]), hx(q["root_pk"]), hx(q["line"]))._asdict()


@verb
def sign_device_cert(q):
    made = cert.DeviceCert(q["role"], q["seat"], hx(q["device_pk"]), q["not_before"], q["not_after"])
    return cert.sign_device(made, hx(q["desk_seed"]), hx(q["line"]))


@verb
def check_device_cert(q):
    return cert.check_device(hx(q["cert"]), hx(q["desk_pk"]), hx(q["line"]))._asdict()


@verb
def build_roster(q):
    return roster.build(hex_or_number(q["fields"]), hx(q["desk_seed"]))


@verb
def check_roster(q):
    found = roster.check(hx(q["roster"]), hx(q["root_pk"]), q["now"])
    numbers = {**found.numbers, "period": int.from_bytes(found.fields["period"], "big")}
    keys = {name: found.fields[name] for name in ("desk_key", "safe_key", "previous_hash")}
    seats = [found.seat_keys(seat) for seat in range(9)]
    return {**numbers, **keys, "week": found.week, "hash": found.hash, "seats": seats, "revoked": found.revoked()}


@verb
def choose_roster(q):
    """The roster in force after these came in this order, and which of them were taken."""
    kept, root = roster.Kept(tuple(q.get("after", (0, 0)))), hx(q["root_pk"])
    taken = each(lambda data: kept.take(roster.check_signed(hx(data), root), q["now"]), q["rosters"])
    found = kept.in_force(q.get("then", q["now"]))
    chosen = None if found is None else {"serial": found.serial, "hash": found.hash}
    return {"chosen": chosen, "refused": [one.get("refused") for one in taken]}


@verb
def build_bulletin(q):
    return bulletin.build(q["code"], q["seat"], q["time"], hx(q["seat_seed"]), hx(q["line"]))


@verb
def check_bulletin(q):
    stands = roster.check_signed(hx(q["roster"]), hx(q["root_pk"]))
    return bulletin.check(hx(q["bulletin"]), stands, q["now"])


# Up cells.


def _recipient(q) -> up.Recipient:
    return up.Recipient(hx(q["line"]), q["period"], q["use"], hx(q["recipient"]))


def _holders(q) -> list[up.Holder]:
    return [up.Holder(hx(q["line"]), k["period"], k["use"], xwing.Secret(hx(k["seed"]))) for k in q["keys"]]


@verb
def seal_cell(q):
    """One up cell from all its fields, also wrong ones: `layout` is `up-letter` or `up-team`."""
    room = {"up-letter": letter, "up-team": team}[q["layout"]]
    randomness = hx(q["randomness"]) if "randomness" in q else None
    return room.seal(_recipient(q), hx(q["sign_seed"]), hex_or_number(q["fields"]), randomness, _spoil(q))


def _spoil(q):
    return sign.not_canonical if q.get("spoil") == "not canonical" else bytes


@verb
def seal_letters(q):
    """Whole letters, cut and sealed: a list of cells for each."""
    to = _recipient(q)
    return [_seal_letter(to, hx(q["sign_seed"]), item) for item in q["letters"]]


def _seal_letter(to: up.Recipient, seed: bytes, item: dict) -> list[bytes]:
    common = hex_or_number({key: value for key, value in item.items() if key not in ("bytes", "map")})
    data = contents.letter(_content(item["map"])) if "map" in item else hx(item["bytes"])
    return [letter.seal(to, seed, {**common, "kind": letter.LETTER, **piece._asdict()}) for piece in letter.cut(data)]


@verb
def open_letters(q):
    """Cells in any order, opened, checked and joined; each cell gives its fields or a refusal, and the letters come
    in the order in which they became whole."""
    holders, joiner, joined = _holders(q), letter.Joiner(), []

    def take(cell):
        holder, enc, inner = up.open_first(hx(cell), holders)
        opened = letter.check(inner, enc, holder.line, holder.use)
        whole = joiner.take(opened)
        if whole is not None:
            names = ("caller_id", "caller_pk", "session", "seq", "time", "live_key", "reply_key", "saw")
            joined.append({**{name: opened[name] for name in names}, "bytes": whole})
        return opened if q.get("fields") else None

    cells = each(take, q["cells"])
    return {"refused": [c["refused"] for c in cells if "refused" in c], "cells": cells if q.get("fields") else [],
            "letters": joined}


@verb
def open_letter(q):
    """One cell for one key."""
    return letter.open_(hx(q["cell"]), _holders(q)[0])


@verb
def open_team(q):
    return team.open_(hx(q["cell"]), _holders(q)[0])


@verb
def direct(q):
    return team.direct(hx(q["line"]), hx(q["recipient_pk"]))


@verb
def open_direct(q):
    """A part of a direct letter, taken by the device it was written to."""
    [holder] = _holders(q)
    opened = team.open_(hx(q["cell"]), holder)
    team.check_direct(opened, holder.line, hx(q["own_pk"]))
    return opened


@verb
def open_events(q):
    """Team cells in any order, opened and joined: each event once."""
    holders, joiner, joined = _holders(q), team.Joiner(), []

    def take(cell):
        holder, _, inner = up.open_first(hx(cell), holders)
        whole = joiner.take(team.check(inner, holder.line, holder.use), holder.use)
        if whole is not None:
            joined.append(whole)

    refused = [one["refused"] for one in each(take, q["cells"]) if "refused" in one]
    return {"events": joined, "refused": refused}


@verb
def check_secret(q):
    """The desk secret in an event, if a device with this role sent it in this way and it is the roster's."""
    stands = roster.check_signed(hx(q["roster"]), hx(q["root_pk"]))
    return team.check_secret(contents.parse_event(hx(q["event"])), q["use"], q["role"], stands)


@verb
def event_hash(q):
    return team.event_hash(
        hx(q["line"]), hx(q["device_pk"]), q["device_seq"], hx(q["previous"]), q["lamport"], q["time"], hx(q["body"])
    )


# Down cells.


def _place(q) -> answer.Place:
    return answer.Place(q["relay_no"], q.get("day"), q["seat"], q["i"])


def _reader(q) -> answer.Reader:
    if "roster" in q:
        seats = roster.check_signed(hx(q["roster"]), hx(q["root_pk"])).seat_keys
    else:
        seats = lambda seat: [hx(key) for key in q["seats"][seat]]  # noqa: E731
    return answer.Reader(hx(q["line"]), hx(q["caller_id"]), seats, q["now"], q["slow_s"])


@verb
def tag(q):
    return answer.tag_and_key(hx(q["line"]), hx(q["key"]), _place(q))[0]


@verb
def seal_answer_cell(q):
    """One down cell from all its fields, also wrong ones."""
    return answer.seal(
        hx(q["line"]), hx(q["key"]), _place(q), hx(q["caller_id"]), hx(q["seat_seed"]), hex_or_number(q["fields"]),
        hx(q["nonce"]), hx(q["signed_tag"]) if "signed_tag" in q else None, _spoil(q),
    )


@verb
def seal_answers(q):
    """Whole answers, cut and sealed at successive `i` of their place: a list of cells for each."""
    return [_seal_answer(q, item) for item in q["answers"]]


def _seal_answer(q, item: dict) -> list[bytes]:
    place, nonces = _place(item), map(hx, item["nonces"])
    fields = hex_or_number(item["fields"])
    data = contents.answer(_content(item["map"])) if "map" in item else hx(item["bytes"])
    return [
        answer.seal(
            hx(q["line"]), hx(item["key"]), place._replace(i=place.i + n), hx(item["caller_id"]), hx(item["seat_seed"]),
            {**fields, **piece._asdict()}, next(nonces),
        )
        for n, piece in enumerate(answer.cut(data))
    ]


@verb
def open_answers(q):
    """All cells of a lane, looked through with a table of tags as a caller does; joined."""
    reader, joiner, joined, refused = _reader(q), answer.Joiner(), {}, []
    table = {}
    for search in q["search"]:
        for i in range(search["from"], search["to"]):
            place = _place({**search, "i": i})
            table[answer.tag_and_key(reader.line, hx(search["key"]), place)[0]] = (hx(search["key"]), place)
    for cell in map(hx, q["cells"]):
        if cell[:16] in table:
            for result in each(lambda c: reader.open_(c, *table[c[:16]]), [cell]):
                _take_answer(result, joiner, joined, refused)
    return {"answers": list(joined.values()), "refused": refused}


def _take_answer(result, joiner, joined, refused):
    if "refused" in result:
        refused.append(result["refused"])
        return
    joined_now = joiner.take(result["ok"])
    if joined_now is not None:
        whole, _ = joined_now
        told = {**{k: v for k, v in result["ok"].items() if k != "content"}, "bytes": whole}
        joined.setdefault((told["answer_id"], whole), told)


@verb
def open_answer(q):
    """One cell at one place."""
    return _reader(q).open_(hx(q["cell"]), hx(q["key"]), _place(q))


@verb
def join_answer(q):
    """Answer cells at their places, joined; refuses if the whole does not come about."""
    reader, joiner = _reader(q), answer.Joiner()
    for item in q["cells"]:
        joined = joiner.take(reader.open_(hx(item["cell"]), hx(item["key"]), _place(item)))
        if joined is not None:
            return joined[0]
    raise Refused("incomplete", "parts are missing or belong to different answers")


@verb
def have(q):
    opened = {"have_session": hx(q["have_session"]), "have_upto": q["have_upto"], "have_map": q["have_map"]}
    return answer.have(opened, hx(q["session"]), q["seq"])


@verb
def receipt(q):
    """What a desk that has been handed these letters of one visit says it holds."""
    kept = held.Held()
    taken = [kept.take(seq) for seq in q["letters"]]
    upto, map_ = kept.receipt()
    return {"taken": taken, "have_upto": upto, "have_map": map_}


@verb
def reachable(q):
    """Whether a desk may still answer to a reply key of this week under this roster."""
    stands = roster.check_signed(hx(q["roster"]), hx(q["root_pk"]))
    return q["week"] + stands.numbers["reply_weeks"] > stands.week


# Contents.


def _content(value: dict) -> dict:
    """A map keyed by numbers from a JSON object; `{"hex": …}` is bytes."""
    return {int(key): _content_value(item) for key, item in value.items()}


def _content_value(item):
    if isinstance(item, dict):
        if set(item) == {"hex"}:
            return hx(item["hex"])
        return {hx(key): value for key, value in item.items()}
    return [_content_value(one) for one in item] if isinstance(item, list) else item


@verb
def build_letter(q):
    return contents.letter(_content(q["map"]))


@verb
def parse_letter(q):
    return contents.parse_letter(hx(q["bytes"]))


@verb
def build_answer(q):
    return contents.answer(_content(q["map"]))


@verb
def parse_answer(q):
    return contents.parse_answer(hx(q["bytes"]))


@verb
def build_event(q):
    return contents.event(_content(q["map"]))


@verb
def blob_names(q):
    return contents.blob_names(hx(q["root"]), q["blobs"])


@verb
def parse_event(q):
    return contents.parse_event(hx(q["bytes"]))


# Cards and doors.


def _card(value: dict) -> dict:
    relays = [{**relay, "pin": hx(relay["pin"]) if relay.get("pin") else None} for relay in value["relays"]]
    return {"root": hx(value["root"]), "relays": relays}


@verb
def card_text(q):
    return card.text(_card(q["card"]))


@verb
def card_cbor(q):
    return card.cbor(_card(q["card"]))


@verb
def card_text_of(q):
    """The text form of any bytes, also such as are no card."""
    return card.text_of(hx(q["cbor"]))


@verb
def parse_card(q):
    return card.parse_text(q["text"])


@verb
def parse_card_cbor(q):
    return card.parse_cbor(hx(q["bytes"]))


@verb
def parse_door(q):
    return card.parse_door(q["text"])


# The relay's API.


@verb
def build_body(q):
    return api.build(q["layout"], hex_or_number(q["fields"]))


@verb
def parse_body(q):
    return api.parse(q["layout"], hx(q["bytes"]))


@verb
def lane_page(q):
    filler = hx(q["filler"])
    return api.lane_page(q["life"], q["first"], [hx(cell) for cell in q["cells"]], lambda n: filler[:n])


@verb
def parse_lane_page(q):
    return api.parse_lane_page(hx(q["bytes"]))


def _request(q) -> token.Request:
    return token.Request(hx(q["line"]), hx(q["spki"]), q["method"], q["path"], hx(q["body_hash"]))


@verb
def build_token(q):
    return token.build(
        hx(q["desk_cert"]), hx(q["device_cert"]), hx(q["device_seed"]), _request(q), q["time"], hx(q["nonce"])
    )


@verb
def check_token(q):
    revoked = [hx(one) for one in q.get("revoked", [])]
    return token.check(q["token"], _request(q), hx(q["root_pk"]), q["now"], q.get("generation", 0), revoked)


@verb
def mint_stamp(q):
    insist(q["difficulty"] <= stamp.HARDEST, "malformed", "difficulty")
    return stamp.mint(hx(q["salt"]), hx(q["cell"]), hx(q["line"]), q["up_epoch"], q["difficulty"])


@verb
def check_stamp(q):
    stamp.check(hx(q["stamp"]), hx(q["salt"]), hx(q["cell"]), hx(q["line"]), q["up_epoch"], q["difficulty"])
