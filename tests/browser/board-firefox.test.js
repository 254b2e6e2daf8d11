// The board in Firefox: it opens, a caller is read, answered and undone, and a lock hides her.
import assert from "node:assert/strict";
import { test } from "node:test";
import { launch } from "./harness/browsers.js";
import { PROGRAMS } from "./harness/line.js";
import { Program } from "./harness/program.js";

test("firefox: open, read, write, undo, lock", { timeout: 120_000 }, async () => {
  const program = new Program(`${PROGRAMS}/porchlight`, ["desk", "open", "--practice", "--json"]);
  const [, link] = await program.hears(/"link":"([^"]+)"/);
  const browser = await launch("firefox", { width: 1280, height: 800 });
  try {
    await browser.open(String(link));
    await browser.waitFor(() => document.querySelectorAll(".rows li").length > 3);
    assert.equal(await browser.evaluate(() => location.hash), "");
    await browser.evaluate(() => {
      const rows = [...document.querySelectorAll(".rows li")];
      const plain = rows.find((row) => !/do not answer|as a relative/.test(String(row.textContent)));
      /** @type {HTMLElement | null | undefined} */ (plain?.querySelector(".row"))?.click();
    });
    await browser.waitFor(() => document.querySelectorAll(".thread .item").length > 0);
    await browser.evaluate(() => /** @type {HTMLElement} */ (document.getElementById("answer")).focus());
    await browser.type("Take your time.");
    await browser.waitFor(() => !(/** @type {HTMLButtonElement} */ (document.getElementById("send")).disabled));
    await browser.evaluate(() => /** @type {HTMLElement} */ (document.getElementById("send")).click());
    await browser.waitFor(() => /Undo/.test(String(document.querySelector(".undoing")?.textContent)));
    await browser.evaluate(() => /** @type {HTMLElement | null} */ (document.querySelector(".undoing button"))?.click());
    await browser.waitFor(() => /** @type {HTMLTextAreaElement} */ (document.getElementById("answer")).value === "Take your time.");
    await browser.evaluate(() => {
      const lock = [...document.querySelectorAll("nav button")].find((one) => /^Lock/.test(String(one.textContent)));
      /** @type {HTMLElement | undefined} */ (lock)?.click();
    });
    await browser.waitFor(() => document.body.innerText.includes("Locked"));
    assert.ok(!(await browser.text()).includes("Take your time"));
    await browser.screenshot(new URL("../../target/browsers/screenshots/board/firefox.png", import.meta.url).pathname);
  } finally {
    await browser.dispose();
    await program.stop();
  }
});
