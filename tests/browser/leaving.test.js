// Leaving, and everything that does not go as it should: what the page shows then, and that nothing of hers is left on it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { pause } from "./harness/browser.js";
import { launch } from "./harness/browsers.js";
import { axe, Her, TONGUES } from "./harness/her.js";
import { Line } from "./harness/line.js";
import { Wire } from "./harness/wire.js";

const TEXT = "marker tofu 4711";

/** @type {Line} */
let line;
/** @type {Wire} */
let wire;
/** @type {import("./harness/program.js").Program} */
let watch;

before(async () => {
  line = await Line.found({ through: async (relay) => (wire = await Wire.lay(relay)).address });
  watch = await line.watch();
});

after(async () => {
  await watch?.stop();
  await line?.dispose();
  await wire?.remove();
});

/**
 * @param {import("./harness/browsers.js").Name} name
 * @param {(browser: any) => Promise<void>} act
 */
async function within(name, act) {
  const browser = await launch(name, { pin: line.relay.pin });
  try {
    await act(browser);
  } finally {
    await browser.dispose();
  }
}

/**
 * At the page, with a text in its field.
 * @param {any} browser
 */
async function typing(browser) {
  const her = new Her(browser, "en");
  await her.arrive(line.url);
  await her.begin();
  await her.checkIn("ok");
  await her.arrived();
  await her.choose("write_words");
  await her.at("write");
  await browser.tap("textarea");
  await browser.type(TEXT);
  assert.equal(await browser.evaluate(() => /** @type {any} */ (document.querySelector("textarea")).value), TEXT);
  return her;
}

/** In the page: what could still be read of her. */
function left() {
  const area = document.querySelector("textarea");
  const cover = document.querySelector("#cover");
  return { place: location.href, text: document.body.innerText.trim(), typed: area ? area.value : "", covered: cover instanceof HTMLElement && !cover.hidden };
}

/** @param {any} browser */
async function isGone(browser) {
  await browser.waitFor(() => location.href === "about:blank");
  await browser.back();
  const found = await browser.evaluate(left);
  assert.ok(!JSON.stringify(found).includes(TEXT), `Back shows ${JSON.stringify(found)}`);
}

for (const name of /** @type {const} */ (["chromium", "firefox"])) {
  test(`${name}: Close, Esc and three times Shift each leave at once, and Back brings nothing back`, () =>
    within(name, async (browser) => {
      for (const keys of [[], ["Escape"], ["Shift", "Shift", "Shift"]]) {
        const her = await typing(browser);
        if (keys.length === 0) await her.choose("close");
        for (const key of keys) await browser.press(key);
        await isGone(browser);
      }
    }));

  test(`${name}: out of sight it is covered at once; for long, everything is gone`, () =>
    within(name, async (browser) => {
      await typing(browser);
      await browser.hide();
      assert.ok((await browser.evaluate(left)).covered);
      await browser.show();
      await browser.waitFor(() => /** @type {any} */ (document.querySelector("#cover")).hidden);
      assert.equal((await browser.evaluate(left)).typed, TEXT, "a moment away costs nothing");
      // Half a minute of the clock, moved on and not waited for.
      await browser.hide();
      await browser.evaluate(() => {
        const now = Date.now.bind(Date);
        Date.now = () => now() + 31000;
      });
      await browser.show();
      await isGone(browser);
    }));
}

test("chromium: without a network Close covers, wipes, and stays on the cover until the dull page can be reached", async () => {
  /** @type {Wire | undefined} */
  let thin;
  // The dull page is what the relay shows at its root.
  const options = ["--leave-to", ""];
  const through = async (/** @type {string} */ relay) => {
    thin = await Wire.lay(relay);
    options[1] = `https://${thin.address}/`;
    return thin.address;
  };
  const other = await Line.found({ through, options });
  const browser = /** @type {any} */ (await launch("chromium", { pin: other.relay.pin }));
  try {
    const her = new Her(browser, "en");
    await her.arrive(other.url);
    await her.begin();
    await her.choose("ok");
    await her.at("ready");
    thin?.drop();
    const hasFailed = () => browser.made.some((/** @type {any} */ { failed }) => failed);
    await browser.until(async () => hasFailed(), "a request that fails");
    await her.choose("close");
    const found = await browser.evaluate(left);
    assert.deepEqual(found, { place: other.url, text: "", typed: "", covered: true });
    thin?.mend();
    await browser.waitFor((/** @type {string} */ dull) => location.href === dull, options[1]);
  } finally {
    await browser.dispose();
    await other.dispose();
    await thin?.remove();
  }
});

test("chromium: a letter that meets no relay says so, and goes when there is one", () =>
  within("chromium", async (browser) => {
    const her = new Her(browser, "en", "en-360-away");
    await her.arrive(line.url);
    await her.begin();
    wire.drop();
    try {
      await her.checkIn("help");
      await her.hears(her.say("not_yet"));
      await her.at("sent");
    } finally {
      wire.mend();
    }
    await her.choose("try_again");
    await her.arrived();
    await her.leave();
  }));

test("chromium: wrong words, forgotten words, and the other screens that are seldom seen", () =>
  within("chromium", async (browser) => {
    for (const tongue of TONGUES) {
      const her = new Her(browser, tongue, `${tongue}-360-seldom`);
      await her.arrive(line.url);
      await her.begin();
      await her.choose("help");
      await her.at("ready");
      await her.hears(her.say("cannot_come"));
      await her.choose("send");
      await her.at("sent");
      await her.choose("my_words");
      await her.at("teach0");
      await her.choose("go_on");
      await her.at("teach1");
      await her.choose("go_on");
      await her.at("tap_back");
      for (let word = 0; word < 8; word += 1) {
        await browser.tap(".pad button:nth-child(1)");
        await browser.tap(".pad button:nth-child(1)");
      }
      await her.at("not_learned");
      await her.leave();

      const again = new Her(browser, tongue, `${tongue}-360-forgot`);
      await again.arrive(line.url);
      await again.choose("been_before");
      await again.at("truth");
      await again.choose("go_on");
      await again.at("entry");
      await again.choose("by_sound");
      await again.at("entry");
      await browser.tap(".pad button:nth-child(2)");
      await again.at("entry");
      await again.choose("back_one");
      await again.choose("forgot_words");
      await again.at("forgot");
      await again.choose("back_one");
      await again.at("entry");
      await again.leave();
    }
  }));

test("chromium: what the line signs is shown: closed until, and a bulletin before anything else", () =>
  within("chromium", async (browser) => {
    await watch.stop();
    await line.desk("line bulletin", "--code", "1", "--closed-for", "2d");
    watch = await line.watch();
    const told = async (/** @type {Her} */ her) => {
      await her.at("bulletin");
      assert.ok((await browser.text("#screen")).includes(her.say("bulletin_1")));
      await her.choose("go_on");
    };
    for (const tongue of TONGUES) {
      const her = new Her(browser, tongue, `${tongue}-360-closed`);
      await her.arrive(line.url);
      await her.choose("first_time");
      await told(her);
      await her.at("truth");
      await her.choose("go_on");
      await her.at("statuses");
      await her.checkIn("ok");
      await her.arrived();
      await her.hears(String(her.say("closed_until").split("{date}")[0]));
      const words = await her.learn();
      await her.leave();
      const again = new Her(browser, tongue, `${tongue}-360-bulletin`);
      await again.arrive(line.url);
      await again.choose("been_before");
      await told(again);
      await again.at("truth");
      await again.choose("go_on");
      await again.at("entry");
      await again.enter(words);
      await again.hears(again.say("yes_mine"));
      await again.choose("yes_mine");
      await again.at("hub");
      await again.leave();
    }
    await watch.stop();
    await line.desk("line bulletin", "--none");
    watch = await line.watch();
  }));

test("chromium: two ticks are said when the desk has it, and not while only the relay does", () =>
  within("chromium", async (browser) => {
    await watch.stop();
    const her = new Her(browser, "en");
    await her.arrive(line.url);
    await her.begin();
    await her.checkIn("ok");
    await her.hears(her.say("in_the_box"));
    const posts = () => browser.requests().filter((/** @type {any} */ { method }) => method === "POST").length;
    for (let seen = 0; seen < 20; seen += posts()) {
      assert.ok(!(await browser.text("#screen")).includes(her.say("arrived")), "nobody has it");
      await pause(100);
    }
    await her.at("sent");
    watch = await line.watch();
    await her.arrived();
    await her.leave();
  }));

test("chromium: a bulletin that is raised meanwhile takes the place of whatever she does, once, and her text is there again", () =>
  within("chromium", async (browser) => {
    const her = await typing(browser);
    const says = async (/** @type {string[]} */ ...args) => {
      await watch.stop();
      await line.desk("line bulletin", ...args);
      watch = await line.watch();
    };
    await says("--code", "1");
    await her.at("bulletin");
    assert.ok((await browser.text("#screen")).includes(her.say("bulletin_1")));
    await her.choose("go_on");
    await her.at("write");
    assert.equal(await browser.evaluate(() => /** @type {any} */ (document.querySelector("textarea")).value), TEXT);
    await her.choose("send");
    await her.arrived();
    await her.choose("more");
    await her.at("more");
    // Another is taken down before she has put it away.
    await says("--code", "1");
    await her.at("bulletin");
    await says("--none");
    await her.at("more");
    await her.leave();
  }));

test("chromium: in WeChat, and where WebAssembly is missing, it says where to go and asks for nothing", () =>
  within("chromium", async (browser) => {
    const sources = ['Object.defineProperty(navigator, "userAgent", { value: "Mozilla/5.0 MicroMessenger/8.0" });', "delete self.WebAssembly;"];
    for (const source of sources) {
      const { identifier } = await browser.page.send("Page.addScriptToEvaluateOnNewDocument", { source });
      browser.requests();
      await browser.open(line.url);
      const her = new Her(browser, "zh", `zh-360-${source.startsWith("delete") ? "old" : "wechat"}`);
      await her.at("elsewhere");
      assert.deepEqual(browser.requests().map((/** @type {any} */ { path }) => path), [`/${line.gate}`], "the document and nothing else");
      await browser.page.send("Page.removeScriptToEvaluateOnNewDocument", { identifier });
    }
  }));

test("chromium: nothing for axe to find, and twice the text fits", (t) =>
  within("chromium", async (browser) => {
    const her = new Her(browser, "ko");
    await her.arrive(line.url);
    /** @type {(() => Promise<void>)[]} */
    const steps = [
      async () => {},
      () => her.begin(),
      () => her.checkIn("talk"),
      async () => {
        await her.choose("my_words");
        await her.at("teach0");
      },
      async () => {
        await her.choose("go_on");
        await her.at("teach1");
        await her.choose("go_on");
        await her.at("tap_back");
      },
    ];
    for (const step of steps) {
      await step();
      const screen = await browser.evaluate(() => /** @type {any} */ (document.querySelector("#screen")).dataset.screen);
      const found = await axe(browser);
      assert.deepEqual(found, [], screen);
      await browser.evaluate(() => (document.documentElement.style.fontSize = "200%"));
      const page = await browser.evaluate(() => {
        const close = /** @type {Element} */ (document.querySelector("#close"));
        const { scrollWidth: wide, clientWidth: width, clientHeight: height } = document.documentElement;
        return { wide, width, close: close.getBoundingClientRect().bottom, height };
      });
      assert.ok(page.wide <= page.width && page.close <= page.height, `${screen} at 200 %: ${JSON.stringify(page)}`);
      await browser.evaluate(() => (document.documentElement.style.fontSize = ""));
      t.diagnostic(`${screen}: no violation; fits at 200 %`);
    }
  }));
