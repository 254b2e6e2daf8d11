"""What this implementation seals, builds and signs, it also opens and checks; and it refuses a sample of faults.

That proves little, since both sides are its own; the test against the first implementation proves the rest.
"""

import random
import unittest

from second import contents, verbs, xwing


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
