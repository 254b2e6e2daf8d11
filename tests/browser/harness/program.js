// Programs that the tests start. Each is ended by its own process id, and none outlives the tests: they stay in the
// process group of the runner, which ends that when it stops.
import { spawn } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";

/** How long a program may take to say what is waited for, or to end, in milliseconds. */
const PATIENCE_MS = 60_000;

/** @type {Set<Program>} */
const running = new Set();
process.on("exit", () => running.forEach((program) => program.kill("SIGKILL")));

/** A program that is listened to while it runs. */
export class Program {
  /**
   * Starts it.
   * @param {string} file
   * @param {string[]} args
   * @param {{env?: NodeJS.ProcessEnv, cwd?: string}} [place]
   */
  constructor(file, args, place = {}) {
    this.name = file;
    this.said = "";
    this.ended = false;
    this.child = spawn(file, args, { ...place, stdio: ["ignore", "pipe", "pipe"] });
    /** @type {Set<() => void>} */
    this.waiting = new Set();
    const hear = (/** @type {Buffer} */ bytes) => {
      this.said += bytes.toString();
      this.waiting.forEach((look) => look());
    };
    this.child.stdout.on("data", hear);
    this.child.stderr.on("data", hear);
    this.child.on("error", (error) => hear(Buffer.from(`${error}\n`)));
    running.add(this);
    /** @type {Promise<number | null>} */
    this.end = new Promise((resolve) =>
      this.child.on("close", (code) => {
        this.ended = true;
        running.delete(this);
        this.waiting.forEach((look) => look());
        resolve(code);
      }),
    );
  }

  /** Its process id. */
  get pid() {
    return this.child.pid || 0;
  }

  /**
   * Waits until what it has said, on stdout or stderr, matches.
   * @param {RegExp} pattern
   * @returns {Promise<RegExpMatchArray>}
   */
  hears(pattern) {
    return new Promise((resolve, reject) => {
      const done = (/** @type {() => void} */ act) => {
        this.waiting.delete(look);
        clearTimeout(late);
        act();
      };
      const look = () => {
        const found = this.said.match(pattern);
        if (found) done(() => resolve(found));
        else if (this.ended) done(() => reject(new Error(`${this.name} ended before it said ${pattern}:\n${this.said}`)));
      };
      const late = setTimeout(
        () => done(() => reject(new Error(`${this.name} did not say ${pattern}:\n${this.said}`))),
        PATIENCE_MS,
      );
      this.waiting.add(look);
      look();
    });
  }

  /**
   * Sends a signal, if it still runs.
   * @param {NodeJS.Signals} signal
   */
  kill(signal) {
    if (!this.ended) this.child.kill(signal);
  }

  /** Asks it to stop, and ends it if it does not within some seconds. */
  async stop() {
    this.kill("SIGTERM");
    const late = setTimeout(() => this.kill("SIGKILL"), 10_000);
    await this.end;
    clearTimeout(late);
  }

  /** Ends it and all that it has started, at once, as a power cut would. */
  async kill9() {
    descendants(this.pid).forEach((pid) => signal(pid, "SIGKILL"));
    this.kill("SIGKILL");
    await this.end;
  }
}

/**
 * Runs a program to its end.
 * @param {string} file
 * @param {string[]} args
 * @param {{cwd?: string, codes?: number[]}} [how] the exit codes that are no failure (0)
 * @returns {Promise<{code: number, stdout: string, stderr: string}>}
 */
export function run(file, args, { cwd, codes = [0] } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { ...(cwd ? { cwd } : {}), stdio: ["ignore", "pipe", "pipe"] });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (bytes) => (stdout += bytes));
    child.stderr.on("data", (bytes) => (stderr += bytes));
    child.on("error", reject);
    child.on("close", (code) => {
      if (code !== null && codes.includes(code)) resolve({ code, stdout, stderr });
      else reject(new Error(`${file} ${args.join(" ")}: ended with ${code}\n${stdout}${stderr}`));
    });
  });
}

/**
 * The processes that `pid` has started, and those that these have.
 * @param {number} pid
 * @returns {number[]}
 */
export function descendants(pid) {
  /** @type {[number, number][]} */
  const parents = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => [Number(name), parent(name)]);
  /** @type {(above: number) => number[]} */
  const below = (above) => parents.filter(([, of]) => of === above).flatMap(([child]) => [child, ...below(child)]);
  return below(pid);
}

/**
 * The time that processes have computed so far, in milliseconds, in steps of 10: unlike a clock's it is the same however
 * busy the machine is.
 * @param {number[]} pids
 * @returns {number}
 */
export function computed(pids) {
  return pids.map((pid) => stat(String(pid))).reduce((sum, { ticks }) => sum + ticks * 10, 0);
}

/** @param {string} pid */
function parent(pid) {
  return stat(pid).parent;
}

/** @param {string} pid */
function stat(pid) {
  try {
    // After the name, which is in brackets and may hold anything: state, parent, …, time in user and system mode.
    const told = readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\) /s, "").split(" ").map(Number);
    return { parent: Number(told[1]), ticks: Number(told[11]) + Number(told[12]) };
  } catch {
    return { parent: 0, ticks: 0 }; // It has ended meanwhile.
  }
}

/**
 * Signals a process; one that has ended meanwhile is passed over.
 * @param {number} pid
 * @param {NodeJS.Signals} name
 */
export function signal(pid, name) {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "ESRCH") throw error;
  }
}
