// Every screen in every language, wide and narrow, by day and by night; every key; and a button for each.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { pause } from "./harness/browser.js";
import { Board, NARROW, TONGUES, WIDE } from "./harness/desk.js";

/** @type {Board} */
let board;

before(async () => {
  board = await Board.open(null);
});

after(async () => {
  await board?.close();
});

/** Whether the page is wider than what is seen of it. */
const spills = () => board.browser.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** @param {string} name */
async function holds(name) {
  await board.picture(name);
  assert.deepEqual(await board.axe(), [], name);
  assert.ok((await spills()) <= 0, `${name} is wider than the page`);
  assert.ok(!/\[\w+\]|undefined|\[object|\{\w+\}/.test(await board.browser.text()), `${name} shows a sentence that is none`);
}

test("axe-core finds what is planted", async () => {
  await board.browser.evaluate(() => {
    const bad = document.createElement("input");
    bad.id = "planted";
    document.querySelector("main")?.append(bad);
  });
  assert.match((await board.axe()).join("\n"), /planted/);
  await board.browser.evaluate(() => document.getElementById("planted")?.remove());
});

for (const tongue of TONGUES) {
  for (const [size, dark] of /** @type {[readonly [number, number], boolean][]} */ ([[WIDE, false], [WIDE, true], [NARROW, true]])) {
    const name = `${tongue}-${size[0]}-${dark ? "night" : "day"}`;
    test(`${name}: every screen`, { timeout: 300_000 }, async () => {
      await board.size(...size);
      await board.browser.page.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
      await board.speak(tongue);
      await board.go("board");
      await board.browser.waitFor(() => document.querySelectorAll(".rows li").length > 3);
      await board.press(board.say("picture"));
      await board.browser.waitFor(() => document.querySelectorAll("figure svg").length === 3);
      await holds(`${name}-board`);
      await board.press(board.say("picture"));
      const names = await board.names();
      await board.person(String(names[0]));
      await board.write("빨리 오세요, 내일 3시 역 앞에서.");
      await board.sees(board.say("meeting_stopped"));
      await holds(`${name}-person`);
      await board.press(board.say("hand_over"), ".head");
      await board.sees(board.say("hand_over_says"));
      await holds(`${name}-hand-over-form`);
      await board.press(board.say("back"));
      await board.write(" ");
      for (const place of ["handover", "rota", "devices", "guide"]) {
        await board.go(place);
        await board.browser.waitFor(() => !!document.querySelector("main h1"));
        await holds(`${name}-${place}`);
      }
      await board.key("?");
      await board.sees(board.say("key_cover"));
      await holds(`${name}-keys`);
      await board.press(board.say("close"));
      await board.key("Ctrl+l");
      await board.sees(board.say("locked"));
      await holds(`${name}-lock`);
      await board.unlock();
    });
  }
}

test("every key does what it says", { timeout: 120_000 }, async () => {
  await board.size(...WIDE);
  await board.speak("en");
  await board.go("board");
  const chosen = () => board.browser.evaluate(() => document.querySelector(".rows li.chosen .name b")?.textContent);
  const focused = () => board.browser.evaluate(() => document.activeElement?.getAttribute("name") || document.activeElement?.id || document.activeElement?.className);
  // Two within 600 ms cover the page: what a worker does who means one, a test has to wait for.
  const apart = () => pause(700);
  const escape = async () => {
    await apart();
    await board.key("Escape");
  };
  const names = await board.names();
  await board.key("u");
  assert.equal(await chosen(), names[0]);
  await board.key("j");
  assert.equal(await chosen(), names[1]);
  await board.key("j");
  await board.key("k");
  assert.equal(await chosen(), names[1]);
  await board.key("c");
  await board.sees(board.say("release"));
  assert.match(String(await board.browser.evaluate(() => document.querySelector(".rows li.chosen .claim")?.textContent)), /you, until/);
  await board.key("/");
  assert.equal(await focused(), "find");
  await board.browser.page.send("Input.insertText", { text: String(names[2]) });
  await board.browser.waitFor(() => document.querySelectorAll(".rows li").length === 1);
  await board.key("Escape");
  await escape();
  await board.browser.waitFor(() => document.querySelectorAll(".rows li").length > 3);
  await board.key("u");
  await board.key("n");
  await board.sees(board.say("note_says"));
  await escape();
  await board.misses(board.say("note_says"));
  await board.key("u");
  await board.key("Enter");
  await board.at("person");
  await board.key("r");
  assert.equal(await focused(), "answer");
  await board.write("Hello. Take your time.");
  await board.key("Ctrl+Enter");
  await board.sees(board.say("undo"));
  await board.press(board.say("undo"));
  // The text comes back, and the focus with it: only then can a test take that away again.
  await board.browser.waitFor(() => document.activeElement?.id === "answer" && /** @type {HTMLTextAreaElement} */ (document.activeElement).value !== "");
  await board.browser.evaluate(() => /** @type {HTMLElement} */ (document.activeElement).blur());
  await board.key("n");
  await board.sees(board.say("note_says"));
  await escape();
  await board.key("h");
  await board.sees(board.say("hand_over_says"));
  await escape();
  await board.misses(board.say("hand_over_says"));
  await board.key("?");
  await board.sees(board.say("key_lock"));
  await escape();
  await escape();
  await board.at("board");
  await apart();
  await board.escapeTwice();
  await board.browser.waitFor(() => !!document.getElementById("cover"));
  assert.ok(!(await board.browser.text()).includes(String(names[0])), "the cover hides everything");
  assert.deepEqual(await board.axe(), []);
  // Pressed on and on it covers; only the button shows it again.
  for (let at = 0; at < 5; at += 1) await board.key("Escape");
  await board.key("Enter");
  assert.ok(!(await board.browser.text()).includes(String(names[0])), "no key uncovers");
  await board.press(board.say("uncover"));
  await board.sees(String(names[0]));
  await board.key("h");
  await board.at("handover");
  await board.key("Ctrl+l");
  await board.sees(board.say("locked"));
  await board.unlock();
});

test("every key is also a button that can be seen", async () => {
  await board.go("board");
  const keys = () => board.browser.evaluate(() => [...document.querySelectorAll("button[aria-keyshortcuts]")].filter((one) => one.getClientRects().length > 0).map((one) => one.getAttribute("aria-keyshortcuts")));
  const seen = new Set(await keys());
  await board.person(String((await board.names())[0]));
  (await keys()).forEach((key) => seen.add(key));
  const claim = await board.browser.evaluate(() => !!document.querySelector(".head #claim"));
  for (const key of ["j", "k", "c", "r", "n", "u", "h", "?", "Control+Enter", "Esc", "Esc Esc", "Control+L"]) assert.ok(seen.has(key), `${key} has no button: ${[...seen]}`);
  assert.ok(claim);
  await board.go("board");
  assert.ok(await board.browser.evaluate(() => !!document.querySelector("input[name=find]") && !!document.querySelector(".rows button.row")), "/ and Enter");
});

test("nothing of it speaks of anybody in its title", async () => {
  assert.match(await board.browser.evaluate(() => document.title), /^(\d+ waiting|Desk)$/);
  assert.deepEqual(board.browser.complaints.filter((text) => !/status of (409|401|423)/.test(text)), []);
});
