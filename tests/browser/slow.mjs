// How long she waits: on a slow network, and on a slow telephone. Prints figures; nothing here passes or fails.
//
//     node tests/browser/slow.mjs
import { pause } from "./harness/browser.js";
import { launch } from "./harness/browsers.js";
import { Her } from "./harness/her.js";
import { Line } from "./harness/line.js";
import { Wire } from "./harness/wire.js";

/** A bad mobile network: 64 kbit/s, 600 ms there and back, one packet in twenty lost. */
const WEATHER = { kbit: 64, delayMs: 600, loss: 0.05, seed: 1 };
/** Times that a slow telephone's processor is slower than this one. */
const SLOWER = 6;
const PATIENCE = 300_000;

/** @type {Wire[]} */
const wires = [];
const line = await Line.found({
  pace: "usual",
  through: async (relay) => {
    const wire = await Wire.lay(relay);
    wires.push(wire);
    return wire.address;
  },
});
const watch = await line.watch();

/** @param {import("./harness/browsers.js").AnyBrowser} browser @param {string} screen */
const screen = (browser, screen) =>
  browser.waitAtMost(PATIENCE, (wanted) => /** @type {any} */ (document.querySelector("#screen")).dataset.screen === wanted, screen);

/**
 * From the link to the second tick, as a caller who knows what to tap.
 * @param {import("./harness/browsers.js").AnyBrowser} browser
 * @param {number} from
 */
async function ticks(browser, from) {
  const her = new Her(browser, "zh");
  const since = () => ((performance.now() - from) / 1000).toFixed(1);
  await screen(browser, "hello");
  console.log(`    first screen ${since()} s`);
  await her.choose("first_time");
  await screen(browser, "truth");
  await her.choose("go_on");
  await screen(browser, "statuses");
  await her.choose("ok");
  await her.choose("send");
  await her.hears(her.say("in_the_box"), PATIENCE).catch(() => her.hears(her.say("arrived"), 1000));
  console.log(`    first tick ${since()} s (aim 40 s)`);
  await her.hears(her.say("arrived"), PATIENCE);
  console.log(`    second tick ${since()} s (aim 75 s)`);
}

try {
  for (let seed = 1; seed <= 3; seed += 1) {
    const browser = await launch("chromium", { pin: line.relay.pin });
    console.log(`slow network (${WEATHER.kbit} kbit/s, ${WEATHER.delayMs} ms, ${WEATHER.loss * 100} % loss, seed ${seed}), a desk that is always on:`);
    wires.forEach((wire) => wire.weather({ ...WEATHER, seed }));
    const from = performance.now();
    const opened = browser.open(line.url);
    await opened;
    await ticks(browser, from);
    await browser.dispose();
  }
  wires.forEach((wire) => wire.weather({}));
  for (const name of /** @type {const} */ (["chromium", "chromium-67"])) {
    const browser = await launch(name, { pin: line.relay.pin });
    await browser.open("about:blank");
    await browser.cpuThrottle(SLOWER);
    const from = performance.now();
    await browser.open(line.url);
    await screen(browser, "hello");
    console.log(`${name}, processor ${SLOWER} times slower: first screen ${((performance.now() - from) / 1000).toFixed(2)} s (aim 1.5 s)`);
    await pause(3000);
    const { strings } = new Her(browser, "zh");
    const tapped = new Her(browser, "zh");
    await tapped.choose("been_before");
    await screen(browser, "truth");
    await tapped.choose("go_on");
    await screen(browser, "entry");
    for (let word = 0; word < 7; word += 1) await twoTaps(browser);
    await browser.tap(".pad button:nth-child(1)");
    await browser.tap(".pad button:nth-child(1)");
    const known = performance.now();
    const yes = /** @type {string} */ (strings["yes_mine"]);
    await browser.waitAtMost(PATIENCE, (said) => (/** @type {Element} */ (document.querySelector("#screen")).textContent || "").includes(said), yes);
    console.log(`${name}, processor ${SLOWER} times slower: words to pictures (Argon2id and all) ${((performance.now() - known) / 1000).toFixed(2)} s (aim 1.5 s)`);
    await browser.dispose();
  }
} finally {
  await watch.stop();
  await line.dispose();
  await Promise.all(wires.map((wire) => wire.remove()));
}

/** @param {import("./harness/browsers.js").AnyBrowser} browser */
async function twoTaps(browser) {
  await browser.tap(".pad button:nth-child(1)");
  await browser.tap(".pad button:nth-child(1)");
}
