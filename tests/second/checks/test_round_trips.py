"""What this implementation seals, builds and signs, it also opens and checks; and it refuses a sample of faults.

That proves little, since both sides are its own; the test against the first implementation proves the rest.
"""

import random
import unittest

from second import cert, contents, mailbox, refused, sign, stamp, token, verbs, xwing
from second.line import line_id


def bits(rng, n):
    return rng.randbytes(n).hex()


class RoundTrips(unittest.TestCase):
    def setUp(self):
        seed = random.SystemRandom().getrandbits(64)
        print(f"seed {seed}")
        self.rng = random.Random(seed)
        self.line = bits(self.rng, 32)

    def ask(self, do, **q):
        answer = verbs.run({"do": do, **q})
        self.assertIn("ok", answer, answer)
        return answer["ok"]

    def test_a_letter_comes_back(self):
        rng, seed = self.rng, bits(self.rng, 32)
        whole = rng.randbytes(5_000).hex()
        item = {"session": bits(rng, 8), "seq": 3, "time": 1_200_000_600, "live_key": bits(rng, 32),
                "reply_key": bits(rng, 32), "saw": bits(rng, 8), "bytes": whole}
        to = {"line": self.line, "period": 777, "use": 1}
        recipient = self.ask("sealing_pk", seed=seed)
        [cells] = self.ask("seal_letters", **to, recipient=recipient, sign_seed=bits(rng, 32), letters=[item])
        self.assertEqual({len(cell) for cell in cells}, {4096})
        rng.shuffle(cells)
        keys = [{"seed": seed, "period": 777, "use": 1}]
        opened = self.ask("open_letters", line=self.line, keys=keys, cells=cells)
        self.assertEqual([letter["bytes"] for letter in opened["letters"]], [whole])
        again = self.ask("open_letters", line=self.line, keys=keys, cells=cells + cells)
        self.assertEqual(again["refused"], ["seen"] * len(cells))

    def test_an_answer_comes_back(self):
        rng, seat_seed, key = self.rng, bits(self.rng, 32), bits(self.rng, 32)
        whole = rng.randbytes(3_000).hex()
        place = {"relay_no": 1, "day": 20_000, "seat": 5}
        fields = {"kind": 1, "answer_id": bits(rng, 8), "time": 20_000 * 86_400, "good_until": 20_010 * 86_400,
                  "answers_session": bits(rng, 8), "answers_seq": 1, "have_session": bits(rng, 8), "have_upto": 1,
                  "have_map": 0}
        item = {**place, "i": 60, "key": key, "caller_id": bits(rng, 16), "seat_seed": seat_seed, "bytes": whole,
                "fields": fields, "nonces": [bits(rng, 24) for _ in range(4)]}
        [cells] = self.ask("seal_answers", line=self.line, answers=[item])
        seats = [[bits(rng, 32), self.ask("sign_pk", seed=seat_seed)]] * 9
        search = [{**place, "key": key, "from": 0, "to": 64}]
        reader = {"line": self.line, "caller_id": item["caller_id"], "seats": seats, "now": 20_001 * 86_400,
                  "slow_s": 1800}
        rng.shuffle(cells)
        found = self.ask("open_answers", **reader, search=search, cells=[bits(rng, 1024), *cells, *cells])
        self.assertEqual([answer["bytes"] for answer in found["answers"]], [whole])

    def test_contents_refuse_what_the_text_says(self):
        for name, data in {
            "trailing": "a1000100", "duplicate": "a200010002", "text key": "a1616100", "bool as number": "a100f5",
            "empty letter": "a10301", "not a map": "8100", "indefinite": "bf0001ff", "not UTF-8": "a10161ff",
        }.items():
            with self.subTest(name):
                self.assertIn("refused", verbs.run({"do": "parse_letter", "bytes": data}))
        self.assertEqual(contents.parse_letter(bytes.fromhex("a2000118c8f6")), {0: 1})

    def test_a_zero_share_is_refused(self):
        secret = xwing.Secret(self.rng.randbytes(32))
        for key in (secret.public[:1184] + bytes(32), secret.public[:1184] + b"\1" + bytes(31)):
            with self.assertRaises(xwing.Refused):
                xwing.encapsulate(key)

    def refuses(self, kind, act, *args):
        with self.assertRaises(refused.Refused) as caught:
            act(*args)
        self.assertEqual(caught.exception.kind, kind)

    def test_a_gate_takes_each_token_once_and_rosters_from_leads_only(self):
        root, desk, device = (self.rng.randbytes(32) for _ in range(3))
        line, now = line_id(sign.public(root)), 1_790_000_000
        desk_cert = cert.sign_desk(cert.DeskCert(sign.public(desk), 1, now - 9, now + 9_000), root, line)
        gate = token.Gate(sign.public(root))
        for role, path, kind in [(2, "/v1/desk/roster", None), (1, "/v1/desk/bulletin", None), (1, "/v1/desk/roster", "role")]:
            made = cert.DeviceCert(role, 3, sign.public(device), now - 9, now + 9_000)
            request = token.Request(line, bytes(32), "PUT", path, bytes(32))
            args = (desk_cert, cert.sign_device(made, desk, line), device, request)
            text = token.build(*args, now, self.rng.randbytes(16))
            if kind:
                self.refuses(kind, gate.admit, text, request, now)
            else:
                gate.admit(text, request, now)
                self.refuses("seen", gate.admit, text, request, now + 300)
                # A nonce is remembered for ten minutes; after five the token's time alone refuses it.
                self.refuses("expired", gate.admit, text, request, now + 301)

    def test_a_till_takes_each_stamp_once_of_this_epoch_or_the_last(self):
        salt, cell, line = self.rng.randbytes(16), self.rng.randbytes(2048), self.rng.randbytes(32)
        till, stamps = stamp.Till(), {epoch: stamp.mint(salt, cell, line, epoch, 12) for epoch in (6, 7, 8)}
        args = (salt, cell, line, 8, 12)
        till.take(stamps[8], *args)
        till.take(stamps[7], *args)
        self.refuses("seen", till.take, stamps[8], *args)
        self.refuses("weak", till.take, stamps[6], *args)
        till.take(self.rng.randbytes(32), salt, cell, line, 8, 0)

    def test_a_desk_gives_answers_the_life_that_readers_allow(self):
        written = 1_790_000_000
        for meeting in (False, True):
            data = contents.answer({0: 1, 1: "x", 3: meeting, 5: written})
            self.assertTrue(mailbox.read(data, mailbox.good_until(written, meeting), written))
            most = mailbox.MEETING_LIFE_MOST if meeting else mailbox.LIFE_MOST
            self.assertTrue(mailbox.read(data, written + most, written - 86_400))
            self.refuses("expired", mailbox.read, data, written + most + 1, written)
            self.refuses("expired", mailbox.read, data, written + most, written - 86_401)

    def test_a_card_comes_back(self):
        card = {"root": bits(self.rng, 32), "relays": [
            {"url": "https://example.org:8443", "gates": ["abcd", "efgh1"], "pin": bits(self.rng, 32), "number": 0},
            {"url": "https://example.net", "gates": ["wxyz"], "pin": None, "number": 7}]}
        text = self.ask("card_text", card=card)
        self.assertEqual(self.ask("parse_card", text=text.lower().replace("-", " - ")), card)
        other = text[:-1] + ("A" if text[-1] != "A" else "B")
        self.assertIn("refused", verbs.run({"do": "parse_card", "text": other}))


if __name__ == "__main__":
    unittest.main()
