// Files and folders of a worker's device, as they are made: strace tells the mode of each, with no umask that would hide a wrong one.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, before, test } from "node:test";
import { Line, PROGRAMS } from "./harness/line.js";
import { never } from "./harness/never.js";
import { Program, run } from "./harness/program.js";

const TRACED = "trace=open,openat,?openat2,creat,mkdir,mkdirat,mknod,mknodat,chmod,fchmod,fchmodat,?fchmodat2";

/** @type {Line} */
let line;
/** @type {string} */
let dir;

before(async () => {
  dir = mkdtempSync(`${tmpdir()}/porchlight-modes-`);
  writeFileSync(`${dir}/passphrase`, "of this test alone", { mode: 0o600 });
  line = await Line.found();
});

after(async () => {
  await line?.dispose();
  rmSync(dir, { recursive: true, force: true });
});

/**
 * A program under strace, without a umask.
 * @param {string} record
 * @param {string[]} program
 * @returns {[string, string[]]}
 */
function traced(record, program) {
  return ["sh", ["-c", 'umask 000; exec strace -f -s 4096 -e "$0" -o "$@"', TRACED, record, ...program]];
}

/**
 * What was made, and with which mode.
 * @param {string} record
 * @returns {{call: string, file: string, mode: number, folder: boolean}[]}
 */
function made(record) {
  // A call that another thread interrupts has its arguments on the line where it begins.
  const calls = [...readFileSync(record, "utf8").matchAll(/^\d+ +(\w+)\((.*)$/gm)];
  return calls.flatMap(([, call = "", rest = ""]) => {
    const file = rest.match(/"([^"]*)"/)?.[1] ?? rest;
    const makes = call.startsWith("open") ? rest.includes("O_CREAT") || rest.includes("O_TMPFILE") : true;
    // The mode is the last number in octal; a refusal such as EEXIST made nothing, but was asked for with this mode all the same.
    const mode = [...rest.matchAll(/(?:, |mode=)(0[0-7]*)(?=[,)} ]|$)/g)].at(-1)?.[1];
    if (!makes) return [];
    assert.ok(mode !== undefined, `no mode: ${call}(${rest}`);
    return [{ call, file, mode: parseInt(mode, 8), folder: call.startsWith("mkdir") }];
  });
}

/** Those that others than their owner could open. What chmod is given may be a folder. @param {ReturnType<typeof made>} all */
const open = (all) => all.filter(({ call, mode, folder }) => (mode & ~(folder || call.includes("chmod") ? 0o700 : 0o600)) !== 0);

test("the record shows a file and a folder that others can open", async () => {
  const record = `${dir}/control`;
  await run(...traced(record, ["sh", "-c", `: > ${dir}/leak; mkdir ${dir}/open`]));
  assert.deepEqual(open(made(record)).map(({ file, mode }) => [file, mode]), [[`${dir}/leak`, 0o666], [`${dir}/open`, 0o777]]);
});

test("line init, desk join and desk open make nothing that others could open, not for a moment", async () => {
  const keys = (/** @type {string} */ at) => ["--dir", at, "--passphrase-file", `${dir}/passphrase`, "--json"];
  const porchlight = `${PROGRAMS}/porchlight`;
  /** @type {[string, string[]][]} */
  const runs = [
    ["init", ["line", "init", "--relay", line.origin, "--relay-pin", line.relay.pin, ...keys(`${dir}/founded`)]],
    ["join", ["desk", "join", ...keys(`${dir}/joined`)]],
  ];
  for (const [name, args] of runs) {
    await run(...traced(`${dir}/${name}`, [porchlight, ...args]));
    const all = made(`${dir}/${name}`);
    assert.ok(all.some(({ file, folder }) => folder && file.startsWith(dir)), `${name}: a folder is made`);
    assert.ok(all.filter(({ file, folder }) => !folder && file.startsWith(dir)).length >= 3, `${name}: files are made`);
    never(open(all).length > 0, `${name}: ${JSON.stringify(open(all))}`);
  }
  const board = new Program(...traced(`${dir}/opened`, [porchlight, "desk", "open", ...line.keys(), "--json"]));
  try {
    await board.hears(/"link":"/);
    // A letter comes in, so that the vault is written.
    const [{ phrase }] = await line.caller("new", {});
    await line.caller("checkin", { phrase }, "--status", "talk", "--text", "of this test alone", "--wait", "60s");
    // strace itself lets no signal in: the program is told, by the number that its first call stands under.
    process.kill(Number(readFileSync(`${dir}/opened`, "utf8").match(/^\d+/)), "SIGTERM");
    await board.end;
  } finally {
    await board.stop();
  }
  const all = made(`${dir}/opened`);
  assert.ok(all.some(({ file }) => file.startsWith(`${line.dir}/line/vault/`)), "the board writes its vault");
  never(open(all).length > 0, JSON.stringify(open(all)));
});
