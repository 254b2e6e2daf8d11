// A whole line for the page's tests: a relay, a desk, and a caller's letter that goes through the wire.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Line } from "./harness/line.js";
import { APPLICATION_DATA, Wire } from "./harness/wire.js";

test("a letter reaches the desk of a line made for the test, over the wire before its relay", async () => {
  /** @type {Wire | undefined} */
  let wire;
  const through = async (/** @type {string} */ relay) => (wire = await Wire.lay(relay)).address;
  const line = await Line.found({ through });
  try {
    assert.match(line.url, /^https:\/\/127\.0\.0\.1:\d+\/\S+$/);
    const [drawn] = await line.caller("new", {});
    const desk = await line.watch();
    const said = await line.caller("checkin", { phrase: drawn.phrase }, "--status", "talk", "--text", "여보세요", "--wait", "40s");
    assert.ok(said.some(({ event }) => event === "receipt"));
    await desk.stop();
    const [row] = await line.desk("desk list");
    const letters = await line.desk("desk show", row.id);
    assert.deepEqual(letters.map(({ text }) => text), ["여보세요"]);
    const posts = wire?.notes().filter(({ upward, type }) => upward && type === APPLICATION_DATA) || [];
    assert.ok(posts.length > 1);
  } finally {
    await line.dispose();
    await wire?.remove();
  }
});
