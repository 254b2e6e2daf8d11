// A board that is looked at: what is pressed while it draws itself anew counts, an idle thread asks for nothing, and a search hides
// nobody who needs help.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { pause } from "./harness/browser.js";
import { Board } from "./harness/desk.js";
import { Line, PROGRAMS } from "./harness/line.js";
import { never } from "./harness/never.js";
import { Program } from "./harness/program.js";
import { pressingIn } from "../../client/desk/strings/pressing.mjs";

/** @type {Line} */
let line;
/** @type {Board} */
let board;

/** Counts what the page is told and what it asks, and holds answers back from it; from before its scripts run. */
function count() {
  const counted = { news: 0, asked: /** @type {string[]} */ ([]), late: "", held: /** @type {(() => void)[]} */ ([]) };
  Object.assign(window, { counted });
  const real = window.fetch;
  window.fetch = async (at, how) => {
    if (how?.method === "POST") counted.asked.push(`${at} ${String(how.body).slice(0, 40)}`);
    const answer = await real(at, how);
    if (counted.late && new RegExp(`^{"(ask|do)":"(${counted.late})"`).test(String(how?.body))) await new Promise((resolve) => counted.held.push(() => resolve(null)));
    if (at !== "/events" || !answer.body) return answer;
    const [mine, theirs] = answer.body.tee();
    void (async () => {
      const reader = mine.getReader();
      const text = new TextDecoder();
      for (let { value, done } = await reader.read(); !done; { value, done } = await reader.read()) counted.news += (text.decode(value).match(/^event: news$/gm) || []).length;
    })().catch(() => {});
    return new Response(theirs, { status: answer.status, headers: answer.headers });
  };
}

/** @returns {Promise<{news: number, asked: string[]}>} */
const counted = () => board.browser.evaluate(() => /** @type {any} */ (window).counted);

/** From now on the program takes its time to answer these. @param {string} names as `person|open` */
const late = (names) => board.browser.evaluate((/** @type {string} */ names) => void (/** @type {any} */ (window).counted.late = names), names);
/** Waits until so many answers are held back. @param {number} count */
const held = (count) => board.browser.waitFor((/** @type {number} */ wanted) => /** @type {any} */ (window).counted.held.length >= wanted, count);
/** The first answer that is held back comes. */
const comes = () => board.browser.evaluate(() => /** @type {any} */ (window).counted.held.shift()());
/** Every answer comes, and none is held back any more. */
const allCome = () =>
  board.browser.evaluate(() => {
    const { counted } = /** @type {any} */ (window);
    counted.late = "";
    counted.held.splice(0).forEach((/** @type {() => void} */ come) => come());
  });

/** @param {string} status @param {string} text @param {string[]} more */
async function arrives(status, text, ...more) {
  const [{ phrase }] = await line.caller("new", {});
  await line.caller("checkin", { phrase }, "--status", status, "--text", text, ...more, "--wait", "60s");
}

before(async () => {
  line = await Line.found();
  board = await Board.open({ dir: `${line.dir}/line`, passphrase: `${line.dir}/passphrase` }, { first: count });
  await arrives("talk", "first of all");
  await board.browser.waitFor(() => document.querySelectorAll(".rows li").length === 1);
});

after(async () => {
  await board?.close();
  await line?.dispose();
});

/**
 * Presses a button, lets the page draw itself anew, and lets go.
 * @param {string} selector
 * @param {() => Promise<unknown>} meanwhile
 */
async function hold(selector, meanwhile) {
  const point = await board.down((/** @type {string} */ wanted) => document.querySelector(wanted), selector);
  await meanwhile();
  await board.letGo(point);
}

/** The page looks again, as it does when it is told of something. */
const look = () => board.browser.evaluate(() => void document.dispatchEvent(new Event("visibilitychange")));

/** A thread looks again, and has drawn itself anew: no drawing knows the mark. */
async function redraw() {
  await board.browser.evaluate(() => document.querySelector(".head .buttons")?.setAttribute("data-old", ""));
  await look();
  await board.browser.waitFor(() => !document.querySelector(".head [data-old]"));
}

test("nothing is written, ticked or chosen beforehand, and no screen presses", async () => {
  const filled = () => {
    const fields = /** @type {HTMLInputElement[]} */ ([...document.querySelectorAll("main textarea, main input, dialog textarea, dialog input")]);
    return fields.filter((one) => (one.type === "checkbox" || one.type === "radio" ? one.checked : one.value !== "")).map((one) => one.outerHTML);
  };
  const calm = async (/** @type {string} */ where) => {
    assert.deepEqual(await board.browser.evaluate(filled), [], where);
    assert.deepEqual(pressingIn(await board.browser.text()), [], where);
  };
  await board.person(String((await board.names())[0]));
  assert.equal(await board.browser.evaluate(() => /** @type {HTMLTextAreaElement} */ (document.getElementById("answer")).value), "", "the composer is there, and empty");
  await calm("person");
  // The control: what is looked at would show what presses, and what is filled in.
  await board.write("You must hurry.");
  await board.sees(board.say("pressing", { words: "must, hurry" }));
  assert.deepEqual(pressingIn(await board.browser.text()), ["must", "hurry"]);
  assert.equal((await board.browser.evaluate(filled)).length, 1);
  await board.write(" ");
  for (const screen of ["handover", "rota", "devices", "guide", "board"]) {
    await board.go(screen);
    await calm(screen);
  }
});

test("Undo counts although it was drawn anew while it was pressed", async () => {
  await board.person(String((await board.names())[0]));
  await board.write("Take your time.");
  await board.key("Ctrl+Enter");
  await board.sees(board.say("undo"));
  const left = () => String(document.querySelector(".undoing")?.textContent).match(/\d+ s/)?.[0];
  await hold(".undoing button", async () => {
    const began = String(await board.browser.evaluate(left));
    await board.browser.waitFor((/** @type {string} */ known) => !document.querySelector(".undoing")?.textContent?.includes(known), began);
    await redraw();
  });
  await board.browser.waitFor(() => /** @type {HTMLTextAreaElement} */ (document.getElementById("answer")).value === "Take your time.");
  await board.write(" ");
});

test("who types faster than the thread comes is not told that she has written again, and who was overtaken is", async () => {
  await board.go("board");
  const before = await board.names();
  const [{ phrase }] = await line.caller("new", {});
  await line.caller("checkin", { phrase }, "--status", "talk", "--text", "are you there", "--wait", "60s");
  await board.browser.waitFor((/** @type {number} */ known) => document.querySelectorAll(".rows li").length > known, before.length);
  const name = String((await board.names()).find((one) => !before.includes(one)));
  await late("person|open");
  await board.choose(name);
  await board.key("Enter");
  await board.at("person");
  await board.key("r");
  await board.browser.page.send("Input.insertText", { text: "Yes, we are here." });
  assert.ok(!(await board.browser.text()).includes("are you there"), "VOID: the thread came first");
  await board.key("Ctrl+Enter");
  await allCome();
  await board.sees(board.say("undo"));
  await board.press(board.say("undo"));
  await board.browser.waitFor(() => /** @type {HTMLTextAreaElement} */ (document.getElementById("answer")).value === "Yes, we are here.");
  await line.caller("checkin", { phrase }, "--status", "safe", "--text", "I am still here", "--wait", "60s");
  await board.sees("I am still here");
  await board.key("Ctrl+Enter");
  await board.sees(board.say("wrote_again"));
  await board.press(board.say("back"));
  await board.write(" ");
});

test("so do the buttons above a thread and those of a row", async () => {
  await hold(".head #note", redraw);
  await board.sees(board.say("note_says"));
  await board.press(board.say("back"));
  await board.go("board");
  // A call for help comes meanwhile and goes on top: no row moves while one of its buttons is held, and then all do.
  const row = await board.browser.waitFor(() => document.querySelector('.rows li[aria-posinset="1"]')?.getAttribute("data-row"));
  const top = () => document.querySelector('.rows li[aria-posinset="1"]')?.getAttribute("data-row");
  const waiting = await board.browser.evaluate(() => document.title);
  await late("board");
  await arrives("help", "and one more");
  await board.browser.waitFor((/** @type {string} */ was) => document.title !== was, waiting);
  await hold(`[data-row="${row}"] [data-act=claim]`, async () => {
    await allCome();
    await board.browser.waitFor((/** @type {string} */ says) => document.getElementById("counts")?.textContent?.includes(says), board.say("need_help"));
    assert.equal(await board.browser.evaluate(top), row);
  });
  await board.browser.waitFor((/** @type {string} */ id) => document.querySelector(`[data-row="${id}"] .claim`)?.textContent?.includes("you, until"), String(row));
  await board.browser.waitFor((/** @type {string} */ was) => document.querySelector('.rows li[aria-posinset="1"]')?.getAttribute("data-row") !== was, String(row));
});

test("a button that became another one while it was pressed does nothing", async () => {
  // Claim, held down while her claim is released elsewhere: it has become another button.
  const mine = await board.browser.waitFor(() => [...document.querySelectorAll(".rows li")].find((one) => one.querySelector(".claim")?.textContent?.includes("you, until"))?.getAttribute("data-row"));
  await hold(`[data-row="${mine}"] [data-act=claim]`, async () => {
    await line.desk("desk release", String(mine));
    await board.browser.waitFor((/** @type {string} */ id) => document.querySelector(`[data-row="${id}"] .claim`)?.textContent === "nobody has her yet", String(mine));
  });
  await pause(1500);
  assert.equal(await board.browser.evaluate((/** @type {string} */ id) => document.querySelector(`[data-row="${id}"] .claim`)?.textContent, String(mine)), board.say("unclaimed"), "nobody pressed Claim");
});

/** Waits until this row is chosen. @param {string} name */
const chosen = (name) => board.browser.waitFor((/** @type {string} */ name) => document.querySelector(".rows li.chosen .name b")?.textContent === name, name);
/** @param {string} text */
const types = (text) => board.browser.page.send("Input.insertText", { text });

/** The first and the last on the board. */
async function ends() {
  const names = await board.names();
  assert.ok(names.length > 1);
  return { first: String(names[0]), last: String(names[names.length - 1]) };
}

test("Enter in a search opens and chooses nobody who was not searched for", async () => {
  await board.go("board");
  const { first, last } = await ends();
  await board.choose(first);
  await late("board");
  await board.key("/");
  await types(last);
  await board.key("Enter");
  await board.key("Enter");
  assert.ok(await board.browser.evaluate(() => !!document.querySelector("main.screen-board")), "nobody is opened");
  await allCome();
  await chosen(last);
  assert.deepEqual(await board.names(), [last]);
  await board.key("Escape");
  await board.browser.waitFor(() => document.querySelectorAll(".rows li").length > 1);
});

test("u goes to the most urgent although the rows that it asked for were overtaken by newer ones", async () => {
  await board.go("board");
  const { first, last } = await ends();
  await board.key("/");
  await types(last);
  await board.browser.waitFor(() => document.querySelectorAll(".rows li").length === 1);
  await board.key("Enter");
  await chosen(last);
  await late("board");
  await board.key("u");
  await held(1);
  await look();
  await held(2);
  await comes();
  await allCome();
  await chosen(first);
});

test("what is typed after r is an answer already, although her thread has not come", async () => {
  const [name] = await board.names();
  await board.person(String(name));
  await board.write("Half an answer.");
  await board.go("board");
  await board.choose(String(name));
  await late("person|open");
  await board.key("r");
  await board.key("c");
  const answer = () => /** @type {HTMLTextAreaElement} */ (document.getElementById("answer")).value;
  assert.equal(await board.browser.evaluate(answer), "c");
  await held(1);
  await allCome();
  // What was half written before is above it, and she goes on where she was.
  await board.browser.waitFor((/** @type {string} */ above) => /** @type {HTMLTextAreaElement} */ (document.getElementById("answer")).value === `${above}\nc`, "Half an answer.");
  await board.key("c");
  assert.equal(await board.browser.evaluate(answer), "Half an answer.\ncc");
  await board.write(" ");
});

test("a window is there at once, and takes what is typed; what was half written in it comes when it comes", async () => {
  await board.go("board");
  const name = String((await board.names())[0]);
  await board.person(name);
  const windows = () => board.browser.evaluate(() => [...document.querySelectorAll("dialog")].map((one) => one.querySelector("textarea")?.value));
  await board.browser.waitFor(() => document.activeElement?.classList.contains("thread"));
  await board.key("n");
  await board.sees(board.say("note_says"));
  await types("half a note");
  await board.key("Ctrl+l");
  await board.sees(board.say("locked"));
  await board.unlock();
  await board.person(name);
  await board.browser.waitFor(() => document.activeElement?.classList.contains("thread"));
  await late("scrap");
  await board.key("n");
  assert.deepEqual(await windows(), [""]);
  // It is thrown away by nobody who has not seen it.
  await board.key("Escape");
  assert.deepEqual(await windows(), []);
  await allCome();
  await late("scrap");
  await board.key("n");
  await types("and more");
  await board.key("n");
  assert.deepEqual(await windows(), ["and moren"]);
  await held(1);
  await allCome();
  await board.browser.waitFor((/** @type {string} */ all) => /** @type {HTMLTextAreaElement | null} */ (document.querySelector("dialog textarea"))?.value === all, "half a note\nand moren");
  await board.press(board.say("back"));
  await board.misses(board.say("note_says"));
});

test("an idle thread asks for nothing that no event caused", { timeout: 120_000 }, async (t) => {
  await board.go("board");
  await board.person(String((await board.names())[0]));
  await pause(5000);
  const before = await counted();
  await pause(45_000);
  const after = await counted();
  const asked = after.asked.slice(before.asked.length);
  const told = after.news - before.news;
  t.diagnostic(`in 45 s: told ${told} times, asked ${asked.length} times: ${JSON.stringify(asked)}`);
  // One may be on its way as the count begins.
  assert.ok(asked.length <= told + 1, `asked ${asked.length} times, told ${told} times`);
  // The rows are made anew every twenty seconds, because claims lapse and promises fall due; a line that only beats is no news.
  assert.ok(told <= 4, `told ${told} times of nothing`);
});

test("what is done at a board makes no connection of its own", { timeout: 120_000 }, async (t) => {
  // Whom a program speaks to, as the kernel is asked: the network sees each connection.
  const traced = (/** @type {string[]} */ ...what) => new Program("strace", ["-f", "-e", "trace=connect", ...what]);
  const port = `htons(${new URL(line.origin).port})`;
  const made = (/** @type {Program} */ trace) => trace.said.split("\n").filter((call) => call.includes(port));
  await board.go("board");
  await board.person(String((await board.names())[0]));
  const trace = traced("-p", String(board.program.pid));
  await trace.hears(/attached/);
  await board.press(board.say("claim"));
  await board.press(board.say("note"));
  await board.fill(board.say("note"), "A quiet night.");
  await board.press(board.say("keep"));
  await board.sees("A quiet night.");
  await board.write("We are here.");
  await board.key("Ctrl+Enter");
  await board.sees(board.say("undo"));
  await board.sees(board.say("answer_with_the_relay"));
  trace.kill("SIGINT");
  await trace.end;
  // The control: a command at a terminal makes one.
  const control = traced(`${PROGRAMS}/porchlight`, "line", "publish", ...line.keys());
  await control.end;
  t.diagnostic(`connections of a command: ${made(control).length}; of what was done at the board: ${made(trace).length} (pass: 0)`);
  assert.ok(made(control).length > 0, `VOID: ${control.said}`);
  never(made(trace).length > 0, JSON.stringify(made(trace)));
});

test("a search hides nobody who needs help, and a lock forgets it", { timeout: 120_000 }, async () => {
  await board.go("board");
  const before = (await board.names()).length;
  await arrives("help", "please");
  await board.browser.waitFor((/** @type {number} */ known) => document.querySelectorAll(".rows li").length === known + 1, before);
  await board.sees(board.say("urgency_help_unclaimed"));
  const names = await board.names();
  // Everybody who needs help now, this one and whoever called before.
  const calls = await board.browser.evaluate(() => document.querySelectorAll(".rows .row[class*=help_]").length);
  const found = () => board.browser.evaluate(() => /** @type {HTMLInputElement} */ (document.querySelector("input[name=find]")).value);
  const search = async () => {
    await board.key("/");
    await board.browser.page.send("Input.insertText", { text: String(names[names.length - 1]) });
    await board.browser.waitFor(() => document.querySelectorAll(".rows li").length === 1);
    await board.sees(board.say("urgent_hidden", { n: calls }));
  };
  const everybody = async () => {
    await board.browser.waitFor((/** @type {number} */ all) => document.querySelectorAll(".rows li").length === all, names.length);
    await board.misses(board.say("urgent_hidden", { n: calls }));
    assert.equal(await found(), "");
  };
  const first = () => board.browser.waitFor((/** @type {string} */ name) => document.querySelector(".rows li.chosen .name b")?.textContent === name, String(names[0]));
  await search();
  await board.picture("urgent-hidden");
  assert.deepEqual(await board.axe(), []);
  await board.press(board.say("show_everybody"));
  await everybody();
  await first();
  await search();
  await board.key("Enter");
  await board.key("u");
  await everybody();
  await first();
  await search();
  await board.key("Escape");
  await everybody();
  await search();
  await board.key("Ctrl+l");
  await board.sees(board.say("locked"));
  await board.unlock();
  await everybody();
});
