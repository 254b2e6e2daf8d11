// A night shift at three boards: real programs, a real relay, and nothing used but keys and buttons.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { pause } from "./harness/browser.js";
import { Board, join } from "./harness/desk.js";
import { Line } from "./harness/line.js";

/** What a caller writes, as herself and through the native client. */
const HELP = "도움이 필요해요. 오늘 집주인이 나가라고 했어요.";
const AUNT = "이모, 저 다음 주에 옮길 것 같아요.";
const QUIET = "这两天家里有人，先不要回复我。";

/** @type {Line} */
let line;
/** @type {Board[]} */
let boards = [];

before(async () => {
  line = await Line.found({ options: ["--answer-within", "hours"] });
});

after(async () => {
  await Promise.all(boards.map((board) => board.close()));
  await line?.dispose();
});

/** A caller's eight words. */
async function newWords() {
  const [made] = await line.caller("new", {});
  return String(made.phrase);
}

/**
 * What she finds there, as often as she looks, until `found` is among it.
 * @param {string} phrase
 * @param {string} found
 */
async function reads(phrase, found) {
  const until = Date.now() + 60_000;
  for (;;) {
    const told = await line.caller("read", { phrase, codes: [0, 6] });
    if (told.some((one) => one.text === found || one.event === found)) return;
    assert.ok(Date.now() < until, `she does not find ${found}: ${JSON.stringify(told)}`);
    await pause(300);
  }
}

test("a night at three boards", { timeout: 600_000 }, async (t) => {
  const step = async (/** @type {string} */ name, /** @type {() => Promise<void>} */ act) => {
    await act().catch(async (error) => {
      for (const [at, board] of boards.entries()) await board.picture(`failed-${at + 1}`).catch(() => {});
      throw new Error(`${name}: ${error?.stack || error}`);
    });
    t.diagnostic(name);
  };
  const dir = { dir: `${line.dir}/line`, passphrase: `${line.dir}/passphrase` };
  const second = await join(line, "second");
  const third = await join(line, "third");
  const [one, two, three] = /** @type {[Board, Board, Board]} */ (await Promise.all([Board.open(dir), Board.open(second), Board.open(third)]));
  boards = [one, two, three];
  await one.sees(one.say("nobody_has_written"));

  await step("the rota: a shift is entered, and everybody sees who is on call", async () => {
    await one.go("rota");
    await one.press(one.say("add_shift"));
    const hour = new Date(Date.now() + 8 * 3600_000 - 3600_000).toISOString().slice(0, 16);
    await one.browser.evaluate((/** @type {string} */ from) => {
      const input = /** @type {HTMLInputElement} */ (document.querySelector("dialog input[name=from]"));
      input.value = from;
    }, hour);
    await one.press(one.say("keep"));
    await one.sees(one.say("strike"));
    await one.picture("rota");
    await one.go("board");
    await two.browser.waitFor(() => /seat 0/.test(String(document.getElementById("counts")?.textContent)));
  });

  const her = await newWords();
  let name = "";
  await step("a letter arrives by itself, most urgent first, and the title says only how many wait", async () => {
    const aunt = await newWords();
    await line.caller("checkin", { phrase: aunt }, "--status", "moving", "--text", AUNT, "--relative", "--language", "ko", "--wait", "60s");
    await one.browser.waitFor(() => document.querySelectorAll(".rows li").length === 1);
    await line.caller("checkin", { phrase: her }, "--status", "help", "--text", HELP, "--language", "ko", "--wait", "60s");
    await one.browser.waitFor(() => document.querySelectorAll(".rows li").length === 2);
    const quiet = await newWords();
    await line.caller("checkin", { phrase: quiet }, "--status", "talk", "--text", QUIET, "--quiet", "--language", "zh", "--wait", "60s");
    await one.browser.waitFor(() => document.querySelectorAll(".rows li").length === 3);
    name = String((await one.names())[0]);
    await one.sees(one.say("urgency_help_unclaimed"));
    assert.equal(await one.browser.evaluate(() => document.title), one.say("waiting_count", { n: 2 }));
    assert.ok(!(await one.browser.text()).includes(HELP), "the board shows nobody's words");
    await one.picture("board");
    await two.browser.waitFor(() => document.querySelectorAll(".rows li").length === 3);
  });

  await step("a claim by key, seen by a colleague; taking over asks a reason", async () => {
    await one.key("u");
    await one.picture("chosen");
    await one.key("c");
    await one.sees(`${one.say("you")}, until`);
    await two.sees("seat 0");
    await two.browser.waitFor((/** @type {string} */ who) => [...document.querySelectorAll(".rows li .claim")].some((claim) => String(claim.textContent).includes("seat 0") && claim.closest("li")?.textContent?.includes(who)), name);
    await two.choose(name);
    await two.key("c");
    await two.sees(two.say("take_over"));
    await two.picture("take-over");
    await two.press(two.say("back"));
  });

  await step("an answer is undone, sent, and read by her", async () => {
    await one.choose(name);
    await one.key("r");
    await one.at("person");
    await one.sees(HELP);
    await one.write("You must hurry.");
    await one.sees("must, hurry");
    await one.picture("pressing");
    await one.write("글 잘 받았습니다. 저희가 알아보겠습니다.");
    await one.key("Ctrl+Enter");
    await one.sees(one.say("undo"));
    await one.press(one.say("undo"));
    await one.browser.waitFor(() => /** @type {HTMLTextAreaElement} */ (document.getElementById("answer")).value.startsWith("글 잘"));
    await one.write("글 잘 받았습니다. 천천히 함께 알아봅시다.");
    await one.key("Ctrl+Enter");
    await one.sees(one.say("undo"));
    await one.picture("undo");
    await one.sees(one.say("answer_with_the_relay"));
    await one.picture("person");
    await reads(her, "글 잘 받았습니다. 천천히 함께 알아봅시다.");
    // What comes late in a visit is named in the next one: a visit is no longer because it found something.
    await line.caller("read", { phrase: her, codes: [0, 6] });
    await one.sees(one.say("answer_seen"));
  });

  await step("two who write at once both see it before either sends", async () => {
    await two.person(name);
    await two.write("저도 여기 있습니다.");
    await one.browser.evaluate(() => /** @type {HTMLElement} */ (document.getElementById("answer")).focus());
    await one.sees("is writing to her now, too");
    await one.write("한 가지 더 말씀드립니다.");
    await two.sees("is writing to her now, too");
    await two.picture("composing");
    await one.key("Ctrl+Enter");
    await one.sees(one.say("composing_title"));
    await one.press(one.say("wait_for_each_other"));
    await one.write(" ");
    await two.write(" ");
    await two.misses("is writing to her now, too");
  });

  await step("a place and a time wait for a second worker, who agrees; then she reads it", async () => {
    const meeting = "내일 3시에 역 앞에서 만나요.";
    await one.write(meeting);
    await one.sees(one.say("meeting_stopped"));
    await one.picture("meeting");
    await one.key("Ctrl+Enter");
    await one.sees(one.say("propose_say_says"));
    await one.press(one.say("propose_say"));
    await one.sees(one.say("proposal_open"));
    await two.go("handover");
    await two.sees(meeting);
    await two.picture("second-worker");
    await two.sees(name);
    await two.press(two.say("agree"));
    // It asks with her name before it is said for good.
    await two.sees(two.say("propose_say_says"));
    await two.press(two.say("agree"));
    await one.sees(one.say("say_now"));
    await one.press(one.say("say_now"));
    await one.sees(one.say("say_now_says"));
    await one.press(one.say("say_now"));
    // Ten seconds to think better of it, as with every answer.
    await one.sees(one.say("undo"));
    await one.press(one.say("undo"));
    await one.misses(one.say("undo"));
    await one.press(one.say("say_now"));
    await one.press(one.say("say_now"), "dialog");
    await one.sees(one.say("undo"));
    await reads(her, meeting);
  });

  await step("the plan changes: please do not go", async () => {
    await one.press(one.say("stop_going"));
    await one.sees(one.say("stop_going_says"));
    await one.press(one.say("stop_going_ok"));
    await reads(her, "stop");
  });

  await step("notes and what the team knows of her", async () => {
    await one.key("n");
    await one.fill(one.say("note"), "Landlord asks for the key by Friday.");
    // One Esc throws nothing away; two hide it, and it comes back; a lock keeps it with the program.
    await one.key("Escape");
    await pause(700);
    await one.escapeTwice();
    await one.sees(one.say("uncover"));
    assert.ok(!(await one.browser.text()).includes("Landlord asks"), "it is under the cover");
    await one.press(one.say("uncover"));
    const typed = (/** @type {string} */ text) => one.browser.waitFor((/** @type {string} */ wanted) => /** @type {HTMLTextAreaElement | null} */ (document.querySelector("dialog[open] textarea"))?.value === wanted, text);
    await typed("Landlord asks for the key by Friday.");
    await one.key("Ctrl+l");
    await one.sees(one.say("locked"));
    assert.ok(!(await one.browser.evaluate(() => document.documentElement.innerHTML)).includes("Landlord"), "nothing stays on the locked page");
    await one.unlock();
    await one.person(name);
    await one.key("n");
    await typed("Landlord asks for the key by Friday.");
    await one.press(one.say("keep"));
    await one.sees("Landlord asks");
    await one.press(one.say("change"), ".about section:nth-of-type(2)");
    await one.fill(one.say("by_whom"), "a friend of the line");
    await one.press(one.say("keep"));
    await one.sees("a friend of the line");
    await one.press(one.say("change"), ".about section:nth-of-type(3)");
    await one.fill(one.say("question"), "What stood on the table?");
    await one.fill(one.say("her_answer"), "a blue cup");
    await one.press(one.say("keep"));
    await one.sees("What stood on the table?");
    assert.ok(!(await one.browser.text()).includes("a blue cup"), "her answer is folded away");
  });

  await step("her wishes hold: as a relative waits for a look, quiet for a reason", async () => {
    await one.go("board");
    const all = await one.names();
    const who = async (/** @type {string} */ flag) => one.browser.evaluate((/** @type {string} */ wanted) => [...document.querySelectorAll(".rows li")].find((row) => row.textContent?.includes(wanted))?.querySelector(".name b")?.textContent, flag);
    const relative = String(await who(one.say("flag_relative")));
    const quiet = String(await who(one.say("flag_quiet")));
    assert.ok(all.includes(relative) && all.includes(quiet) && relative !== quiet);
    await one.person(relative);
    await one.write("이모는 잘 있단다. 천천히 하렴.");
    assert.ok(await one.browser.evaluate(() => /** @type {HTMLButtonElement} */ (document.getElementById("send")).disabled));
    await one.picture("relative");
    await one.tick(one.say("fits_relative"));
    // Other words are to be looked at once more.
    await one.write("이모는 잘 있단다. 천천히 하려무나.");
    assert.ok(await one.browser.evaluate(() => /** @type {HTMLButtonElement} */ (document.getElementById("send")).disabled));
    await one.tick(one.say("fits_relative"));
    await one.press(one.say("send"));
    await one.sees(one.say("undo"));
    await one.person(quiet);
    await one.write("慢慢来。");
    assert.ok(await one.browser.evaluate(() => /** @type {HTMLButtonElement} */ (document.getElementById("send")).disabled));
    await one.picture("quiet");
    await one.press(one.say("override_quiet"));
    await one.fill(one.say("reason"), "she asked by telephone");
    await one.press(one.say("override_ok"));
    await one.press(one.say("send"));
    await one.sees("she asked by telephone");
    await one.sees(one.say("answer_with_the_relay"));
  });

  await step("a lock hides everything, sends what was sent, and keeps what was half written", async () => {
    await one.write("반쯤 쓴 글");
    await one.key("Ctrl+l");
    await one.sees(one.say("locked"));
    const text = await one.browser.evaluate(() => document.documentElement.innerHTML);
    for (const secret of [HELP, QUIET, name, "반쯤"]) assert.ok(!text.includes(secret), `the locked page holds ${secret}`);
    await one.picture("lock");
    await one.fill(one.say("passphrase"), "not the passphrase");
    await one.key("Enter");
    await one.sees(one.say("wrong_passphrase"));
    await one.unlock();
    const quiet = String(await one.browser.evaluate((/** @type {string} */ wanted) => [...document.querySelectorAll(".rows li")].find((row) => row.textContent?.includes(wanted))?.querySelector(".name b")?.textContent, one.say("flag_quiet")));
    await one.person(quiet);
    await one.browser.waitFor(() => /** @type {HTMLTextAreaElement} */ (document.getElementById("answer")).value === "반쯤 쓴 글");
    await one.write(" ");
  });

  await step("the shift ends: nobody goes with somebody in hand; she is handed over and accepted", async () => {
    await one.go("handover");
    await one.sees(one.say("go_off_not_yet"));
    await one.press(one.say("hand_over"), "main");
    await one.fill(one.say("situation"), "The landlord wants her out by Friday.");
    await one.fill(one.say("next_step"), "Ask how Friday went, gently. Two.");
    await one.picture("hand-over-form");
    await one.press(one.say("hand_over"));
    await one.sees(one.say("given"));
    await two.go("handover");
    await two.sees("Ask how Friday went");
    await two.picture("hand-over");
    await two.press(two.say("accept"));
    await one.browser.waitFor((/** @type {string} */ says) => document.body.innerText.includes(says), one.say("go_off_says"));
    await one.press(one.say("go_off"), "section.off");
    await one.sees(one.say("gone_off"));
    await two.sees(two.say("nobody_on_call"));
    await two.picture("nobody");
  });

  await step("the relay's page is as published; a notice is raised and voided", async () => {
    await one.go("devices");
    await one.sees(one.say("page_as_published"));
    await one.picture("devices");
    await one.press(one.say("bulletin_raise"));
    await one.sees(one.say("bulletin_raise_says"));
    await one.press(one.say("bulletin_raise"));
    await one.sees(one.say("bulletin_raised", { n: 1, of: 1 }));
    const read = await line.caller("read", { phrase: await newWords(), codes: [0, 6] });
    assert.ok(read.some((told) => told.event === "bulletin" && told.code === 1), JSON.stringify(read));
    await one.press(one.say("bulletin_void"));
    await one.sees(one.say("bulletin_void_says"));
    await one.press(one.say("bulletin_void"));
    await one.sees(one.say("bulletin_voided"));
  });

  await step("a vault is burned from its board, and the team sees that the device is gone", async () => {
    await three.go("devices");
    await three.press(three.say("burn"), "section.burn");
    await three.fill(three.say("burn_field"), "something else");
    await three.press(three.say("burn"));
    await three.sees(three.say("burn_not"));
    await three.press(three.say("burn"), "section.burn");
    await three.fill(three.say("burn_field"), three.say("burn_word"));
    await three.press(three.say("burn"));
    await three.sees(three.say("burned"));
    await three.program.hears(/"event":"burned"/);
    await one.sees(one.say("revoked"));
  });

  for (const board of boards) assert.deepEqual(board.browser.complaints.filter((text) => !/409|401|423|ERR_|Failed to load/.test(text)), []);
});
