// A real relay, line and desk on loopback: the project's own programs, each its own process.
import { randomBytes } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WORKSPACE } from "./browsers.js";
import { Program, run } from "./program.js";

/** Where Linux keeps a file system in memory. */
const IN_MEMORY = "/dev/shm";
/** Where cargo puts the programs. */
export const PROGRAMS = `${WORKSPACE}/target/debug`;

/**
 * How often the page speaks, as options of `line init`: `even` slowly enough for several pages on one machine; `usual` is
 * what a line in life does; `often` is `even` with room for many answers.
 * @type {Record<"quick" | "even" | "often" | "usual", string[]>}
 */
export const PACES = {
  quick: ["--beat-ms", "1000", "--up-beat-ms", "500", "--slow-s", "2"],
  even: ["--beat-ms", "1000", "--up-beat-ms", "1000", "--slow-s", "5"],
  often: ["--beat-ms", "1000", "--up-beat-ms", "1000", "--slow-s", "1"],
  usual: [],
};

/** @type {Promise<unknown> | undefined} */
let built;

/** Builds the relay and the command, once. */
function build() {
  built ||= run("cargo", ["build", "-q", "--locked", "-p", "porchlight-relay", "-p", "porchlight", "--bins"], { cwd: WORKSPACE });
  return built;
}

/** A relay that has its certificate and knows no line yet. */
export class Relay {
  /**
   * Makes its folders, its key and its configuration.
   * @returns {Promise<Relay>}
   */
  static async make() {
    await build();
    const dir = mkdtempSync(join(tmpdir(), "porchlight-line-"));
    const keyring = mkdtempSync(join(existsSync(IN_MEMORY) ? IN_MEMORY : dir, "porchlight-keys-"));
    const address = `127.0.0.1:${await freePort()}`;
    const said = { listen: address, admin_listen: `127.0.0.1:${await freePort()}`, data_dir: `${dir}/relay`, keyring_dir: keyring, store: "sled" };
    const lines = Object.entries(said).map(([name, value]) => `${name} = ${JSON.stringify(value)}\n`);
    writeFileSync(`${dir}/relay.toml`, `${lines.join("")}\n[tls]\nself_signed = true\n`);
    const relay = new Relay(dir, keyring, address);
    const { stdout } = await run(`${PROGRAMS}/porchlight-relay`, [...relay.args("check-config"), "--make-key"]);
    const pin = stdout.match(/^pin sha256\/(\S+)$/m);
    if (!pin) throw new Error(`the relay says no pin:\n${stdout}`);
    relay.pin = String(pin[1]);
    return relay;
  }

  /**
   * @param {string} dir
   * @param {string} keyring
   * @param {string} address
   */
  constructor(dir, keyring, address) {
    this.dir = dir;
    this.keyring = keyring;
    this.address = address;
    /** SHA-256 of its public key, in base64. */
    this.pin = "";
    /** @type {Program | undefined} */
    this.program = undefined;
  }

  /** Its certificate and private key as PEM, for a server of the test's own that is to look like it. */
  get identity() {
    return { cert: readFileSync(`${this.dir}/relay/tls/cert.pem`), key: readFileSync(`${this.dir}/relay/tls/key.pem`) };
  }

  /** @param {string} verb */
  args(verb) {
    return [verb, "--config", `${this.dir}/relay.toml`, "--dev"];
  }

  /** Starts it and waits until it is ready. */
  async start() {
    this.program = new Program(`${PROGRAMS}/porchlight-relay`, this.args("run"));
    await this.program.hears(/^ready /m);
  }

  /** Stops it; it can be started again. */
  async stop() {
    await this.program?.stop();
    this.program = undefined;
  }

  /** Stops it and removes its folders. */
  async dispose() {
    await this.stop();
    [this.dir, this.keyring].forEach((folder) => rmSync(folder, { recursive: true, force: true }));
  }
}

/** A relay with one published line, and the line's desk. */
export class Line {
  /**
   * Makes and publishes a line, on a relay that runs.
   * @param {{pace?: keyof typeof PACES, upBeat?: number, options?: string[], through?: (relay: string) => Promise<string>, make?: () => Promise<Relay>}} [how]
   *   `upBeat` in milliseconds, if not the pace's own; `options` are further ones of `line init`; `through` is told the relay's HOST:PORT
   *   and gives the one on the card; `make` makes the relay
   * @returns {Promise<Line>}
   */
  static async found({ pace = "quick", upBeat = 0, options = [], through = async (relay) => relay, make = () => Relay.make() } = {}) {
    const relay = await make();
    const line = new Line(relay, `https://${await through(relay.address)}`);
    writeFileSync(`${relay.dir}/passphrase`, randomBytes(16).toString("hex"), { mode: 0o600 });
    const paced = PACES[pace].map((word, nth, all) => (upBeat && all[nth - 1] === "--up-beat-ms" ? String(upBeat) : word));
    const [init] = await line.desk("line init", "--relay", line.origin, "--relay-pin", relay.pin, ...paced, ...options);
    line.gate = init.gates[0];
    line.card = init.card;
    appendFileSync(`${relay.dir}/relay.toml`, `\n${readFileSync(`${relay.dir}/line/relay.toml`)}`);
    await relay.start();
    await line.desk("line publish");
    return line;
  }

  /**
   * @param {Relay} relay
   * @param {string} origin
   */
  constructor(relay, origin) {
    this.relay = relay;
    /** What the card says, as far as the port. */
    this.origin = origin;
    this.gate = "";
    this.card = "";
    mkdirSync(`${relay.dir}/files`);
  }

  /** The folder of everything. */
  get dir() {
    return this.relay.dir;
  }

  /** Where the page is. */
  get url() {
    return `${this.origin}/${this.gate}`;
  }

  /**
   * Runs a verb of the desk or the line to its end: `desk("desk answer", id, "--text", "…")`.
   * @param {string} verb
   * @param {string[]} args
   * @returns {Promise<any[]>} what it says, one object for each line
   */
  async desk(verb, ...args) {
    const { stdout } = await run(`${PROGRAMS}/porchlight`, [...verb.split(" "), ...args, ...this.keys(), "--json"]);
    return objects(stdout);
  }

  /**
   * The caller at the desk whose letter says this.
   * @param {string} text
   * @returns {Promise<string>} her id
   */
  async whoWrote(text) {
    for (const row of await this.desk("desk list")) {
      const items = await this.desk("desk show", row.id);
      if (items.some((item) => item.kind === "letter" && item.text === text)) return row.id;
    }
    throw new Error("no letter at the desk says so");
  }

  /**
   * Runs a verb of the caller's native client to its end, with the card.
   * @param {string} verb `checkin`, `read`, …
   * @param {{phrase?: string, codes?: number[]}} who her eight words, if the verb wants them; and exit codes that are no failure
   * @param {string[]} args
   * @returns {Promise<any[]>}
   */
  async caller(verb, { phrase = "", codes = [0] }, ...args) {
    const file = `${this.dir}/files/phrase-${randomBytes(8).toString("hex")}`;
    if (phrase) writeFileSync(file, phrase, { mode: 0o600 });
    const words = phrase ? ["--phrase-file", file] : [];
    const all = ["caller", verb, ...args, "--card", `${this.dir}/line/card.txt`, ...words, "--json"];
    const { stdout } = await run(`${PROGRAMS}/porchlight`, all, { codes });
    return objects(stdout);
  }

  /**
   * Starts a desk that is always on: it fetches, receipts and sends until it is stopped.
   * @returns {Promise<Program>}
   */
  async watch() {
    const program = new Program(`${PROGRAMS}/porchlight`, ["desk", "watch", ...this.keys(), "--json"]);
    await program.hears(/"connected"/);
    return program;
  }

  /** Stops the relay and removes everything. */
  dispose() {
    return this.relay.dispose();
  }

  keys() {
    return ["--dir", `${this.dir}/line`, "--passphrase-file", `${this.dir}/passphrase`];
  }
}

/** @param {string} text */
function objects(text) {
  return text
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
}

/**
 * A port of loopback nobody listens on just now.
 * @returns {Promise<number>}
 */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
      server.close(() => resolve(port));
    });
  });
}
