// What a telephone holds of a visit afterwards: everything the browser wrote is searched. docs/CALLERS.md publishes what stays.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { launch, WORKSPACE } from "./harness/browsers.js";
import { Her, inEveryScript } from "./harness/her.js";
import { Line } from "./harness/line.js";
import { search } from "./harness/traces.js";
import { whenPlainTextIsWritten } from "./harness/writing.js";

/** The only names of markers that may stay after a visit in an ordinary window, as the document says. */
const PUBLISHED = published();

/** @type {Line} */
let line;
/** @type {import("./harness/program.js").Program} */
let watch;

before(async () => {
  line = await Line.found();
  watch = await line.watch();
});

after(async () => {
  await watch?.stop();
  await line?.dispose();
});

/** The marked rows of the table in docs/CALLERS.md. */
function published() {
  const text = readFileSync(`${WORKSPACE}/docs/CALLERS.md`, "utf8");
  const rows = [...text.matchAll(/^\| `([a-z ]+)` \|/gm)].map(([, name]) => String(name));
  assert.ok(rows.length > 0, "the document publishes no list");
  return rows;
}

/** A word that is nowhere else. */
const unique = (/** @type {string} */ what) => `${what} ${randomBytes(6).toString("hex")}`;

/**
 * A whole visit: words learned, a letter, an answer read; and, unless she closes the page, a text half typed.
 * @param {import("./harness/browsers.js").AnyBrowser} browser
 * @param {{closes: boolean}} how
 * @returns {Promise<{secrets: import("./harness/traces.js").Marker[], words: string[]}>}
 */
async function visit(browser, { closes }) {
  const her = new Her(browser, "ko");
  await her.arrive(line.url);
  await her.begin();
  await her.checkIn("talk");
  await her.arrived();
  const words = await her.learn();
  await her.choose("go_on");
  await her.at("sent");
  const [said, answer, draft] = [unique("두부"), unique("감자"), unique("배추")];
  await her.choose("write_words");
  await her.at("write");
  await browser.tap("textarea");
  await browser.type(said);
  await her.choose("send");
  await her.arrived();
  await line.desk("desk answer", await line.whoWrote(said), "--text", answer);
  await her.hears(her.say("read_answer"));
  assert.equal(await her.read(), answer);
  if (closes) {
    await her.leave();
  } else {
    await her.choose("write_again");
    await her.at("write");
    await browser.tap("textarea");
    await browser.type(draft);
  }
  const text = { said, answer, draft };
  const secrets = Object.entries(text).map(([name, what]) => ({ name, what }));
  // A sentence that the page has fetched and not shown: it would say what the place is for.
  secrets.push({ name: "page", what: her.say("bulletin_1") });
  // Two words in a row are nowhere but in a phrase.
  for (const glue of [" ", "", ",", '","']) secrets.push({ name: "phrase", what: words.slice(0, 2).join(glue) });
  return { secrets, words: inEveryScript(words, "ko") };
}

/** What names the place. @returns {import("./harness/traces.js").Marker[]} */
const place = () => [
  { name: "address", what: line.gate },
  { name: "address", what: line.origin.replace("https://", "") },
  { name: "title", what: "报平安" },
];

/** @param {import("./harness/traces.js").Trace[]} found */
const names = (found) => [...new Set(found.map(({ marker }) => marker))].sort();

for (const name of /** @type {const} */ (["chromium", "firefox"])) {
  for (const closes of [true, false]) {
    test(`${name}: ${closes ? "after Close" : "after a kill -9 while she types"} only the published list is on the phone`, async (t) => {
      const browser = await launch(name, { pin: line.relay.pin });
      // A browser that only met the first screen: words that are in it anyway are not hers.
      const control = await launch(name, { pin: line.relay.pin });
      try {
        await control.open(line.url);
        const { secrets, words } = await visit(browser, { closes });
        if (!closes) assert.deepEqual(await browser.evaluate(kept), []);
        await whenPlainTextIsWritten(name);
        await browser.kill9();
        await control.kill9();
        assert.deepEqual(search(browser.home, secrets), [], "what she wrote, read and knows");
        const markers = words.filter((word) => Buffer.from(word).length >= 4).map((word) => ({ name: word, what: word }));
        const innocent = names(search(control.home, markers));
        const told = names(search(browser.home, markers)).filter((word) => !innocent.includes(word));
        assert.deepEqual(told, [], "words of her phrase");
        const stays = search(browser.home, place());
        for (const { marker, file, layer } of stays) t.diagnostic(`${name}: ${marker}: ${file} (${layer})`);
        assert.deepEqual(names(stays).filter((marker) => !PUBLISHED.includes(marker)), [], "more than docs/CALLERS.md says");
        // After Close there is no page of this origin any more: one that is opened later may ask for what the one before left.
        const later = await launch(name, { pin: line.relay.pin, home: browser.home });
        try {
          await later.open(line.url);
          assert.deepEqual(await later.evaluate(kept), [], "in the origin's own storage");
        } finally {
          await later.dispose();
        }
      } finally {
        await browser.dispose();
        await control.dispose();
      }
    });
  }

  test(`${name}: a private window leaves nothing, the address neither`, async () => {
    const browser = await launch(name, { pin: line.relay.pin, privately: true });
    try {
      const { secrets } = await visit(browser, { closes: false });
      await whenPlainTextIsWritten(name);
      await browser.kill9();
      assert.deepEqual(search(browser.home, [...secrets, ...place()]), []);
    } finally {
      await browser.dispose();
    }
  });
}

/** In the page: whatever a page can keep in a browser. */
async function kept() {
  const found = [];
  if (document.cookie) found.push("cookies");
  if (localStorage.length > 0) found.push("localStorage");
  if (sessionStorage.length > 0) found.push("sessionStorage");
  if (indexedDB.databases && (await indexedDB.databases()).length > 0) found.push("IndexedDB");
  if ((await caches.keys()).length > 0) found.push("caches");
  if ((await navigator.serviceWorker.getRegistrations()).length > 0) found.push("service workers");
  if (history.length > 1 && history.state) found.push("history.state");
  return found;
}

test("chromium: nobody else is asked, nothing is in an address, and the history has one entry", async () => {
  const browser = /** @type {import("./harness/chromium.js").Chromium} */ (await launch("chromium", { pin: line.relay.pin }));
  try {
    await visit(browser, { closes: false });
    const entries = await browser.history();
    assert.deepEqual(entries.filter(({ url }) => url.startsWith("https:")).map(({ url, title }) => [url, title]), [[line.url, "报平安"]]);
    const gate = `/${line.gate}`;
    const usual = new RegExp(`^${gate}(/p/(core|worker|zh|ko|en|line|bye)|/v1/(notice|up|down/fast|down/slow/\\d+))?$`);
    const requests = browser.requests();
    assert.ok(requests.length > 20);
    for (const { url, path, headers } of requests) {
      assert.ok(url.startsWith(line.origin), url);
      assert.match(path, usual);
      assert.equal(headers["referer"] || "", "");
      assert.equal(headers["cookie"] || "", "");
    }
  } finally {
    await browser.dispose();
  }
});
