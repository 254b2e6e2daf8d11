// When a browser has written what it writes of what is typed: both keep their session by a timer, and nothing tells that something is not written.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { pause } from "./browser.js";
import { launch } from "./browsers.js";
import { Fixture } from "./fixture.js";
import { search } from "./traces.js";

/** How long a browser may take to write what is typed into a plain field, in milliseconds. */
export const WRITING_MS = 90_000;

/**
 * Types into a plain field of a careless page in a browser of its own, and waits until that is on the disk: then whatever
 * the other browser would have written of the same kind is on the disk, too.
 * @param {"chromium" | "firefox"} name
 */
export async function whenPlainTextIsWritten(name) {
  const typed = `plain ${randomBytes(6).toString("hex")}`;
  const fixture = await Fixture.open({ gzip: "gzip", brotli: "brotli" });
  const browser = await launch(name, { pin: fixture.pin });
  try {
    await browser.open(`${fixture.site.origin}/keeps.html`);
    await browser.tap("#plain");
    await browser.type(typed);
    const from = Date.now();
    while (search(browser.home, [{ name: "typed", what: typed }]).length === 0) {
      assert.ok(Date.now() - from < WRITING_MS, `${name} has not written a plain field in ${WRITING_MS / 1000} s: the search proves nothing`);
      await pause(500);
    }
  } finally {
    await browser.dispose();
    await fixture.close();
  }
}
