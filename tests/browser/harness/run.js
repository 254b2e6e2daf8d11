// Runs the browser tests: node harness/run.js AT_ONCE FILE…
//
// A file that fails is run once more, alone, when the others have ended, and what it said is shown both times. Browsers of ten years ago
// now and then hang, and a machine that builds something else is now and then too slow; what is wrong fails again. Whoever reads the end sees
// which files needed it: one that does so often has a fault, in the page or in the test, and more than two at once are not chance.
// What is left behind, or looks different, now and then is found as little as by one run in two: files that look for nothing else, and any in which
// something was that must never be (never.js), are run again only after a browser that hung, not after something was found.
import { spawn } from "node:child_process";
import { basename } from "node:path";
import { NEVER } from "./never.js";

/** Files that may need a second run. */
const SECOND_RUNS = 2;

/** Files that look for what must never be there, and for nothing else. */
const FINDS = new Set(["leftovers.test.js", "leaving.test.js", "traces.test.js", "shape.test.js"]);

const [atOnce, ...files] = process.argv.slice(2);
if (!Number(atOnce) || files.length === 0) {
  console.error("run.js: how many at once, and which files?");
  process.exit(2);
}

/**
 * Runs a file and shows what it said, all of it together.
 * @param {string} file
 * @returns {Promise<"passed" | "failed" | "found">} whether it passed; or found what must never be there
 */
function run(file) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--test", "--test-reporter=spec", file], { stdio: ["ignore", "pipe", "pipe"] });
    /** @type {Buffer[]} */
    const said = [];
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => said.push(bytes));
    child.once("close", (code) => {
      const text = String(Buffer.concat(said));
      process.stdout.write(`── ${basename(file)}\n${text}`);
      const found = text.includes(NEVER) || (FINDS.has(basename(file)) && text.includes("ERR_ASSERTION"));
      resolve(code === 0 ? "passed" : found ? "found" : "failed");
    });
  });
}

/** @type {string[]} */
const failed = [];
/** @type {string[]} */
const found = [];
const waiting = [...files];
async function lane() {
  for (let file = waiting.shift(); file; file = waiting.shift()) {
    const ended = await run(file);
    if (ended !== "passed") (ended === "found" ? found : failed).push(file);
  }
}
await Promise.all(Array.from({ length: Number(atOnce) }, lane));

const again = failed.length > SECOND_RUNS ? [] : [...failed];
const gone = [...found, ...(failed.length > SECOND_RUNS ? failed : [])];
for (const file of again) {
  console.log(`── ${basename(file)} failed and is run once more, alone`);
  if ((await run(file)) !== "passed") gone.push(file);
}
const names = (/** @type {string[]} */ list) => list.map((file) => basename(file)).join(", ");
const second = again.filter((file) => !gone.includes(file));
if (second.length > 0) console.log(`PASSED AT THE SECOND RUN ONLY: ${names(second)}. Look into it.`);
console.log(`${files.length - gone.length} of ${files.length} files passed${gone.length > 0 ? `; failed: ${names(gone)}` : ""}`);
process.exit(gone.length > 0 ? 1 : 0);
