// The figures of the page's core, in Node's WebAssembly: its size, and the time of everything a visit asks of it.
//
//   cargo build -p porchlight-web-core --target wasm32v1-none --profile wasm
//   node client/web/core/bench.mjs
//
// The line that it visits is made by `cargo run -p porchlight-web-core --example line`.
import { execFileSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const WORKSPACE = fileURLToPath(new URL("../../..", import.meta.url));
const WASM = `${WORKSPACE}/target/wasm32v1-none/wasm/porchlight_web_core.wasm`;
const SLOW_DAY_LEN = 48 * 1024;
const SLOW_DAYS = 7;
const BEATS = 50;

const say = (name, figure, unit, aim = "") => console.log(`${name.padEnd(44)}${String(figure).padStart(12)}  ${unit.padEnd(8)}${aim}`);
const ms = (from) => (performance.now() - from).toFixed(2);

function sizes(bytes) {
  const brotli = brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  }).length;
  say("wasm core, raw", bytes.length, "bytes");
  say("wasm core, gzip -9", gzipSync(bytes, { level: 9 }).length, "bytes");
  say("wasm core, brotli 11", brotli, "bytes", `(aim <= 47104; ${(brotli / 47104).toFixed(2)} times)`);
}

/** A visit in a fresh instance: calls by name, bytes in and out. */
class Visit {
  constructor(module, root) {
    this.core = new WebAssembly.Instance(module).exports;
    const start = this.core.reserve();
    const seed = randomFillSync(new Uint8Array(32));
    this.memory(start, 64).set([...root, ...seed]);
    this.page = this.core.open(start);
    this.posts = 0;
  }
  memory(at, length) {
    return new Uint8Array(this.core.memory.buffer, at, length);
  }
  call(name, input, ...args) {
    if (input) this.memory(this.core.input(this.page, input.length), input.length).set(input);
    const length = this.core[name](this.page, ...args);
    if (length < 0) throw new Error(`${name}: refusal ${length}`);
    return length;
  }
  bytes(name, input, ...args) {
    const length = this.call(name, input, ...args);
    return this.memory(this.core.output(this.page), length).slice();
  }
  json(name, input, ...args) {
    return JSON.parse(new TextDecoder().decode(this.bytes(name, input, ...args)));
  }
}

const hex = (text) => Uint8Array.from(Buffer.from(text, "hex"));

function main() {
  const bytes = readFileSync(WASM);
  sizes(bytes);
  const line = JSON.parse(
    execFileSync("cargo", ["run", "-q", "-p", "porchlight-web-core", "--example", "line"], { cwd: WORKSPACE, encoding: "utf8" }),
  );
  const [root, notice, now] = [hex(line.root), hex(line.notice), line.now];

  let from = performance.now();
  const module = new WebAssembly.Module(bytes);
  say("wasm compile", ms(from), "ms");
  from = performance.now();
  const visit = new Visit(module, root);
  say("wasm start and open a visit", ms(from), "ms");

  from = performance.now();
  visit.json("notice", notice, now);
  say("wasm check a notice", ms(from), "ms");
  const plan = visit.json("plan", null, now);
  if (plan.days.length !== SLOW_DAYS) throw new Error(`the line keeps ${plan.days.length} days`);

  const words = visit.bytes("draw", null);
  const start = visit.core.reserve();
  visit.memory(start, 48).set(words);
  from = performance.now();
  if (visit.core.stretch(start) !== 32) throw new Error("the words were refused");
  say("wasm Argon2id of a phrase", ms(from), "ms", "(aim <= a second on an old phone)");
  visit.json("know", visit.memory(start, 32).slice(), now);

  const days = plan.days.map(() => new Uint8Array(SLOW_DAY_LEN).map(() => Math.random() * 256));
  from = performance.now();
  days.slice(0, 1).forEach((day) => visit.json("slow_day", day, 0, now));
  say("wasm tag table and the first slow day", ms(from), "ms");
  from = performance.now();
  days.slice(1).forEach((day) => visit.json("slow_day", day, 0, now));
  say("wasm six more slow days", ms(from), "ms");
  const fast = new Uint8Array(8 * 1024).map(() => Math.random() * 256);
  from = performance.now();
  visit.json("fast", fast, 0, now);
  say("wasm fast tags and the first two beats", ms(from), "ms");
  from = performance.now();
  visit.json("fast", fast, 0, now);
  say("wasm two beats", ms(from), "ms");

  visit.call("write", new TextEncoder().encode("사과 한 알. ".repeat(100)), 2, 0, 0, 1, now);
  const reply = new Uint8Array(16);
  from = performance.now();
  for (let post = 1; post <= BEATS; post += 1) {
    const body = visit.bytes("beat", null, 0, now + post * plan.up_beat_ms);
    if (body.length !== 2080) throw new Error(`a POST of ${body.length} bytes`);
    visit.json("posted", reply, post, 0, 1);
  }
  say("wasm seal a POST", ((performance.now() - from) / BEATS).toFixed(2), "ms");
  say("wasm memory after all this", visit.core.memory.buffer.byteLength, "bytes");
  visit.core.close(visit.page);
}

main();
