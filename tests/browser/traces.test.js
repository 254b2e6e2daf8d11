// The search of a telephone finds what a page leaves, wherever and however a browser keeps it.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import zlib from "node:zlib";
import { pause } from "./harness/browser.js";
import { launch } from "./harness/browsers.js";
import { Fixture } from "./harness/fixture.js";
import { lz4, search, snappy } from "./harness/traces.js";
import { whenPlainTextIsWritten, WRITING_MS } from "./harness/writing.js";

const KEY = Buffer.from("00fbff3e7f8081c0fe41424344454647", "hex");
const TEXT = "감자 넷, tofu & 豆腐";
const NOISE = Buffer.from("the beginning of a file / ");

/** @type {[string, string, string, Buffer][]} */
const HIDDEN = [
  ["UTF-8", "text", "UTF-8", Buffer.from(TEXT)],
  ["decomposed", "text", "UTF-8, decomposed", Buffer.from(TEXT.normalize("NFD"))],
  ["UTF-16", "text", "UTF-16LE", Buffer.from(TEXT, "utf16le")],
  ["a URL", "text", "URL-encoded", Buffer.from(encodeURIComponent(TEXT))],
  ["JSON", "text", "JSON-escaped", Buffer.from(String.raw`\uac10\uc790 \ub137, tofu & \u8c46\u8150`)],
  ["base64, second place", "text", "base64 of UTF-8", Buffer.from(Buffer.from(`x${TEXT}yz`).toString("base64"))],
  ["base64 of a URL", "key", "base64 of bytes", Buffer.from(KEY.toString("base64url"))],
  ["a key", "key", "bytes", KEY],
  ["a key in digits", "key", "hexadecimal", Buffer.from(KEY.toString("hex"))],
  ["gzip in the midst", "text", "UTF-8", Buffer.concat([NOISE, zlib.gzipSync(NOISE + TEXT), NOISE])],
  ["gzip cut off", "text", "UTF-8", zlib.gzipSync(Buffer.concat([Buffer.from(TEXT), randomBytes(9000)])).subarray(0, 4000)],
  ["zlib", "text", "UTF-8", Buffer.concat([NOISE, zlib.deflateSync(TEXT + TEXT)])],
  ["Brotli", "text", "UTF-8", zlib.brotliCompressSync(Buffer.from(TEXT + TEXT))],
];

test("a marker is found in every form and packing, and nothing where there is none", () => {
  const folder = mkdtempSync(join(tmpdir(), "porchlight-traces-"));
  const markers = [{ name: "text", what: TEXT }, { name: "key", what: KEY }];
  try {
    for (const [file, marker, form, bytes] of HIDDEN) {
      writeFileSync(join(folder, "innocent"), NOISE);
      writeFileSync(join(folder, file), bytes);
      const found = search(folder, markers);
      assert.ok(found.some((trace) => trace.file === file && trace.marker === marker && trace.form === form), `${file}: ${JSON.stringify(found)}`);
      assert.deepEqual(found.filter((trace) => trace.file !== file), [], file);
      rmSync(join(folder, file));
    }
    assert.deepEqual(search(folder, markers), []);
    writeFileSync(join(folder, "tofu-1234"), "");
    assert.equal(search(folder, [{ name: "name", what: "tofu-1234" }])[0]?.layer, "its name");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("LZ4 and Snappy repeat what was there before", () => {
  // "tofu" as it is, then 8 more bytes from 4 back; LZ4 ends with bytes as they are.
  assert.equal(lz4(Buffer.from([0x44, ...Buffer.from("tofu"), 4, 0, 0x10, 33]), 13).toString(), "tofutofutofu!");
  assert.equal(snappy(Buffer.from([13, 3 << 2, ...Buffer.from("tofu"), 1 | (4 << 2), 4, 0, 33])).toString(), "tofutofutofu!");
  assert.equal(snappy(Buffer.from([12, 3 << 2, ...Buffer.from("tofu"), 2 | (7 << 2), 4, 0])).toString(), "tofutofutofu");
});

/** A word that is nowhere else. */
const word = (/** @type {string} */ place) => `${place}${randomBytes(9).toString("hex")}`;

const PLACES = ["cookie", "local", "title", "fragment", "indexed", "gzip", "brotli", "typed"];

/**
 * Has a careless page keep a word of its own in every place, and types one into its field.
 * @param {"chromium" | "firefox"} name
 * @param {{privately: boolean}} how
 * @param {(browser: import("./harness/browsers.js").AnyBrowser, markers: import("./harness/traces.js").Marker[]) => Promise<void>} act
 */
async function careless(name, { privately }, act) {
  const told = Object.fromEntries(PLACES.map((place) => [place, word(place)]));
  const fixture = await Fixture.open({ gzip: String(told["gzip"]), brotli: String(told["brotli"]) });
  const browser = await launch(name, { pin: fixture.pin, privately });
  try {
    await browser.open(`${fixture.site.origin}/keeps.html`);
    await browser.evaluate((/** @type {any} */ all) => /** @type {any} */ (window).keep(all), told);
    await browser.tap("#plain");
    await browser.type(String(told["typed"]));
    await act(browser, Object.entries(told).map(([place, what]) => ({ name: place, what })));
  } finally {
    await browser.dispose();
    await fixture.close();
  }
}

for (const name of /** @type {const} */ (["chromium", "firefox"])) {
  test(`${name}: what a careless page keeps, and what is typed into a plain field, is found after kill -9`, (t) =>
    careless(name, { privately: false }, async (browser, markers) => {
      const from = Date.now();
      const missing = () => markers.filter((marker) => search(browser.home, [marker]).length === 0).map((marker) => marker.name);
      while (missing().length > 0 && Date.now() - from < WRITING_MS) await pause(1000);
      await browser.kill9();
      t.diagnostic(`${name}: written within ${((Date.now() - from) / 1000).toFixed(0)} s`);
      for (const { marker, file, form, layer } of search(browser.home, markers)) {
        t.diagnostic(`${name}: ${marker}: ${file} (${form}, ${layer})`);
      }
      assert.deepEqual(missing(), [], "these were not found");
    }));

  test(`${name}: a private window leaves nothing of the same page`, () =>
    careless(name, { privately: true }, async (browser, markers) => {
      await whenPlainTextIsWritten(name);
      await browser.kill9();
      assert.deepEqual(search(browser.home, markers), []);
    }));
}
