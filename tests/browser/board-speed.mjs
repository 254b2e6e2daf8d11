// How long a board takes to open with many callers, and its frames while 500 of them go by. By name only: it measures and judges nothing.
//
//     cargo build --release -p porchlight-relay -p porchlight && cargo build --release -p porchlight-desk --example crowd
//     PROFILE=release node tests/browser/board-speed.mjs 10000
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { WORKSPACE, launch } from "./harness/browsers.js";
import { Program, run } from "./harness/program.js";

const count = process.argv[2] || "10000";
const programs = `${WORKSPACE}/target/${process.env["PROFILE"] || "debug"}`;
const dir = mkdtempSync(`${tmpdir()}/porchlight-crowd-`);
writeFileSync(`${dir}/passphrase`, "measured and thrown away", { mode: 0o600 });
try {
  const made = await run(`${programs}/examples/crowd`, [`${dir}/line`, `${dir}/passphrase`, count]);
  process.stdout.write(made.stdout);
  const from = performance.now();
  const program = new Program(`${programs}/porchlight`, ["desk", "open", "--dir", `${dir}/line`, "--passphrase-file", `${dir}/passphrase`, "--json"]);
  const [, link] = await program.hears(/"link":"([^"]+)"/);
  console.log(`from the start of the program to its link: ${(performance.now() - from).toFixed(0)} ms (Argon2id and the whole vault)`);
  const browser = /** @type {import("./harness/chromium.js").Chromium} */ (await launch("chromium"));
  try {
    await browser.page.send("Emulation.setDeviceMetricsOverride", { width: 1280, height: 800, deviceScaleFactor: 1, mobile: false });
    const opened = performance.now();
    await browser.open(String(link));
    await browser.waitFor(() => document.querySelectorAll(".rows li").length > 5);
    const [painted, bytes] = await browser.evaluate(async () => {
      await new Promise((resolve) => requestAnimationFrame(resolve));
      const all = performance.getEntriesByType("resource");
      return [performance.now(), all.reduce((sum, one) => sum + /** @type {any} */ (one).transferSize, 0)];
    });
    console.log(`from the link to rows that can be read: ${painted.toFixed(0)} ms by the page's clock, ${(performance.now() - opened).toFixed(0)} by ours; ${bytes} bytes`);
    for (const rows of [500]) {
      const frames = await browser.evaluate(async (/** @type {number} */ rows) => {
        const hold = /** @type {HTMLElement} */ (document.querySelector(".hold"));
        /** @type {number[]} */
        const times = [];
        let last = performance.now();
        for (let top = 0; top < rows * 84; top += 84 * 2) {
          hold.scrollTop = top;
          await new Promise((resolve) => requestAnimationFrame(resolve));
          times.push(performance.now() - last);
          last = performance.now();
        }
        times.sort((a, b) => a - b);
        const at = (/** @type {number} */ part) => Number(times[Math.floor((times.length - 1) * part)]);
        return { count: times.length, half: at(0.5), most: at(0.95), worst: at(1), drawn: document.querySelectorAll(".rows li").length };
      }, rows);
      console.log(`${rows} rows go by in ${frames.count} frames: half ≤ ${frames.half.toFixed(1)} ms, 95 % ≤ ${frames.most.toFixed(1)} ms, worst ${frames.worst.toFixed(1)} ms; ${frames.drawn} rows drawn at a time`);
    }
    await browser.waitFor(() => document.querySelectorAll(".rows li").length > 5);
    const key = await browser.evaluate(async () => {
      const hold = /** @type {HTMLElement} */ (document.querySelector(".hold"));
      hold.scrollTop = hold.scrollHeight;
      const from = performance.now();
      while (![...document.querySelectorAll(".rows li")].some((row) => row.getAttribute("aria-posinset") === row.getAttribute("aria-setsize"))) {
        await new Promise((resolve) => requestAnimationFrame(resolve));
      }
      return performance.now() - from;
    });
    console.log(`a jump to the last row: ${key.toFixed(0)} ms`);
  } finally {
    await browser.dispose();
    await program.stop();
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}
