// Behind the lock: a worker who sleeps is still woken, nothing but counts is told, and no other program gets the passphrase.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer, get } from "node:http";
import { after, before, test } from "node:test";
import { Board } from "./harness/desk.js";
import { Line } from "./harness/line.js";
import { never } from "./harness/never.js";

const LETTER = "marker saucepan 5150, nobody else writes so";
const SECOND = "marker ladder 6006, the second letter";

/** @type {Line} */
let line;

before(async () => {
  line = await Line.found();
});

after(async () => {
  await line?.dispose();
});

const vault = () => ({ dir: `${line.dir}/line`, passphrase: `${line.dir}/passphrase` });

/** Counts sounds and notifications, as this page and the ones after it in this tab make them. */
function ears() {
  const heard = { tones: 0, shown: /** @type {any[]} */ ([]) };
  Object.assign(window, { heard });
  const Real = window.AudioContext;
  Object.assign(window, {
    AudioContext: class extends Real {
      constructor() {
        super();
        heard.tones += 1;
      }
    },
    Notification: class {
      static permission = "granted";
      /** @param {string} title @param {any} how */
      constructor(title, how) {
        heard.shown.push([title, how]);
      }
    },
  });
}

/** @param {Board} board @returns {Promise<{tones: number, shown: any[]}>} */
const heard = (board) => board.browser.evaluate(() => /** @type {any} */ (window).heard);

/** A letter from somebody new. @param {string} text */
async function arrives(text) {
  const [{ phrase }] = await line.caller("new", {});
  await line.caller("checkin", { phrase }, "--status", "talk", "--text", text, "--wait", "60s");
}

/** What a page is known by. @param {Board} board */
async function knock(board) {
  const door = String(await board.browser.evaluate(() => sessionStorage.getItem("door")));
  return { door, word: createHmac("sha256", door).update("porchlight desk: knock").digest("base64url") };
}

/**
 * Listens to a stream as it comes over the wire.
 * @param {string} url
 * @param {Record<string, string>} headers
 */
function overhear(url, headers) {
  const told = { status: 0, text: "", ended: false };
  const asked = get(url, { headers }, (answer) => {
    told.status = answer.statusCode || 0;
    answer.on("data", (part) => (told.text += part));
    answer.on("close", () => (told.ended = true));
  });
  asked.on("error", () => (told.ended = true));
  return { told, stop: () => asked.destroy() };
}

/** @param {() => unknown} done @param {string} what */
async function until(done, what) {
  const limit = Date.now() + 60_000;
  while (!done()) {
    assert.ok(Date.now() < limit, what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("a locked board rings, and tells nothing but counts; so does one that was reloaded behind the lock", { timeout: 240_000 }, async () => {
  const board = await Board.open(vault(), { first: ears });
  try {
    await board.press(board.say("alerts"));
    await board.browser.waitFor(() => /** @type {any} */ (window).heard.tones === 1);
    await arrives(LETTER);
    await board.browser.waitFor(() => document.title === "1 waiting" && /** @type {any} */ (window).heard.tones === 2);
    await board.browser.waitFor(() => document.querySelectorAll(".rows li").length === 1);
    const [name] = await board.names();
    const id = String(await board.browser.evaluate(() => document.querySelector(".rows li")?.getAttribute("data-row")));
    assert.ok(name);
    assert.match(id, /^[0-9a-f]{32}$/);
    const { door, word } = await knock(board);
    await board.key("Ctrl+l");
    await board.sees(board.say("locked"));
    await board.sees(board.say("waiting_count", { n: 1 }));

    for (const [header, given] of /** @type {[string, string][]} */ ([["x-desk-knock", ""], ["x-desk-knock", "x".repeat(43)], ["x-desk-knock", door], ["x-desk-session", word]])) {
      const refused = overhear(`${board.origin}/waiting`, { [header]: given });
      await until(() => refused.told.ended, "a stranger is refused");
      assert.deepEqual([refused.told.status, refused.told.text], [401, ""], `${header}: ${given}`);
    }
    const full = overhear(`${board.origin}/events`, { "x-desk-knock": word, "x-desk-session": word });
    await until(() => full.told.ended, "no news behind the lock");
    assert.deepEqual([full.told.status, full.told.text], [423, ""]);

    const { told, stop } = overhear(`${board.origin}/waiting`, { "x-desk-knock": word });
    await arrives(SECOND);
    await board.browser.waitFor(() => document.title === "2 waiting");
    await board.sees(board.say("waiting_count", { n: 2 }));
    const woken = await heard(board);
    assert.equal(woken.tones, 3, "it rang once more");
    assert.deepEqual(woken.shown.at(-1), ["2 waiting", { tag: "waiting", silent: true }], "the notification says only how many");
    await until(() => /"waiting":2/.test(told.text), "the stream counts");
    stop();
    for (const said of told.text.split("\n\n").filter(Boolean)) {
      assert.match(said, /^(:\s*|event: waiting\ndata: \{"letters":\d+,"waiting":\d+,"warnings":\[("(nobody_on_call|on_call_silent|no_relay|vault_trouble)",?)*\]\})$/);
    }
    for (const secret of [LETTER, SECOND, String(name), id, id.slice(0, 6), "saucepan", "talk"]) never(told.text.includes(secret), `the stream behind the lock tells ${secret}`);
    const page = await board.browser.evaluate(() => document.documentElement.innerHTML);
    for (const secret of [LETTER, String(name), id]) never(page.includes(secret), `the locked page holds ${secret}`);

    // Reloaded, the page has nothing but the door word.
    await board.browser.evaluate(() => void (document.body.dataset["old"] = ""));
    await board.browser.page.send("Page.reload");
    await board.browser.waitFor(() => document.body.dataset["old"] === undefined);
    await board.sees(board.say("locked"));
    await board.sees(board.say("waiting_count", { n: 2 }));
    await arrives(`${LETTER}, once more`);
    await board.browser.waitFor(() => document.title === "3 waiting" && /** @type {any} */ (window).heard.tones === 1);
    assert.deepEqual((await heard(board)).shown.map(([title]) => title), ["3 waiting"]);
    assert.deepEqual(await board.axe(), []);

    // A relay that is gone is told as well.
    await line.relay.stop();
    await board.sees(board.say("no_relay"));
    await line.relay.start();
    await board.misses(board.say("no_relay"));
    await board.unlock();
    await board.browser.waitFor(() => document.querySelectorAll(".rows li").length === 3);
    await arrives(`${SECOND}, once more`);
    await board.browser.waitFor(() => document.title === "4 waiting" && /** @type {any} */ (window).heard.tones === 2);
  } finally {
    await board.close();
  }
});

/** A program that takes the port of one that has ended, says yes to everything, and keeps all it is told. @param {string} origin */
async function impostor(origin) {
  /** @type {string[]} */
  const kept = [];
  const server = createServer((asked, answer) => {
    let body = "";
    asked.on("data", (part) => (body += part));
    asked.on("end", () => {
      kept.push(`${asked.method} ${asked.url} ${JSON.stringify(asked.headers)} ${body}`);
      answer.writeHead(200, { "content-type": "application/json" });
      answer.end(JSON.stringify({ proof: "A".repeat(43), session: "mine", door: "mine" }));
    });
  });
  await new Promise((resolve, reject) => {
    server.on("error", reject);
    server.listen(Number(new URL(origin).port), "127.0.0.1", () => resolve(null));
  });
  return { kept, close: () => server.close() };
}

/** The answer to a lock comes long after the lock was told. */
function lateLock() {
  const real = window.fetch;
  Object.assign(window, { late: 0 });
  window.fetch = async (at, how) => {
    const answer = await real(at, how);
    if (at !== "/lock") return answer;
    await new Promise((resolve) => setTimeout(resolve, 4000));
    setTimeout(() => ((/** @type {any} */ (window)).late += 1), 500);
    return answer;
  };
}

test("a locked page sees that its board is gone, and asks nobody for anything any more", async () => {
  const board = await Board.open(vault(), { first: lateLock });
  try {
    await board.key("Ctrl+l");
    await board.sees(board.say("locked"));
    await board.program.stop();
    await board.sees(board.say("gone"));
    await board.browser.waitFor(() => /** @type {any} */ (window).late === 1);
    await board.sees(board.say("gone"));
    assert.ok(!(await board.browser.evaluate(() => !!document.querySelector("input"))));
    assert.equal(await board.browser.evaluate(() => sessionStorage.getItem("door")), null);
  } finally {
    await board.close();
  }
});

/** The answer to a lock comes late, and a look at the board, while that is wanted, is asked late. */
function late() {
  const late = { board: false, held: /** @type {(() => void)[]} */ ([]), heard: 0 };
  Object.assign(window, { late });
  const real = window.fetch;
  window.fetch = async (at, how) => {
    const lock = at === "/lock";
    if (!lock && !(late.board && String(how?.body).startsWith('{"ask":"board"'))) return real(at, how);
    const gate = new Promise((resolve) => late.held.push(() => resolve(null)));
    if (!lock) await gate;
    const answer = await real(at, how);
    if (lock) await gate;
    // Once everything is done that follows from it.
    const heard = () => setTimeout(() => (late.heard += 1));
    const json = answer.json.bind(answer);
    answer.json = () => json().finally(heard);
    if (!answer.ok) heard();
    return answer;
  };
}

test("what comes late from before a lock does not lock again", async () => {
  const board = await Board.open(vault(), { first: late });
  const held = (/** @type {number} */ count) => board.browser.waitFor((/** @type {number} */ wanted) => /** @type {any} */ (window).late.held.length >= wanted, count);
  try {
    await board.browser.evaluate(() => {
      /** @type {any} */ (window).late.board = true;
      document.dispatchEvent(new Event("visibilitychange"));
    });
    await held(1);
    await board.key("Ctrl+l");
    await held(2);
    await board.sees(board.say("locked"));
    await board.browser.evaluate(() => void (/** @type {any} */ (window).late.board = false));
    await board.unlock();
    const count = await board.browser.evaluate(() => /** @type {any} */ (window).late.held.splice(0).map((/** @type {() => void} */ go) => go()).length);
    await board.browser.waitFor((/** @type {number} */ wanted) => /** @type {any} */ (window).late.heard === wanted, count);
    assert.ok(await board.browser.evaluate(() => !!document.querySelector("main.screen-board")), "it is open still");
    await board.go("rota");
  } finally {
    await board.close();
  }
});

test("another program on the port of one that ended gets neither the passphrase nor the door word", async () => {
  // A page that did not hear the end: its stream hangs.
  const deaf = () => {
    const real = window.fetch;
    window.fetch = (at, how) => (at === "/waiting" ? new Promise(() => {}) : real(at, how));
  };
  const board = await Board.open(vault(), { first: deaf });
  try {
    await board.key("Ctrl+l");
    await board.sees(board.say("locked"));
    const { door } = await knock(board);
    await board.program.stop();
    const other = await impostor(board.origin);
    try {
      await board.fill(board.say("passphrase"), board.passphrase());
      await board.key("Enter");
      await board.sees(board.say("stranger"));
      assert.ok(other.kept.some((told) => told.startsWith("POST /prove ")), "it was asked for a proof");
      never(other.kept.some((told) => told.includes("/unlock")), "it was told more");
      for (const told of other.kept) never(told.includes(board.passphrase()) || told.includes(door), told);
      await board.picture("stranger");
    } finally {
      other.close();
    }
  } finally {
    await board.close();
  }
});
