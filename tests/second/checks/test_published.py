"""The primitives against their published vectors (proto/vectors/published)."""

import unittest

from argon2.low_level import Type, core, ffi, lib
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from nacl import bindings

from second import hpke, sign, vectors, xwing
from second.label import expand


def tearDownModule():
    """A file that no check here has read fails the run."""
    missed = vectors.kept("published") - vectors.CHECKED
    if missed:
        raise AssertionError(f"vectors that nothing checks: {sorted(missed)}")


class Published(unittest.TestCase):
    def cases(self, name):
        cases = vectors.read(f"published/{name}.hex")
        self.assertTrue(cases)
        return cases

    def test_ed25519(self):
        for v in self.cases("ed25519"):
            self.assertEqual(sign.public(v["seed"]), v["public"])
            self.assertEqual(sign.sign(v["seed"], v["message"]), v["signature"])
            self.assertTrue(sign.verify(v["public"], v["message"], v["signature"]))
            self.assertFalse(sign.verify(v["public"], v["message"] + b"x", v["signature"]))

    def test_argon2id(self):
        for v in self.cases("argon2id"):
            self.assertEqual(argon2id_with_secret(v), v["tag"])

    def test_hkdf_expand(self):
        for v in self.cases("hkdf"):
            self.assertEqual(expand(v["prk"], v["info"], len(v["okm"])), v["okm"])

    def test_xchacha20poly1305(self):
        for v in self.cases("xchacha20poly1305"):
            sealed = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(v["plaintext"], v["aad"], v["nonce"], v["key"])
            self.assertEqual(sealed, v["ciphertext"])

    def test_xwing(self):
        for v in self.cases("xwing"):
            secret = xwing.Secret(v["secret_key"])
            self.assertEqual(secret.public, v["public_key"])
            self.assertEqual(xwing.encapsulate_with(secret.public, v["randomness"]), (v["shared_secret"], v["enc"]))
            self.assertEqual(secret.decapsulate(v["enc"]), v["shared_secret"])

    def test_hpke_over_xwing(self):
        for v in self.cases("hpke-xwing"):
            secret = xwing.Secret(v["secret_key"])
            shared, enc = xwing.encapsulate_with(secret.public, v["ike"])
            self.assertEqual(shared, v["shared_secret"])
            schedule = hpke.schedule(secret.decapsulate(enc), v["info"])
            self.assertEqual(schedule, (v["key"], v["base_nonce"], v["exporter_secret"]))
            sealed = ChaCha20Poly1305(v["key"]).encrypt(v["base_nonce"], v["plaintext"], v["aad"])
            self.assertEqual(sealed, v["ciphertext"])
            self.assertEqual(hpke.open_(secret, enc, v["info"], v["aad"], sealed), v["plaintext"])


def argon2id_with_secret(v):
    """Argon2id with the secret and associated data that only the published vector has."""
    out = ffi.new("uint8_t[]", 32)
    kept = {name: ffi.new("uint8_t[]", v[name]) for name in ("password", "salt", "secret", "data")}
    context = ffi.new(
        "argon2_context *",
        dict(
            out=out, outlen=32, version=0x13,
            pwd=kept["password"], pwdlen=len(v["password"]), salt=kept["salt"], saltlen=len(v["salt"]),
            secret=kept["secret"], secretlen=len(v["secret"]), ad=kept["data"], adlen=len(v["data"]),
            t_cost=3, m_cost=32, lanes=4, threads=1, allocate_cbk=ffi.NULL, free_cbk=ffi.NULL,
            flags=lib.ARGON2_DEFAULT_FLAGS,
        ),
    )
    if core(context, Type.ID.value) != lib.ARGON2_OK:
        raise ValueError("Argon2id failed")
    return bytes(ffi.buffer(out, 32))


if __name__ == "__main__":
    unittest.main()
