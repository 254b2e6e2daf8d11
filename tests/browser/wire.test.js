// The wire tells what passes on it, and makes the network slow, lossy, silent and gone.
import assert from "node:assert/strict";
import { createServer, connect } from "node:net";
import { once } from "node:events";
import { test } from "node:test";
import { frames } from "./harness/tap.js";
import { reader, Wire } from "./harness/wire.js";

test("records are told whatever the pieces they come in", () => {
  const stream = Buffer.from([22, 3, 1, 0, 2, 9, 9, 23, 3, 3, 0, 0, 23, 3, 3, 1, 0, ...Buffer.alloc(256)]);
  const whole = [[22, 7], [23, 5], [23, 261]];
  for (const size of [1, 2, 3, 5, 7, 100, stream.length]) {
    /** @type {number[][]} */
    const seen = [];
    const read = reader((type, length) => seen.push([type, length]));
    for (let at = 0; at < stream.length; at += size) read(stream.subarray(at, at + size));
    assert.deepEqual(seen, whole, `in pieces of ${size}`);
  }
});

test("frames are told whatever the pieces they come in, and what answers the relay is not read as a request", () => {
  const frame = (/** @type {number} */ kind, /** @type {number} */ flags, /** @type {number} */ length) =>
    Buffer.from([0, length >> 8, length & 255, kind, flags, 0, 0, 0, 1, ...Buffer.alloc(length, 7)]);
  const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  const [set, agree, ping, window, head, post] = [frame(4, 0, 6), frame(4, 1, 0), frame(6, 1, 8), frame(8, 0, 4), frame(1, 4, 20), frame(0, 1, 2080)];
  const stream = Buffer.concat([preface, set, agree, window, head, ping, agree, post]);
  for (const size of [1, 5, 9, 30, 2000, stream.length]) {
    /** @type {number[][]} */
    const told = [];
    /** @type {Buffer[]} */
    const passed = [];
    const hear = frames((kind, length) => told.push([kind, length]), (bytes) => passed.push(Buffer.from(bytes)));
    for (let at = 0; at < stream.length; at += size) hear(stream.subarray(at, at + size));
    assert.deepEqual(told, [[4, 6], [4, 0], [8, 4], [1, 20], [6, 8], [4, 0], [0, 2080]], `in pieces of ${size}`);
    assert.deepEqual(Buffer.concat(passed), Buffer.concat([preface, set, agree, head, post]), `in pieces of ${size}`);
  }
});

/**
 * An end that says back what it hears, behind a wire.
 * @param {(wire: Wire, near: import("node:net").Socket, echo: (length: number) => Promise<number>) => Promise<void>} act
 */
async function behind(act) {
  const far = createServer((socket) => socket.on("error", () => {}).pipe(socket));
  await once(far.listen(0, "127.0.0.1"), "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (far.address());
  const wire = await Wire.lay(`127.0.0.1:${port}`);
  const near = connect(Number(wire.address.split(":")[1]), "127.0.0.1");
  near.on("error", () => {});
  const echo = async (/** @type {number} */ length) => {
    const from = performance.now();
    near.write(Buffer.alloc(length));
    for (let heard = 0; heard < length; heard += (await once(near, "data"))[0].length);
    return performance.now() - from;
  };
  try {
    await act(wire, near, echo);
  } finally {
    near.destroy();
    await wire.remove();
    far.close();
  }
}

test("a slow wire is as slow as it was told, both ways", () =>
  behind(async (wire, _, echo) => {
    wire.weather({ kbit: 64, delayMs: 300 });
    // 8,000 bytes at 8 a millisecond are a second; the way back runs beside it, a packet behind.
    const took = await echo(8000);
    assert.ok(took > 1400 && took < 4000, `${took} ms`);
  }));

test("a lost packet costs the time until it is sent again", () =>
  behind(async (wire, _, echo) => {
    wire.weather({ loss: 0.5, seed: 7 });
    const took = await echo(14000);
    assert.ok(took > 200, `${took} ms`);
  }));

test("a stalled wire is silent until it goes on", () =>
  behind(async (wire, _, echo) => {
    await echo(10);
    wire.stall();
    let back = false;
    const answer = echo(10).then(() => (back = true));
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(back, false);
    wire.resume();
    await answer;
  }));

test("a dropped wire breaks what there is and refuses what comes, until it is mended", () =>
  behind(async (wire, near, echo) => {
    await echo(10);
    wire.drop();
    await new Promise((resolve) => near.on("close", resolve));
    const meet = () =>
      new Promise((resolve) => {
        const socket = connect(Number(wire.address.split(":")[1]), "127.0.0.1", () => socket.write("x"));
        socket.on("data", () => resolve("heard")).on("error", () => {}).on("close", () => resolve("closed"));
        setTimeout(() => socket.destroy(), 5000).unref();
      });
    assert.equal(await meet(), "closed");
    wire.mend();
    assert.equal(await meet(), "heard");
  }));
