// A board that is looked at: what is pressed while it draws itself anew counts, an idle thread asks for nothing, and a search hides
// nobody who needs help.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { pause } from "./harness/browser.js";
import { Board } from "./harness/desk.js";
import { Line } from "./harness/line.js";
import { pressingIn } from "../../client/desk/strings/pressing.mjs";

/** @type {Line} */
let line;
/** @type {Board} */
let board;

/** Counts what the page is told and what it asks, from before its scripts run. */
function count() {
  const counted = { news: 0, asked: /** @type {string[]} */ ([]), slow: 0 };
  Object.assign(window, { counted });
  const real = window.fetch;
  window.fetch = async (at, how) => {
    if (how?.method === "POST") counted.asked.push(`${at} ${String(how.body).slice(0, 40)}`);
    // A program that takes its time to tell a thread.
    if (counted.slow && /"(person|open)"/.test(String(how?.body))) await new Promise((resolve) => setTimeout(resolve, counted.slow));
    const answer = await real(at, how);
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

/** @returns {Promise<{news: number, asked: string[], slow: number}>} */
const counted = () => board.browser.evaluate(() => /** @type {any} */ (window).counted);

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
  const place = (/** @type {string} */ wanted) => {
    const found = document.querySelector(wanted);
    found?.scrollIntoView({ block: "center" });
    const box = found?.getBoundingClientRect();
    return box ? { x: box.left + box.width / 2, y: box.top + box.height / 2 } : null;
  };
  const point = /** @type {any} */ (await board.browser.waitFor(place, selector));
  const event = { ...point, button: "left", clickCount: 1 };
  await board.browser.page.send("Input.dispatchMouseEvent", { type: "mousePressed", ...event });
  await meanwhile();
  await board.browser.page.send("Input.dispatchMouseEvent", { type: "mouseReleased", ...event });
}

/** Something comes in, and the page has drawn it. @param {string} text @param {string} status */
async function news(text, status = "safe") {
  const before = (await counted()).asked.length;
  await arrives(status, text);
  await board.browser.waitFor((/** @type {number} */ known) => /** @type {any} */ (window).counted.asked.length > known, before);
  await pause(700);
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
    await news("a refresh from outside");
  });
  await board.browser.waitFor(() => /** @type {HTMLTextAreaElement} */ (document.getElementById("answer")).value === "Take your time.");
  await board.write(" ");
});

test("who types faster than the thread comes is not told that she has written again, and who was overtaken is", async () => {
  const slow = (/** @type {number} */ ms) => board.browser.evaluate((/** @type {number} */ ms) => void (/** @type {any} */ (window).counted.slow = ms), ms);
  await board.go("board");
  const before = await board.names();
  const [{ phrase }] = await line.caller("new", {});
  await line.caller("checkin", { phrase }, "--status", "talk", "--text", "are you there", "--wait", "60s");
  await board.browser.waitFor((/** @type {number} */ known) => document.querySelectorAll(".rows li").length > known, before.length);
  const name = String((await board.names()).find((one) => !before.includes(one)));
  await slow(3000);
  await board.choose(name);
  await board.key("Enter");
  await board.at("person");
  await board.key("r");
  await board.browser.page.send("Input.insertText", { text: "Yes, we are here." });
  assert.ok(!(await board.browser.text()).includes("are you there"), "VOID: the thread came first");
  await board.key("Ctrl+Enter");
  await board.sees(board.say("undo"));
  await slow(0);
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
  await hold(".head #note", () => news("another from outside"));
  await board.sees(board.say("note_says"));
  await board.press(board.say("back"));
  await board.go("board");
  // A call for help comes meanwhile and goes on top: no row moves while one of its buttons is held, and then all do.
  const row = await board.browser.waitFor(() => document.querySelector('.rows li[aria-posinset="1"]')?.getAttribute("data-row"));
  const top = () => document.querySelector('.rows li[aria-posinset="1"]')?.getAttribute("data-row");
  await hold(`[data-row="${row}"] [data-act=claim]`, async () => {
    await news("and one more", "help");
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

test("an idle thread asks for nothing that no event caused", { timeout: 120_000 }, async (t) => {
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

test("a search hides nobody who needs help, and a lock forgets it", { timeout: 120_000 }, async () => {
  await board.go("board");
  await arrives("help", "please");
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
