"""Our own vectors (proto/vectors), made by the first implementation: computed again here where they follow from
what they say, and opened where they are sealed."""

import unittest

from second import answer, api, bulletin, card, cert, clock, contents, letter, phrase, roster, sign, stamp, team, token, up
from second import line as lines
from second import vectors, xwing
from second.layout import LAYOUTS, number
from second.line import caller_id, device_id, line_id


def whole(layout, case):
    """The bytes of a layout from a case that lists its fields."""
    return b"".join(case[name] for name in LAYOUTS[layout].fields)


def ints(case, *names):
    return {name: number(case[name]) for name in names}


def indexes(packed):
    return [number(packed[at : at + 2]) for at in range(0, len(packed), 2)]


# Sections that say how bytes are made or read. §§1, 2, 9 and 12 to 14 lay down none (§2 has the published vectors).
SECTIONS = {3, 4, 5, 6, 7, 8, 10, 11}


def tearDownModule():
    """A file that no check here has read fails the run."""
    missed = vectors.kept("") - vectors.CHECKED
    if missed:
        raise AssertionError(f"vectors that nothing checks: {sorted(missed)}")


class Vectors(unittest.TestCase):
    def test_every_section_and_layout_with_bytes_has_a_vector(self):
        files = vectors.kept("")
        self.assertEqual({int(name[:2]) for name in files}, SECTIONS)
        # Read as text: only a check of the bytes counts as having checked a file.
        text = "".join((vectors.HOME / name).read_text(encoding="utf-8") for name in files)
        inside = {"up-cell": "letter_cell", "up-letter": "letter_cell", "up-team": "team_cell", "down-inner": "have_map"}
        for name in LAYOUTS:
            self.assertIn(f"\n{inside[name]} = " if name in inside else f"# {name}: at 0, ", text)

    def cases(self, name, count):
        cases = vectors.read(name)
        self.assertEqual(len(cases), count, name)
        return cases

    def test_keys(self):
        ids, words = self.cases("03-keys.hex", 2)
        self.assertEqual(line_id(ids["root_pk"]), ids["line_id"])
        self.assertEqual(device_id(ids["line_id"], ids["device_pk"]), ids["device_id"])
        self.assertEqual(caller_id(ids["line_id"], ids["caller_pk"]), ids["caller_id"])
        seed = lines.root_seed(phrase.read_root(words["text"].decode()))
        self.assertEqual((seed, sign.public(seed)), (words["root_seed"], words["root_pk"]))

    def test_phrase(self):
        case, *spelt = self.cases("04-phrase.hex", 4)
        for text in spelt:
            self.assertEqual(phrase.read(text["text"].decode()), indexes(text["indexes"]))
        keys = phrase.Keys(phrase.stretch(indexes(case["indexes"]), case["line_id"]))
        week = number(case["week"])
        self.assertEqual(keys.sign_seed, case["sign_seed"])
        self.assertEqual(keys.safe_sign_seed, case["safe_sign_seed"])
        self.assertEqual(keys.reply(week), case["reply"])
        self.assertEqual(keys.safe_reply(week), case["safe_reply"])
        self.assertEqual(bytes(keys.pictures()), case["pictures"])
        self.assertEqual(caller_id(case["line_id"], keys.public()), case["caller_id"])

    def test_roster(self):
        desk, device, statement = self.cases("05-roster.hex", 3)
        made = cert.check_desk(whole("desk-cert", desk), statement["root_pk"], desk["line_id"])
        self.assertEqual(cert.sign_desk(made, desk["root_seed"], desk["line_id"]), whole("desk-cert", desk))
        made = cert.check_device(whole("device-cert", device), desk["desk_pk"], desk["line_id"])
        self.assertEqual((made.role, made.seat), (cert.LEAD, 2))
        self.assertEqual(cert.sign_device(made, device["desk_seed"], desk["line_id"]), whole("device-cert", device))
        data = whole("roster", statement)
        fields = {name: statement[name] for name in LAYOUTS["roster"].fields}
        self.assertEqual(roster.build(fields, statement["desk_seed"]), data)
        found = roster.check(data, statement["root_pk"], number(statement["not_before"]))
        self.assertEqual((found.week, found.hash), (number(statement["week"]), statement["hash"]))

    def test_letters_and_team_cells(self):
        cases = self.cases("06-up.hex", 7)
        self.assertEqual([("letter_cell" in case, number(case["kind"])) for case in cases],
                         [(True, 1), (True, 1), (True, 0), (True, 1), (False, 2), (False, 2), (False, 3)])
        for case in cases:
            self.check_up_cell(case, *((letter, "letter_cell") if "letter_cell" in case else (team, "team_cell")))

    def check_up_cell(self, case, room, name):
        secret = xwing.Secret(case["recipient_seed"])
        period, use = number(case["period"]), number(case["use"])
        size = room.SIZE
        own = ("line_id", "period", "use", "recipient_seed", "randomness", "sign_seed", "content", "event_hash", name)
        fields = {key: value for key, value in case.items() if key not in own}
        fields |= {"len": len(case["content"]), "content": case["content"].ljust(size, b"\0")}
        to = up.Recipient(case["line_id"], period, use, secret.public)
        self.assertEqual(room.seal(to, case["sign_seed"], fields, case["randomness"]), case[name])
        opened = room.open_(case[name], up.Holder(case["line_id"], period, use, secret))
        for key in fields.keys() - {"len"}:
            expected = case[key] if isinstance(opened[key], bytes) else number(case[key])
            self.assertEqual(opened[key], expected, key)
        if "event_hash" in case:
            args = (opened["previous"], opened["lamport"], opened["time"], opened["content"])
            made = team.event_hash(case["line_id"], opened["device_pk"], opened["device_seq"], *args)
            self.assertEqual(made, case["event_hash"])

    def test_answers(self):
        for case in self.cases("07-down.hex", 5):
            fast = "live_key" in case
            key = case["live_key" if fast else "reply_key"]
            day = None if fast else number(case["day"])
            place = answer.Place(number(case["relay_no"]), day, number(case["seat"]), number(case["i"]))
            own = ("line_id", "relay_no", "seat", "i", "caller_id", "seat_seed", "live_key", "reply_key", "day", "tag", "nonce", "ct")
            fields = {name: value for name, value in case.items() if name not in own}
            fields |= {"len": len(case["content"]), "content": case["content"].ljust(answer.SIZE, b"\0")}
            cell = whole("down-cell", case)
            made = answer.seal(
                case["line_id"], key, place, case["caller_id"], case["seat_seed"], fields, case["nonce"]
            )
            self.assertEqual(made, cell)
            keys = [sign.public(case["seat_seed"])]
            reader = answer.Reader(case["line_id"], case["caller_id"], lambda _, keys=keys: keys, number(case["time"]), 1800)
            opened = reader.open_(cell, key, place)
            for name in fields.keys() - {"len"}:
                expected = case[name] if isinstance(opened[name], bytes) else number(case[name])
                self.assertEqual(opened[name], expected, name)

    def test_contents(self):
        cases = self.cases("08-contents.hex", 37)
        rooms = {
            "letter": (contents.parse_letter, contents.letter),
            "answer": (contents.parse_answer, contents.answer),
            "event": (contents.parse_event, contents.event),
        }
        blobs, said = cases.pop(), cases.pop()
        self.assertEqual(contents.said_id(said["proposal"]), said["id"])
        self.assertEqual(b"".join(contents.blob_names(blobs["root"], 2)), blobs["names"])
        self.assertEqual(contents.blobs_hash(bytes(2 * contents.BLOB_LEN)), blobs["hash"])
        for case in cases:
            [(kind, data)] = case.items()
            parse, build = rooms[kind]
            self.assertEqual(build(parse(data)), data)
        types = [contents.parse_event(case["event"])[0] for case in cases if "event" in case]
        self.assertEqual(types, list(range(1, 32)))
        full = contents.parse_letter(cases[1]["letter"])
        self.assertEqual(full[1], "é 한 好 🌙")
        self.assertEqual(full[6], [bytes(range(1, 9)), 300])

    def test_cards(self):
        for case in self.cases("10-card.hex", 2):
            found = card.parse_text(case["text"].decode())
            self.assertEqual(card.cbor(found), case["cbor"])
            self.assertEqual(card.text(found), case["text"].decode())

    def test_calls(self):
        raised, notice, up_reply, desk_reply, post, beat, page, spoken, paid = self.cases("11-api.hex", 9)
        for layout, case in (("notice", notice), ("up-post", post), ("up-reply", up_reply), ("desk-beat", beat),
                             ("desk-reply", desk_reply)):
            data = whole(layout, case)
            self.assertEqual(api.build(layout, api.parse(layout, data)), data)
        self.assertEqual(api.parse("desk-beat", whole("desk-beat", beat))["slow_slot"], api.NO_SLOT)
        self.assertEqual(api.parse("desk-reply", whole("desk-reply", desk_reply))["fast_outcome"], 1)
        head = LAYOUTS["lane-page"].split(whole("lane-page", page))
        self.assertEqual(ints(head, "first", "cells"), {"first": 513, "cells": 12})
        self.check_bulletin(raised, notice)
        self.check_token(spoken)
        args = (paid["stamp_salt"], paid["stamped_cell"], paid["line_id"], number(paid["up_epoch"]))
        stamp.check(paid["good_stamp"], *args, number(paid["difficulty"]))

    def check_bulletin(self, raised, notice):
        values = ints(raised, "code", "seat", "time")
        data = whole("bulletin", raised)
        self.assertEqual(bulletin.build(*values.values(), raised["seat_seed"], raised["line_id"]), data)
        self.assertEqual(notice["bulletin"], data)
        root_pk = LAYOUTS["roster"].split(notice["roster"])["root_pk"]
        now = number(notice["clock_ms"]) // 1000
        self.assertEqual(bulletin.check(data, roster.check(notice["roster"], root_pk, now), now), values)
        self.assertEqual(clock.beat(number(notice["clock_ms"]), number(notice["beat_ms"])), number(notice["beat"]))

    def check_token(self, case):
        request = token.Request(
            case["line_id"], case["spki"], case["method"].decode(), case["path"].decode(), case["body_hash"]
        )
        time = number(case["time"])
        text = token.build(
            case["desk_cert"], case["device_cert"], case["device_seed"], request, time, case["nonce"]
        )
        self.assertEqual(text, case["text"].decode())
        self.assertEqual(token.check(text, request, case["root_pk"], time)["role"], cert.LEAD)


if __name__ == "__main__":
    unittest.main()
