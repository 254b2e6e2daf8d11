// Callers at the page, in real browsers, with a real relay and a real desk: a first visit, its answer, leaving, and coming back.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { pause } from "./harness/browser.js";
import { launch } from "./harness/browsers.js";
import { Her, inTongue, TONGUES } from "./harness/her.js";
import { Line } from "./harness/line.js";
import { never } from "./harness/never.js";

/** What she writes, in each language: nothing of it is a forbidden word. */
const LETTER = { zh: "我很好，谢谢。", ko: "저는 괜찮아요, 고맙습니다.", en: "I am fine, thank you." };
/** What the desk answers. */
const ANSWER = { zh: "收到了。慢慢来。", ko: "잘 받았어요. 천천히 하세요.", en: "We have it. Take your time." };
const SECOND = { zh: "我们一直在。", ko: "우리는 늘 여기 있어요.", en: "We are always here." };
/** Phones: what most have, and a small old one. */
const SIZES = /** @type {const} */ ([[360, 640], [320, 480]]);
const GATE = "abcd2345";

/** @type {Line} */
let line;
/** @type {import("./harness/program.js").Program} */
let watch;

before(async () => {
  line = await Line.found({ options: ["--answer-within", "hour", "--gate", GATE, "--door", `https://second.example/${GATE}`] });
  watch = await line.watch();
});

after(async () => {
  await watch?.stop();
  await line?.dispose();
});

/**
 * Runs something in a browser of its own.
 * @param {import("./harness/browsers.js").Name} name
 * @param {import("./harness/browser.js").Start} start
 * @param {(browser: import("./harness/browsers.js").AnyBrowser) => Promise<void>} act
 */
async function within(name, start, act) {
  const browser = await launch(name, { pin: line.relay.pin, ...start });
  try {
    await act(browser);
    // Old ones say which words of the policy they do not know. And a day may pass out of the track between asking and answering.
    const own = browser.complaints.filter((text) => !/Content.Security.Policy|Permissions-Policy|Cleared data types|404 .*\/v1\/down\/slow\/\d+\)$/.test(text));
    assert.deepEqual(own, [], `${name} complains`);
  } finally {
    await browser.dispose();
  }
}

/**
 * Waits until the desk knows that she has read every answer.
 * @param {string} id
 */
async function named(id) {
  const until = Date.now() + 60_000;
  const waits = async () => (await line.desk("desk show", id)).some((item) => item.kind === "answer" && item.state !== "seen");
  while (await waits()) {
    assert.ok(Date.now() < until, "the desk has not heard that she read it");
    await pause(200);
  }
}

/** Words as wide as they come, in each language. */
const WIDE = "phonograph woodpecker megaphone watermelon snapdragon greenhouse hobbyhorse gymnasium".split(" ");

for (const tongue of TONGUES) {
  for (const [width, height] of SIZES) {
    test(`${tongue}, ${width} by ${height}: the widest words fit`, () =>
      within("chromium", { width, height }, async (browser) => {
        const her = new Her(browser, tongue, `${tongue}-${width}-wide`);
        await her.arrive(line.url);
        await her.choose("been_before");
        await her.at("truth");
        await her.choose("go_on");
        await her.at("entry");
        await her.enter(inTongue(WIDE, "en", tongue));
      }));
  }
}

for (const tongue of TONGUES) {
  for (const [width, height] of SIZES) {
    test(`${tongue}, ${width} by ${height}: she is heard, learns her words, leaves, comes back and reads`, (t) =>
      within("chromium", { width, height }, async (browser) => {
        const her = new Her(browser, tongue, `${tongue}-${width}`);
        await her.arrive(line.url);
        await her.begin();
        await her.choose("talk");
        await her.at("ready");
        await her.choose("next_when");
        await her.at("when");
        await her.choose("next_tomorrow");
        await her.at("ready");
        await her.choose("how_to_answer");
        await her.at("manner");
        await her.choose("relative");
        await her.at("manner");
        await her.choose("go_on");
        await her.at("ready");
        await her.choose("send");
        await her.at("sent");
        await her.arrived();
        await her.hears(her.say("answer_within_1"));
        const words = await her.learn();
        await her.choose("go_on");
        await her.at("door");
        assert.match(await browser.text(".address"), /second\.example/);
        await her.choose("go_on");
        await her.at("sent");
        await her.choose("write_words");
        await her.at("write");
        await browser.tap("textarea");
        const said = `${LETTER[tongue]} ${width}`;
        await browser.type(said);
        await her.choose("send");
        await her.arrived();
        const id = await line.whoWrote(said);
        await line.desk("desk answer", id, "--text", ANSWER[tongue]);
        await her.hears(her.say("read_answer"));
        assert.equal(await her.read(), ANSWER[tongue]);
        await her.choose("hide");
        await her.at("sent");
        await her.choose("more");
        await her.at("more");
        await her.choose("someone_else");
        await her.at("write");
        await her.choose("back_one");
        await her.at("sent");
        // What the desk has not heard of comes again, and would be read first.
        await named(id);
        await her.leave();
        await browser.back().catch(() => {});
        const text = await browser.text();
        for (const one of [...words, said, ANSWER[tongue]]) never(text.includes(one), "Back shows what was closed");

        await line.desk("desk answer", id, "--text", SECOND[tongue]);
        const again = new Her(browser, tongue, `${tongue}-${width}-back`);
        await again.arrive(line.url);
        await again.comeBack(words);
        await again.at("hub");
        await again.hears(again.say("read_answer"));
        await again.at("hub");
        assert.equal(await again.read(), SECOND[tongue]);
        await again.choose("hide");
        await again.at("hub");
        await again.choose("more");
        await again.at("more");
        await again.leave();
        t.diagnostic(`${tongue}: ${her.taps} and ${again.taps} taps`);
      }));
  }
}

/**
 * She writes a few words, and has not sent them.
 * @param {Her} her
 * @param {string} text
 */
async function writes(her, text) {
  await her.choose("write_words");
  await her.at("write");
  await her.browser.tap("textarea");
  await her.browser.type(text);
}

test("chromium: a stop is said wherever she is: after she has read what it stops, while she reads it, and while she writes", () =>
  within("chromium", {}, async (browser) => {
    const her = new Her(browser, "en", "en-360-stop");
    await her.arrive(line.url);
    await her.begin();
    await her.checkIn("ok");
    await her.arrived();
    await writes(her, "Where shall I go?");
    await her.choose("send");
    await her.at("sent");
    await her.arrived();
    const id = await line.whoWrote("Where shall I go?");
    /** @param {string} where she comes to read it */
    const isStopped = async (where) => {
      await line.desk("desk answer", id, "--stop");
      await her.at("stop");
      await her.hears(her.say("stop_do_not_go"));
      await her.choose("read_answer");
      await her.at(where);
      await her.hears(her.say("stop_do_not_go"));
      await her.choose("hide");
    };

    await line.desk("desk answer", id, "--text", "At the bridge.");
    await her.hears(her.say("read_answer"));
    assert.equal(await her.read(), "At the bridge.");
    await her.choose("hide");
    await her.at("sent");
    await writes(her, "I am coming.");
    await her.choose("send");
    await her.at("sent");
    await isStopped("read0");
    await her.at("sent");

    await line.desk("desk answer", id, "--text", "At the mill.");
    await her.hears(her.say("read_answer"));
    await her.choose("read_answer");
    await her.at("read1");
    assert.equal(await browser.text(".letter"), "At the mill.");
    await isStopped("read1");
    await her.at("sent");
    never((await browser.text()).includes("At the mill."), "what was stopped is shown");

    await writes(her, "And now?");
    await isStopped("read2");
    await her.at("write");
    const typed = () => /** @type {any} */ (document.querySelector("textarea")).value;
    assert.equal(await browser.evaluate(typed), "And now?", "what she wrote is there again");
    await her.leave();
  }));

test("chromium: an answer that she did not open is there when she comes back, and only then the desk hears that it was shown", () =>
  within("chromium", {}, async (browser) => {
    const her = new Her(browser, "en");
    await her.arrive(line.url);
    await her.begin();
    await her.checkIn("ok");
    await her.arrived();
    const words = await her.learn();
    await her.choose("go_on");
    await her.at("door");
    await her.choose("go_on");
    await her.at("sent");
    await writes(her, "Is anybody there?");
    await her.choose("send");
    await her.at("sent");
    await her.arrived();
    const id = await line.whoWrote("Is anybody there?");
    await line.desk("desk answer", id, "--text", "We are.");
    await her.hears(her.say("read_answer"));
    // By the time this has arrived, posts have gone in which it could have been named.
    await writes(her, "I look later.");
    await her.choose("send");
    await her.at("sent");
    await her.arrived();
    const answer = async () => (await line.desk("desk show", id)).find((item) => item.kind === "answer");
    assert.equal((await answer()).state, "with_the_relay");
    await her.leave();

    const again = new Her(browser, "en");
    await again.arrive(line.url);
    await again.comeBack(words);
    await again.at("hub");
    await again.hears(again.say("read_answer"));
    assert.equal(await again.read(), "We are.");
    await named(id);
    await again.leave();
  }));

test("chromium: what one room holds is not shown in another, and words that are not hers take nothing from hers", () =>
  within("chromium", {}, async (browser) => {
    const her = new Her(browser, "en");
    await her.arrive(line.url);
    await her.begin();
    await her.checkIn("ok");
    await her.arrived();
    const words = await her.learn();
    await her.choose("go_on");
    await her.at("door");
    await her.choose("go_on");
    await her.at("sent");
    await writes(her, "I come back tomorrow.");
    await her.choose("send");
    await her.at("sent");
    await her.arrived();
    const id = await line.whoWrote("I come back tomorrow.");
    await her.leave();
    await line.desk("desk answer", id, "--text", "Good.");

    /** @param {string[]} given */
    const gives = async (given) => {
      await her.at("entry");
      await her.enter(given);
      await her.hears(her.say("yes_mine"));
      await her.at("recognise");
    };
    /** @param {string[][]} rooms words given one after the other; the last are hers, she says */
    const visits = async (...rooms) => {
      await her.arrive(line.url);
      await her.choose("been_before");
      await her.at("truth");
      await her.choose("go_on");
      for (const [nth, given] of rooms.entries()) {
        if (nth > 0) await her.choose("not_mine");
        await gives(given);
      }
      await her.choose("yes_mine");
      await her.at("hub");
    };
    // She does not open it, so that it is there the next time.
    await visits(words);
    await her.hears(her.say("answer_for_you"));
    never((await browser.text()).includes("I come back tomorrow."), "her words show what she sent");
    await her.leave();
    const harmless = words.slice().reverse();
    await visits(words, harmless);
    await her.hears(her.say("no_answer_yet"));
    never((await browser.text()).includes(her.say("read_answer")), "an answer of hers in the harmless room");
    await her.leave();
    await visits(harmless, words);
    await her.hears(her.say("answer_for_you"));
    await her.leave();
  }));

/** Taps of somebody who knows her words, from the link to ✓. */
const TAPS_MOST = 22;

for (const name of /** @type {const} */ (["firefox", "chromium-92", "chromium-78", "chromium-67"])) {
  test(`${name}: she is heard and answered, and comes back`, (t) =>
    within(name, {}, async (browser) => {
      const tongue = "zh";
      const her = new Her(browser, tongue, `${name}`);
      await her.arrive(line.url);
      await her.begin();
      await her.checkIn("ok");
      await her.arrived();
      const words = await her.learn();
      await her.choose("go_on");
      await her.at("door");
      await her.choose("go_on");
      await her.at("sent");
      await her.choose("write_words");
      await her.at("write");
      await browser.tap("textarea");
      const said = `${LETTER[tongue]} ${name}`;
      await browser.type(said);
      await her.choose("send");
      await her.arrived();
      await line.desk("desk answer", await line.whoWrote(said), "--text", ANSWER[tongue]);
      await her.hears(her.say("read_answer"));
      assert.equal(await her.read(), ANSWER[tongue]);
      await her.leave();
      const again = new Her(browser, tongue);
      await again.arrive(line.url);
      await again.comeBack(words);
      await again.at("hub");
      await again.choose("check_in");
      await again.at("statuses");
      await again.checkIn("ok");
      await again.hears(again.say("in_the_box")).catch(() => again.hears(again.say("arrived")));
      t.diagnostic(`${name}: ${again.taps} taps from the link to the first tick (aim ${TAPS_MOST})`);
      assert.ok(again.taps <= TAPS_MOST, `${again.taps} taps`);
      await again.leave();
    }));
}
