// Each browser does what the page's tests will ask of it, on a page of the tests' own.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { BROWSERS, launch, UNPACKED } from "./harness/browsers.js";
import { Fixture } from "./harness/fixture.js";
import { computed } from "./harness/program.js";
import { APPLICATION_DATA, Wire } from "./harness/wire.js";

/** What each must call itself at least: newer ones of Debian's are welcome, the old ones are what they are. */
const VERSIONS = {
  chromium: /Chrome\/1[5-9]\d\./,
  firefox: /^Firefox\/1[4-9]\d\./,
  "chromium-92": /Chrome\/92\./,
  "chromium-78": /Chrome\/78\./,
  "chromium-67": /Chrome\/67\./,
};
const TODAYS = /** @type {const} */ (["chromium", "firefox"]);
/** @type {Fixture} */
let fixture;
before(async () => (fixture = await Fixture.open()));
after(() => fixture.close());

/** In the page: what it has told under a name. */
const told = (/** @type {string} */ name) => document.getElementById("told")?.getAttribute(`data-${name}`) ?? null;

for (const name of BROWSERS) {
  test(`${name} loads, computes, is tapped, is seen and is heard`, async (t) => {
    const wire = await Wire.lay(fixture.site.address);
    const browser = await launch(name, { pin: fixture.pin });
    try {
      t.diagnostic(`${name} is ${browser.version}`);
      assert.match(browser.version, VERSIONS[name]);
      await browser.open(`https://${wire.address}/page.html`);
      // Old ones do not know `?.`: what runs in them is written as they want it.
      const ready = (/** @type {string} */ what) => (document.getElementById("told") || document.body).getAttribute(`data-${what}`);
      await browser.waitFor(ready, "ready");
      assert.equal(JSON.parse(String(await browser.evaluate(ready, "drawn"))).length, 8, "the core drew eight words");
      await browser.tap("#tap");
      await browser.waitFor(ready, "taps");
      assert.equal(await browser.evaluate(ready, "taps"), "1");
      assert.equal(await browser.evaluate(ready, "touched"), "yes", "a finger, not a mouse");
      assert.equal(await browser.text("#told"), "감사합니다 · 谢谢 · 🍊");
      await browser.press("Escape");
      assert.equal(await browser.evaluate(ready, "key"), "Escape");
      assert.deepEqual(await browser.evaluate(() => [innerWidth, innerHeight]), [360, 640]);
      await browser.screenshot(`${UNPACKED}/screenshots/fixture-${name}-360x640.png`);
      await browser.viewport(320, 480);
      assert.deepEqual(await browser.evaluate(() => [innerWidth, innerHeight]), [320, 480]);

      const post = browser.requests().find(({ method }) => method === "POST");
      assert.deepEqual([post?.path, post?.bytes, post?.status], ["/post", 2080, 200]);
      assert.equal(new Set(wire.notes().filter(({ type }) => type === APPLICATION_DATA).map(({ upward }) => upward)).size, 2);
      assert.deepEqual(browser.complaints.filter((said) => !said.includes("favicon")), []);
      await browser.kill9();
      assert.ok(browser.program.ended);
    } finally {
      await browser.dispose();
      await wire.remove();
    }
  });

  test(`${name} is made slow, its workers too`, async (t) => {
    const browser = await launch(name, { pin: fixture.pin });
    try {
      await browser.open(`${fixture.site.origin}/page.html`);
      const count = () =>
        new Promise((resolve) => {
          const worker = new Worker("worker.js");
          worker.onmessage = ({ data }) => (worker.terminate(), resolve(data.ms));
          worker.postMessage(100000000);
        });
      // A busy machine stretches what a clock says, and a start computes more than the work: the least of these is nearest.
      const costs = [];
      for (let run = 0; run < 3; run += 1) {
        const before = computed(browser.pages());
        costs.push(Number(await browser.evaluate(count)), computed(browser.pages()) - before);
      }
      const fast = Math.min(...costs);
      await browser.cpuThrottle(6);
      const slow = Number(await browser.evaluate(count));
      await browser.cpuThrottle(1);
      t.diagnostic(`${name}: ${fast.toFixed(0)} ms of work took ${slow.toFixed(0)} ms: ${(slow / fast).toFixed(1)} times`);
      // About six; a throttle that misses workers gives one.
      assert.ok(slow > 3 * fast);
    } finally {
      await browser.dispose();
    }
  });
}

for (const name of TODAYS) {
  test(`${name} goes back, is put behind and brought back`, async () => {
    const browser = await launch(name, { pin: fixture.pin });
    try {
      await browser.open(`${fixture.site.origin}/page.html`);
      await browser.open(`${fixture.site.origin}/keeps.html`);
      assert.equal(await browser.back(), true);
      await browser.waitFor(() => location.pathname === "/page.html");
      await browser.waitFor(told, "shown");
      await browser.hide();
      await browser.show();
      await browser.back();
      assert.equal(await browser.back(), false, "there is nothing before about:blank");
    } finally {
      await browser.dispose();
    }
  });
}
