// What a team does at its boards besides the night: rows joined and parted, a duress room, somebody forgotten by two, days of keeping,
// a device put out, and the sheet of cards on paper.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Board, join } from "./harness/desk.js";
import { Line } from "./harness/line.js";

/** @type {Line} */
let line;
/** @type {Board} */
let one;
/** @type {Board} */
let two;
/** @type {import("./harness/desk.js").Vault} */
let third;

/** @param {string} status @param {string} text */
async function arrives(status, text) {
  const [{ phrase }] = await line.caller("new", {});
  await line.caller("checkin", { phrase }, "--status", status, "--text", text, "--wait", "60s");
}

/** @param {Board} board @param {number} count */
const rows = (board, count) => board.browser.waitFor((/** @type {number} */ wanted) => document.querySelectorAll(".rows li").length === wanted, count);

before(async () => {
  line = await Line.found();
  const second = await join(line, "second");
  third = await join(line, "third");
  one = await Board.open({ dir: `${line.dir}/line`, passphrase: `${line.dir}/passphrase` }, {
    first: () => {
      const printed = { times: 0 };
      Object.assign(window, { printed, print: () => (printed.times += 1) });
    },
  });
  two = await Board.open(second);
  await arrives("safe", "from the first telephone");
  await rows(one, 1);
  await arrives("talk", "from the second telephone");
  await Promise.all([rows(one, 2), rows(two, 2)]);
});

after(async () => {
  await one?.close();
  await two?.close();
  await line?.dispose();
});

/** One proposes something about a caller; a colleague agrees. @param {string} name @param {string} act @param {Record<string, string>} [fields] */
async function byTwo(name, act, fields = {}) {
  await one.person(name);
  await one.press(one.say(`propose_${act}`), "aside");
  await one.sees(one.say(`propose_${act}_says`));
  for (const [label, text] of Object.entries(fields)) await one.fill(one.say(label), text);
  await one.press(one.say("propose"));
  await one.sees(one.say("proposed_by", { who: one.say("you"), what: one.say(`act_${act}`) }));
  assert.ok(!(await one.browser.evaluate((/** @type {string} */ says) => [...document.querySelectorAll(".proposal button span")].some((label) => label.textContent === says), one.say("agree"))), "nobody agrees to their own proposal at once");
  await two.go("handover");
  await two.sees(two.say(`act_${act}`));
  await two.press(two.say("agree"));
  await two.browser.waitFor(() => !!document.querySelector("dialog[open]"));
  await two.press(two.say("agree"));
}

test("two rows become one, and two again", { timeout: 120_000 }, async () => {
  const [first, second] = /** @type {[string, string]} */ (await one.names());
  await byTwo(first, "join", { other_row: second, why: "the same story, told again" });
  await one.go("board");
  await rows(one, 1);
  await two.go("board");
  await rows(two, 1);
  await one.person(String((await one.names())[0]));
  await one.sees("from the first telephone");
  await one.sees("from the second telephone");
  await one.picture("joined");
  assert.deepEqual(await one.axe(), []);
  const label = String(await one.browser.evaluate((/** @type {string} */ start) => [...document.querySelectorAll("aside button span")].map((label) => String(label.textContent)).find((text) => text.startsWith(start)), one.say("part", { id: "" })));
  await one.press(label, "aside");
  await one.browser.waitFor(() => !!document.querySelector("dialog[open]"));
  await one.press(label, "dialog");
  await one.go("board");
  await rows(one, 2);
  await rows(two, 2);
});

test("a duress room is marked, seen by a colleague, and unmarked", { timeout: 120_000 }, async () => {
  const [first, second] = /** @type {[string, string]} */ (await one.names());
  await one.person(first);
  await one.press(one.say("duress_set"), "aside");
  await one.fill(one.say("whose"), second);
  await one.press(one.say("keep"));
  await one.browser.waitFor((/** @type {string} */ says) => document.querySelector(".head .chips")?.textContent?.includes(says), one.say("flag_duress"));
  await two.go("board");
  await two.sees(two.say("flag_duress"));
  await two.sees(two.say("urgency_duress_unclaimed"));
  await two.picture("duress");
  assert.equal((await two.names())[0], first, "it comes before everybody");
  await one.press(one.say("duress_unset"), "aside");
  await one.sees(one.say("duress_unset_says"));
  await one.press(one.say("duress_unset"), "dialog");
  await two.misses(two.say("flag_duress"));
});

test("somebody is forgotten by two, on every device", { timeout: 120_000 }, async () => {
  const [, second] = await one.names().then(async (names) => (names.length ? names : (await one.go("board"), one.names())));
  await byTwo(String(second), "forget", { why: "she asked for it" });
  await one.go("board");
  await rows(one, 1);
  await two.go("board");
  await rows(two, 1);
  for (const board of [one, two]) assert.ok(!(await board.names()).includes(String(second)));
});

test("the days of keeping are a lead's to change, within limits", { timeout: 120_000 }, async () => {
  await one.go("devices");
  await two.go("devices");
  const change = async (/** @type {string} */ days) => {
    await one.press(one.say("change"), "main");
    await one.sees(one.say("kept_days_ask"));
    await one.fill(one.say("days_name"), days);
    await one.press(one.say("keep"));
  };
  await change("500");
  await one.sees(one.say("refused_bad_days"));
  await change("21");
  await one.sees(one.say("kept_days_says", { n: 21 }));
  await two.sees(two.say("kept_days_says", { n: 21 }));
  assert.ok(!(await two.browser.evaluate((/** @type {string} */ says) => [...document.querySelectorAll("main button span")].some((label) => label.textContent === says), two.say("change"))), "a worker's board has no such button");
});

test("a device is put out: one worker's word is noted, and a lead's counts", { timeout: 120_000 }, async () => {
  const three = await Board.open(third);
  try {
    await three.go("devices");
    const device = String(await three.browser.evaluate((/** @type {string} */ you) => [...document.querySelectorAll("main article")].find((one) => one.querySelector("b")?.textContent === you)?.getAttribute("data-key"), three.say("you")));
    await two.press(two.say("revoke"), `[data-key="${device}"]`);
    await two.press(two.say("back"));
    await two.press(two.say("revoke"), `[data-key="${device}"]`);
    await two.press(two.say("revoke"));
    await two.sees(two.say("revoke_voted"));
    await one.press(one.say("revoke"), `[data-key="${device}"]`);
    await one.press(one.say("revoke"));
    await one.sees(one.say("revoke_signed"));
    for (const board of [one, two]) await board.browser.waitFor((/** @type {string} */ id, /** @type {string} */ says) => document.querySelector(`[data-key="${id}"]`)?.textContent?.includes(says), device, board.say("revoked"));
  } finally {
    await three.close();
  }
});

test("on paper stands an address, twelve times, and nothing that says what it is", { timeout: 120_000 }, async () => {
  await one.go("guide");
  await one.press(one.say("print"));
  assert.equal(await one.browser.evaluate(() => /** @type {any} */ (window).printed.times), 1);
  await one.browser.page.send("Emulation.setEmulatedMedia", { media: "print" });
  try {
    const paper = await one.browser.text();
    assert.deepEqual([...new Set(paper.split("\n").map((row) => row.trim()).filter(Boolean))], [line.url]);
    assert.equal(paper.split(line.url).length - 1, 12);
    assert.match(line.url, /^https:\/\//);
    await one.picture("sheet");
    const { data } = await one.browser.page.send("Page.printToPDF", { displayHeaderFooter: false });
    const pages = Buffer.from(data, "base64").toString("latin1").match(/\/Type\s*\/Page\b/g) || [];
    assert.equal(pages.length, 1, "one sheet");
  } finally {
    await one.browser.page.send("Emulation.setEmulatedMedia", { media: "" });
  }
});
