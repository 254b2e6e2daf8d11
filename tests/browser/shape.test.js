// Whoever carries her traffic sees the same, whether she writes or only has the page open, whether there is an answer for her or
// none, and whatever language she chose.
//
// Visits of two kinds are recorded at the wire, record by record. A test by permutation then asks
// whether any measure of theirs (records, bytes, how many of each length) tells the two kinds apart better than chance
// would. The same test must see a leak of one byte that is planted in the records, or the run says nothing.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { pause } from "./harness/browser.js";
import { launch } from "./harness/browsers.js";
import { Her, inTongue, TONGUES } from "./harness/her.js";
import { Line } from "./harness/line.js";
import { APPLICATION_DATA, Wire } from "./harness/wire.js";

/** Visits of each kind. 200 are asked for by name: SHAPE_VISITS=200 node --test shape.test.js */
const VISITS = Number(process.env["SHAPE_VISITS"] || 20);
/** Visits at the same time. */
const ABREAST = 4;
/** POSTs after which a visit ends. */
const POSTS = 9;
/** Shuffles of the labels, and how seldom chance may look like what was seen. */
const SHUFFLES = 4000;
const CHANCE = 0.001;
const SEED = process.env["SHAPE_SEED"] || randomBytes(4).toString("hex");

/**
 * A visit as it was seen: for each measure its value.
 * @typedef {Map<string, number>} Measured
 */

/**
 * What one visit was seen to be.
 * @typedef {{measured: Measured, requests: string[]}} Visit
 */

/**
 * Somebody new, from the link until so many POSTs were answered.
 * @param {Line} line
 * @param {Wire} wire
 * @param {{is: boolean, tongue: import("./harness/her.js").Tongue}} kind whether she writes
 * @returns {Promise<Visit>}
 */
async function begins(line, wire, { is, tongue }) {
  const browser = await launch("chromium", { pin: line.relay.pin });
  try {
    wire.notes();
    const her = new Her(browser, tongue);
    await her.arrive(`https://${wire.address}/${line.gate}`);
    await her.begin();
    if (is) {
      await her.checkIn("help");
      await her.choose("write_words");
      await her.at("write");
      await browser.tap("textarea");
      await browser.type("x".repeat(40));
      await her.choose("send");
      await her.at("sent");
    } else {
      // She looks around as much, so that the machine is as busy, and sends nothing.
      await her.choose("help");
      await her.at("ready");
      await her.choose("next_when");
      await her.at("when");
      await her.choose("next_week");
      await her.at("ready");
      await her.choose("back_one");
      await her.at("statuses");
    }
    return await recorded(browser, wire, 0);
  } finally {
    await browser.dispose();
  }
}

/**
 * Somebody who has written before, from the moment in which the page has her words until so many POSTs were answered after that.
 * @param {Line} line
 * @param {Wire} wire
 * @param {{is: boolean, tongue: import("./harness/her.js").Tongue, words: string[]}} kind whether there is an answer, and her words in English
 * @returns {Promise<Visit>}
 */
async function returns(line, wire, { is, tongue, words }) {
  const browser = await launch("chromium", { pin: line.relay.pin });
  try {
    const her = new Her(browser, tongue);
    await her.arrive(`https://${wire.address}/${line.gate}`);
    await her.choose("been_before");
    await her.at("truth");
    await her.choose("go_on");
    await her.at("entry");
    await her.enter(inTongue(words, "en", tongue));
    await her.hears(her.say("yes_mine"));
    await her.at("recognise");
    const before = posts(browser);
    wire.notes();
    await her.choose("yes_mine");
    await her.at("hub");
    if (is) {
      await her.hears(her.say("read_answer"));
      assert.equal(await her.read(), ANSWER);
      await her.choose("hide");
    } else {
      await her.hears(her.say("no_answer_yet"));
      await her.choose("more");
      await her.at("more");
      await her.choose("someone_else");
      await her.at("write");
      await her.choose("back_one");
    }
    await her.at("hub");
    return await recorded(browser, wire, before);
  } finally {
    await browser.dispose();
  }
}

/** What the desk answers. */
const ANSWER = "We are here.";

/**
 * How many POSTs were answered.
 * @param {import("./harness/browsers.js").AnyBrowser} browser
 */
const posts = (browser) => browser.made.filter(({ path, status }) => path.endsWith("/up") && status).length;

/**
 * Waits until so many POSTs more were answered, and tells what was seen.
 * @param {import("./harness/browsers.js").AnyBrowser} browser
 * @param {Wire} wire
 * @param {number} before
 * @returns {Promise<Visit>}
 */
async function recorded(browser, wire, before) {
  while (posts(browser) < before + POSTS) await pause(20);
  const seen = wire.notes();
  // How long a body is, is known once the request was answered.
  const done = browser.requests().filter(({ status }) => status);
  const requests = done.map(({ method, path, bytes }) => `${method} ${path.replace(/\/(zh|ko|en)$/, "/pack").replace(/\d+$/, "n")} ${bytes}`);
  return { measured: measures(seen), requests: [...new Set(requests)].sort() };
}

/**
 * @param {import("./harness/wire.js").Seen[]} seen
 * @returns {Measured}
 */
function measures(seen) {
  /** @type {Measured} */
  const out = new Map();
  const add = (/** @type {string} */ name, /** @type {number} */ value) => out.set(name, (out.get(name) || 0) + value);
  for (const { upward, type, length } of seen) {
    if (type !== APPLICATION_DATA) continue;
    const way = upward ? "up" : "down";
    add(`${way}: records`, 1);
    add(`${way}: bytes`, length);
    // How much is read from the relay at once depends on the machine, so a download's records have any length.
    if (upward) add(`${way}: records of ${length}`, 1);
  }
  return out;
}

/**
 * How far apart two kinds of visits are: the largest difference of means, in standard deviations, over all measures.
 * @param {Measured[]} all
 * @param {boolean[]} labels
 */
function apart(all, labels) {
  const names = new Set(all.flatMap((one) => [...one.keys()]));
  let [most, which] = [0, ""];
  for (const name of names) {
    const values = all.map((one) => one.get(name) || 0);
    const of = (/** @type {boolean} */ label) => values.filter((_, at) => labels[at] === label);
    const [first, second] = [of(true), of(false)];
    const spread = Math.sqrt((variance(first) + variance(second)) / 2) + 0.05;
    const distance = Math.abs(mean(first) - mean(second)) / spread;
    if (distance > most) [most, which] = [distance, name];
  }
  return { most, which };
}

const mean = (/** @type {number[]} */ values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const variance = (/** @type {number[]} */ values) => mean(values.map((value) => (value - mean(values)) ** 2));

/**
 * How seldom chance puts two kinds as far apart as these are.
 * @param {Measured[]} all
 * @param {boolean[]} labels
 */
function chanceOf(all, labels) {
  const seen = apart(all, labels);
  const dice = random(SEED);
  let as = 0;
  for (let n = 0; n < SHUFFLES; n += 1) if (apart(all, shuffled(labels, dice)).most >= seen.most) as += 1;
  return { chance: (as + 1) / (SHUFFLES + 1), ...seen };
}

/**
 * @param {boolean[]} labels
 * @param {() => number} dice
 */
function shuffled(labels, dice) {
  const out = labels.slice();
  for (let at = out.length - 1; at > 0; at -= 1) {
    const other = Math.floor(dice() * (at + 1));
    [out[at], out[other]] = [Boolean(out[other]), Boolean(out[at])];
  }
  return out;
}

/**
 * Numbers from 0 to 1 out of a seed (mulberry32).
 * @param {string} seed
 */
function random(seed) {
  let state = parseInt(seed, 16) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

test(`${VISITS} visits that write and ${VISITS} that do not look the same on the wire`, async (t) => {
  const line = await Line.found({ pace: "even" });
  await look(t, line, (wire, kind) => begins(line, wire, kind));
});

test(`${VISITS} visits that find an answer and ${VISITS} that find none look the same on the wire`, async (t) => {
  const line = await Line.found({ pace: "often" });
  const watch = await line.watch();
  /** @type {string[][]} */
  const phrases = [];
  try {
    let next = 0;
    const writes = async () => {
      while (next < 2 * VISITS) {
        const nth = next++;
        const [{ phrase }] = await line.caller("new", {}, "--language", "en");
        phrases[nth] = phrase.split(" ");
        await line.caller("checkin", { phrase }, "--status", "talk", "--text", `the ${nth}th`, "--fast-beats", "--wait", "60s");
      }
    };
    await Promise.all(Array.from({ length: ABREAST }, writes));
    const answered = [];
    for (const { id } of await line.desk("desk list")) {
      const letter = (await line.desk("desk show", id)).find((item) => item.kind === "letter");
      if (Number(/\d+/.exec(letter.text)) % 2) continue;
      await line.desk("desk answer", id, "--text", ANSWER);
      answered.push(id);
    }
    assert.equal(answered.length, VISITS);
    const isThere = (/** @type {any} */ item) => item.track === "carousel" && item.readable_from <= Date.now();
    for (const id of answered) while (!(await line.desk("desk show", id)).some(isThere)) await pause(500);
  } finally {
    await watch.stop();
  }
  await look(t, line, (wire, kind) => returns(line, wire, { ...kind, words: phrases[kind.number] || [] }));
});

/**
 * Records visits of two kinds and holds them against each other.
 * @param {import("node:test").TestContext} t
 * @param {Line} line
 * @param {(wire: Wire, kind: {is: boolean, tongue: import("./harness/her.js").Tongue, number: number}) => Promise<Visit>} visit
 */
async function look(t, line, visit) {
  t.diagnostic(`seed ${SEED}`);
  const watch = await line.watch();
  const wires = await Promise.all(Array.from({ length: ABREAST }, () => Wire.lay(line.relay.address)));
  /** @type {Measured[]} */
  const all = [];
  /** @type {boolean[]} */
  const labels = [];
  /** @type {Set<string>[]} */
  const asked = [new Set(), new Set()];
  try {
    let next = 0;
    const work = async (/** @type {Wire} */ wire) => {
      while (next < 2 * VISITS) {
        const number = next++;
        const is = number % 2 === 0;
        const tongue = TONGUES[Math.floor(number / 2) % TONGUES.length] || "zh";
        const { measured, requests } = await visit(wire, { is, tongue, number });
        all.push(measured);
        labels.push(is);
        requests.forEach((request) => asked[Number(is)]?.add(request));
      }
    };
    await Promise.all(wires.map(work));
  } finally {
    await watch.stop();
    await line.dispose();
    await Promise.all(wires.map((wire) => wire.remove()));
  }
  assert.deepEqual([...(asked[1] || [])].sort(), [...(asked[0] || [])].sort(), "the requests and the sizes of what they carry");

  // A cell that is one byte longer, once in each visit of the first kind.
  for (const one of all) {
    const up = [...one].filter(([name]) => name.startsWith("up: records of ")).reduce((sum, [, count]) => sum + count, 0);
    assert.ok(up >= 7, `void: a visit of which ${up} records were recorded on their way up`);
  }
  const usual = [...(all[0]?.keys() || [])].filter((name) => name.startsWith("up: records of ")).map((name) => Number(name.split(" ").pop()));
  const cell = Math.max(...usual);
  const leaking = all.map((one, at) => {
    if (!labels[at]) return one;
    const leak = new Map(one);
    leak.set(`up: records of ${cell}`, (one.get(`up: records of ${cell}`) || 0) - 1);
    leak.set(`up: records of ${cell + 1}`, (one.get(`up: records of ${cell + 1}`) || 0) + 1);
    return leak;
  });
  const planted = chanceOf(leaking, labels);
  t.diagnostic(`planted leak of a byte: chance ${planted.chance.toFixed(4)} (pass: below ${CHANCE}; ${planted.which}, ${planted.most.toFixed(1)} deviations)`);
  assert.ok(planted.chance < CHANCE, "void: a planted leak was not seen");
  const found = chanceOf(all, labels);
  t.diagnostic(`as it is: chance ${found.chance.toFixed(4)} (pass: at least ${CHANCE}; ${found.which}, ${found.most.toFixed(2)} deviations)`);
  assert.ok(found.chance >= CHANCE, `the two kinds can be told apart by ${found.which}`);
}
