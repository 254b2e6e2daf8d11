// Whoever carries her traffic and the relay itself see the same, whether she writes or only has the page open, whether there is an
// answer for her or none, and whatever language she chose.
//
// Visits of two kinds are recorded: at the wire record by record, at the relay request by request and frame by frame, with the times at
// which posts go. A test by permutation then asks whether any measure of theirs (records, bytes, how many of each length, requests,
// times) tells the two kinds apart better than chance would. The same test must see a leak of one byte that is planted in what was seen,
// and posts that lie a little further apart, or the run says nothing.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { pause } from "./harness/browser.js";
import { launch } from "./harness/browsers.js";
import { Front } from "./harness/front.js";
import { Her, inTongue, TONGUES } from "./harness/her.js";
import { Line, Relay } from "./harness/line.js";
import { DATA, shapeOf, Tap } from "./harness/tap.js";
import { APPLICATION_DATA, Wire } from "./harness/wire.js";

/** Visits of each kind. 200 are asked for by name: SHAPE_VISITS=200 node --test shape.test.js */
const VISITS = Number(process.env["SHAPE_VISITS"] || 20);
/** From so many visits of each kind on, none are recorded a second time. */
const MANY = 200;
/** Whether an ordinary website's nginx stands in front of the relay. */
const make = () => (process.env["SHAPE_FRONT"] ? Front.make() : Relay.make());

/** How letters are written beforehand: a website lets ten cells a second through from one address. */
const HASTE = process.env["SHAPE_FRONT"] ? [] : ["--fast-beats"];
/** Visits at the same time. */
const ABREAST = 4;
/** POSTs after which a visit ends. */
const POSTS = 9;
/** The name of a measure. */
const MIDDLE = "median gap of posts, ms";
/** Bytes: no record and no frame upward is as long in which nothing is posted. */
const LONG = 1500;
/** Shuffles of the labels, and how seldom chance may look like what was seen. */
const SHUFFLES = 4000;
const CHANCE = 0.001;
const SEED = process.env["SHAPE_SEED"] || randomBytes(4).toString("hex");

/**
 * A visit as it was seen: for each measure its value.
 * @typedef {Map<string, number>} Measured
 */

/** Who watches. */
const WATCHERS = /** @type {const} */ (["wire", "relay"]);

/**
 * What one visit was seen to be, by whom, and its requests as the browser tells them.
 * @typedef {{wire: Measured, relay: Measured, requests: string[]}} Visit
 */

/** What a browser is watched through: its records upward, the relay's downward, and between them what the relay reads. */
class View {
  /** @param {Line} line */
  static async of(line) {
    const far = await Wire.lay(line.relay.address);
    const tap = await Tap.lay(far.address, line.relay.identity);
    return new View(await Wire.lay(tap.address), tap, far);
  }

  /**
   * @param {Wire} near
   * @param {Tap} tap
   * @param {Wire} far
   */
  constructor(near, tap, far) {
    this.near = near;
    this.tap = tap;
    this.far = far;
    /** When recording began, and how many milliseconds later she was done. */
    this.began = 0;
    this.took = 0;
  }

  /** HOST:PORT, for the browser. */
  get address() {
    return this.near.address;
  }

  /** What was seen since this was last called, by one clock. */
  notes() {
    this.began = performance.now();
    const of = (/** @type {Wire} */ wire) => wire.notes().map((seen) => ({ ...seen, at: seen.at + wire.laid }));
    const up = of(this.near).filter(({ upward }) => upward);
    const down = of(this.far).filter(({ upward }) => !upward);
    return { wire: [...up, ...down], relay: this.tap.notes() };
  }

  async remove() {
    for (const part of [this.near, this.tap, this.far]) await part.remove();
  }
}

/**
 * Somebody new, from the link until so many POSTs were answered.
 * @param {Line} line
 * @param {View} view
 * @param {{is: boolean, tongue: import("./harness/her.js").Tongue}} kind whether she writes
 * @returns {Promise<Visit | null>}
 */
async function begins(line, view, { is, tongue }) {
  const browser = await launch("chromium", { pin: line.relay.pin });
  try {
    view.notes();
    const her = new Her(browser, tongue);
    await her.arrive(`https://${view.address}/${line.gate}`);
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
    return await recorded(browser, view, 0);
  } finally {
    await browser.dispose();
  }
}

/**
 * Somebody who has written before, from the moment in which the page has her words until so many POSTs were answered after that.
 * @param {Line} line
 * @param {View} view
 * @param {{is: boolean, tongue: import("./harness/her.js").Tongue, words: string[]}} kind whether there is an answer, and her words in English
 * @returns {Promise<Visit | null>}
 */
async function returns(line, view, { is, tongue, words }) {
  const browser = await launch("chromium", { pin: line.relay.pin });
  try {
    const her = new Her(browser, tongue);
    await her.arrive(`https://${view.address}/${line.gate}`);
    await her.choose("been_before");
    await her.at("truth");
    await her.choose("go_on");
    await her.at("entry");
    await her.enter(inTongue(words, "en", tongue));
    await her.hears(her.say("yes_mine"));
    await her.at("recognise");
    const before = posts(browser);
    view.notes();
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
    return await recorded(browser, view, before);
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
 * Waits until so many POSTs more were answered, and tells what was seen up to the last but one; nothing of a visit in which she was not
 * done by then: of that the posts might all be of before.
 * @param {import("./harness/browsers.js").AnyBrowser} browser
 * @param {View} view
 * @param {number} before
 * @returns {Promise<Visit | null>}
 */
async function recorded(browser, view, before) {
  const done = performance.now();
  view.took = done - view.began;
  while (posts(browser) < before + POSTS) await pause(20);
  const seen = view.notes();
  // How long a body is, is known once the request was answered.
  const answered = browser.requests().filter(({ status }) => status);
  const requests = answered.map(({ method, path, bytes }) => `${method} ${shapeOf(path)} ${bytes}`);
  const [wire, relay] = [atTheWire(seen.wire, done), atTheRelay(seen.relay, done)];
  return wire && relay && { wire, relay, requests: [...new Set(requests)].sort() };
}

/** Counts, by name. */
class Counts {
  constructor() {
    /** @type {Measured} */
    this.of = new Map();
  }

  /**
   * @param {string} name
   * @param {number} value
   */
  add(name, value) {
    this.of.set(name, (this.of.get(name) || 0) + value);
  }
}

/**
 * When the last post went that is measured: one may have been under way when recording began, so that there is one less. Nothing if she was
 * not done two posts before.
 * @param {{at: number}[]} posts
 * @param {number} done
 */
function endOf(posts, done) {
  const [last, earlier] = [posts[POSTS - 2]?.at || 0, posts[POSTS - 4]?.at || 0];
  return done < earlier ? last : null;
}

/**
 * @param {import("./harness/wire.js").Seen[]} all
 * @param {number} done
 * @returns {Measured | null}
 */
function atTheWire(all, done) {
  const isPost = (/** @type {import("./harness/wire.js").Seen} */ { type, upward, length }) => type === APPLICATION_DATA && upward && length > LONG;
  const end = endOf(all.filter(isPost), done);
  if (end === null) return null;
  const counts = new Counts();
  const records = all.filter(({ type, at }) => type === APPLICATION_DATA && at <= end);
  for (const { upward, length } of records) {
    const way = upward ? "up" : "down";
    counts.add(`${way}: records`, 1);
    counts.add(`${way}: bytes`, length);
    // How much is read from the relay at once depends on the machine, so a download's records have any length.
    if (upward) counts.add(`up: records of ${length}`, 1);
  }
  const up = records.filter(({ upward }) => upward);
  return new Map([...counts.of, ...times(up, records.filter(isPost))]);
}

/**
 * @param {import("./harness/tap.js").Notes} seen
 * @param {number} done
 * @returns {Measured | null}
 */
function atTheRelay({ connections, asked, frames }, done) {
  const posts = asked.filter(({ body }) => body > LONG);
  const end = endOf(posts, done);
  if (end === null) return null;
  const counts = new Counts();
  counts.add("connections", connections);
  for (const { kind, length, at } of frames) if (at <= end) counts.add(`frames of kind ${kind} with ${length} bytes`, 1);
  const until = asked.filter(({ at }) => at <= end);
  for (const { head, body } of until) counts.add(`${head} and ${body} bytes`, 1);
  return new Map([...counts.of, ...times(until, posts.filter(({ at }) => at <= end))]);
}

/**
 * When posts went, in milliseconds, and how regularly.
 * @param {{at: number}[]} all
 * @param {{at: number}[]} posted
 * @returns {Measured}
 */
function times(all, posted) {
  const at = posted.map((post) => post.at - (all[0]?.at || 0));
  const gaps = at.slice(1).map((time, nth) => time - (at[nth] || 0));
  const [first, last, second] = [at[0] || 0, at.at(-1) || 0, gaps[0] || 0];
  gaps.sort((one, other) => one - other);
  return new Map([
    ["ms to the first post", first],
    ["ms from the first post to the last", last - first],
    ["ms to the second post", second],
    [MIDDLE, gaps[Math.floor(gaps.length / 2)] || 0],
    ["widest gap of posts, ms", gaps.at(-1) || 0],
    ["narrowest gap of posts, ms", gaps[0] || 0],
  ]);
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

/** Milliseconds between posts: a second, or on a slower machine so many that somebody who visits alone is done in half of the time of five. */
const upBeat = (async () => {
  const line = await Line.found({ pace: "even", make });
  const watch = await line.watch();
  const view = await View.of(line);
  try {
    await begins(line, view, { is: true, tongue: "zh" });
    return Math.max(1000, Math.ceil((2 * view.took) / 5));
  } finally {
    await watch.stop();
    await view.remove();
    await line.dispose();
  }
})();

test(`${VISITS} visits that write and ${VISITS} that do not look the same`, async (t) => {
  const line = await Line.found({ pace: "even", upBeat: await upBeat, make });
  await look(t, line, (view, kind) => begins(line, view, kind));
});

test(`${VISITS} visits that find an answer and ${VISITS} that find none look the same`, async (t) => {
  const line = await Line.found({ pace: "often", upBeat: await upBeat, make });
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
        await line.caller("checkin", { phrase }, "--status", "talk", "--text", `the ${nth}th`, ...HASTE, "--wait", "60s");
      }
    };
    await Promise.all(Array.from({ length: HASTE.length ? ABREAST : 2 }, writes));
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
  await look(t, line, (view, kind) => returns(line, view, { ...kind, words: phrases[kind.number] || [] }));
});

/**
 * Records visits of two kinds and holds them against each other.
 * @param {import("node:test").TestContext} t
 * @param {Line} line
 * @param {(view: View, kind: {is: boolean, tongue: import("./harness/her.js").Tongue, number: number}) => Promise<Visit | null>} visit
 */
async function look(t, line, visit) {
  const beat = await upBeat;
  t.diagnostic(`seed ${SEED}, a post every ${beat} ms`);
  const watch = await line.watch();
  const views = await Promise.all(Array.from({ length: ABREAST }, () => View.of(line)));
  try {
    let told = await judged(t, beat, views, visit);
    // Chance alone tells something apart in one run of some hundreds; what there is to see is seen every time.
    if (told.length > 0 && VISITS < MANY) {
      t.diagnostic(`told apart ${told.join(", ")}: other visits are recorded`);
      told = await judged(t, beat, views, visit);
    }
    assert.deepEqual(told, [], "the two kinds can be told apart");
  } finally {
    await watch.stop();
    await Promise.all(views.map((view) => view.remove()));
    await line.dispose();
  }
}

/**
 * Records visits, and tells at whom and by what the two kinds are told apart.
 * @param {import("node:test").TestContext} t
 * @param {number} beat milliseconds between posts
 * @param {View[]} views
 * @param {Parameters<typeof look>[2]} visit
 */
async function judged(t, beat, views, visit) {
  /** @type {Visit[]} */
  const all = [];
  /** @type {boolean[]} */
  const labels = [];
  let next = 0;
  const work = async (/** @type {View} */ view) => {
    while (next < 2 * VISITS) {
      const number = next++;
      const is = number % 2 === 0;
      const tongue = TONGUES[Math.floor(number / 2) % TONGUES.length] || "zh";
      const seen = await visit(view, { is, tongue, number });
      if (seen) all.push(seen);
      if (seen) labels.push(is);
    }
  };
  await Promise.all(views.map(work));
  t.diagnostic(`${2 * VISITS - all.length} of ${2 * VISITS} visits were too slow to be measured (void from a quarter on)`);
  if (all.length * 4 < VISITS * 6) throw new Error("void: this machine is too slow");
  const asked = (/** @type {boolean} */ kind) => [...new Set(all.filter((_, at) => labels[at] === kind).flatMap(({ requests }) => requests))].sort();
  assert.deepEqual(asked(true), asked(false), "the requests and the sizes of what they carry");
  return WATCHERS.flatMap((watcher) => judge(t, beat, watcher, all.map((one) => one[watcher]), labels));
}

/** How what carries a cell is called, by whoever watches, without its length. */
const CELLS = { wire: /^up: records of (\d+)$/, relay: new RegExp(`^frames of kind ${DATA} with (\\d+) bytes$`) };

/**
 * Holds two kinds against each other, as one watcher saw them, with controls. Tells by what they are told apart, if they are.
 * @param {import("node:test").TestContext} t
 * @param {number} beat milliseconds between posts
 * @param {typeof WATCHERS[number]} watcher
 * @param {Measured[]} all
 * @param {boolean[]} labels
 */
function judge(t, beat, watcher, all, labels) {
  const lengths = (/** @type {Measured} */ one) => [...one.keys()].flatMap((name) => CELLS[watcher].exec(name)?.[1] || []).map(Number);
  for (const one of all) if (lengths(one).length === 0 || !one.get("ms from the first post to the last")) throw new Error(`void: ${[...one]}`);
  const cell = Math.max(...lengths(all[0] || new Map()));
  const named = (/** @type {number} */ length) => (watcher === "wire" ? `up: records of ${length}` : `frames of kind ${DATA} with ${length} bytes`);
  /** @type {[string, (visit: Measured) => void][]} */
  const leaks = [
    [
      "a cell that is a byte longer, once in each visit",
      (visit) => [[cell, -1], [cell + 1, 1]].forEach(([length = 0, more = 0]) => visit.set(named(length), (visit.get(named(length)) || 0) + more)),
    ],
    // Half of the gaps and not all of them: on a busy machine one post in many is a whole beat late.
    ["posts that lie a tenth of a beat further apart", (visit) => visit.set(MIDDLE, (visit.get(MIDDLE) || 0) + beat / 10)],
  ];
  for (const [what, leak] of leaks) {
    const leaking = all.map((one, at) => {
      const planted = new Map(one);
      if (labels[at]) leak(planted);
      return planted;
    });
    const { chance, which, most } = chanceOf(leaking, labels);
    t.diagnostic(`at the ${watcher}: planted: ${what}: chance ${chance.toFixed(4)} (pass: below ${CHANCE}; ${which}, ${most.toFixed(1)} deviations)`);
    if (chance >= CHANCE) throw new Error(`void: ${what} was not seen at the ${watcher}`);
  }
  const { chance, which, most } = chanceOf(all, labels);
  t.diagnostic(`at the ${watcher}, as it is: chance ${chance.toFixed(4)} (pass: at least ${CHANCE}; ${which}, ${most.toFixed(2)} deviations)`);
  return chance >= CHANCE ? [] : [`at the ${watcher} by ${which}`];
}
