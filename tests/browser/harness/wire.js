// What anyone sees who carries her traffic, and what such a one can do to it.
//
// A TCP proxy on loopback in front of the relay. TLS passes through it untouched; it writes down what TLS does not hide
// (when a record passed, in which direction, how long it was) and can be slow, lossy, silent or gone.
import { connect, createServer } from "node:net";
import { pause } from "./browser.js";

/** The header of a TLS record: type, version, length. */
const HEADER_LEN = 5;
/** The type of a TLS record that holds what the two ends say. */
export const APPLICATION_DATA = 23;
/** Bytes that go into one packet on most networks: what can be lost at once. */
const PACKET_LEN = 1400;
/** The shortest time after which TCP sends a lost packet again, in milliseconds (Linux's). */
const RETRY_MS = 200;

/**
 * One TLS record that passed.
 * @typedef {object} Seen
 * @property {number} connection counted from 0
 * @property {number} at milliseconds since the wire was laid
 * @property {boolean} upward to the relay
 * @property {number} type as TLS numbers it
 * @property {number} length on the wire, its header of 5 included
 */

/**
 * How the network is. What is not said is as on loopback.
 * @typedef {object} Weather
 * @property {number} [kbit] thousands of bits a second, in each direction
 * @property {number} [delayMs] of a whole round trip, in milliseconds
 * @property {number} [loss] of packets, 0 to 1. TCP hides it: what comes after a lost packet waits until that was sent again
 * @property {number} [seed] of the losses
 */

/** The proxy. */
export class Wire {
  /**
   * Lays it before a server.
   * @param {string} far HOST:PORT
   * @returns {Promise<Wire>}
   */
  static lay(far) {
    return new Promise((resolve, reject) => {
      const server = createServer({ allowHalfOpen: true });
      server.on("error", reject);
      server.listen(0, "127.0.0.1", () => resolve(new Wire(server, far)));
    });
  }

  /**
   * @param {import("node:net").Server} server
   * @param {string} far
   */
  constructor(server, far) {
    this.server = server;
    this.far = { host: far.replace(/:\d+$/, ""), port: Number(far.replace(/^.*:/, "")), allowHalfOpen: true };
    this.laid = performance.now();
    this.count = 0;
    this.cut = false;
    /** @type {Seen[]} */
    this.seen = [];
    /** @type {Set<import("node:net").Socket>} */
    this.sockets = new Set();
    this.bytesPerMs = Infinity;
    this.delayMs = 0;
    this.loss = 0;
    this.chance = dice(1);
    /** Resolves when what waits may pass. @type {Promise<void>} */
    this.moving = Promise.resolve();
    /** Ends a stall. */
    this.go = () => {};
    server.on("connection", (near) => this.carry(near));
  }

  /** Where it is, HOST:PORT. */
  get address() {
    const { port } = /** @type {import("node:net").AddressInfo} */ (this.server.address());
    return `127.0.0.1:${port}`;
  }

  /**
   * What was seen since this was last called.
   * @returns {Seen[]}
   */
  notes() {
    return this.seen.splice(0);
  }

  /**
   * Changes the network, from now on.
   * @param {Weather} weather
   */
  weather({ kbit = Infinity, delayMs = 0, loss = 0, seed = 1 }) {
    this.bytesPerMs = kbit / 8;
    this.delayMs = delayMs;
    this.loss = loss;
    this.chance = dice(seed);
  }

  /** From now on nothing passes, and nobody is told: what is sent waits. */
  stall() {
    this.resume();
    this.moving = new Promise((resolve) => (this.go = resolve));
  }

  /** Ends a stall: what waited passes. */
  resume() {
    this.go();
    this.moving = Promise.resolve();
  }

  /** Breaks every connection, and refuses new ones until `mend`. */
  drop() {
    this.cut = true;
    this.sockets.forEach((socket) => socket.resetAndDestroy());
  }

  /** Ends a `drop`. */
  mend() {
    this.cut = false;
  }

  /** Takes it away. */
  async remove() {
    this.resume();
    this.sockets.forEach((socket) => socket.destroy());
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** @param {import("node:net").Socket} near */
  carry(near) {
    if (this.cut) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(this.far);
    const connection = this.count;
    this.count += 1;
    for (const [from, to] of [[near, far], [far, near]]) {
      this.sockets.add(from);
      from.setNoDelay(true);
      from.on("error", () => to.destroy());
      from.on("close", () => (this.sockets.delete(from), to.destroySoon()));
    }
    // Reaching the relay at all takes a round trip, which a proxy beside the browser would hide.
    const met = this.delayMs;
    this.pass(near, far, met, reader((type, length) => this.note(connection, true, type, length)));
    this.pass(far, near, 0, reader((type, length) => this.note(connection, false, type, length)));
  }

  /**
   * @param {number} connection
   * @param {boolean} upward
   * @param {number} type
   * @param {number} length
   */
  note(connection, upward, type, length) {
    this.seen.push({ connection, at: performance.now() - this.laid, upward, type, length });
  }

  /**
   * Passes on what comes, packet by packet, each when the network would have brought it.
   * @param {import("node:net").Socket} from
   * @param {import("node:net").Socket} to
   * @param {number} met
   * @param {(bytes: Buffer) => void} read
   */
  async pass(from, to, met, read) {
    /** When the sender's end is free again, and when the last packet arrives. */
    let [free, arrived] = [0, performance.now() + met];
    let order = Promise.resolve();
    const send = (/** @type {Buffer} */ packet, /** @type {number} */ at) => {
      order = order
        .then(() => pauseUntil(at))
        .then(() => this.moving)
        .then(() => {
          if (!to.destroyed) to.write(packet);
        });
    };
    const hear = (/** @type {Buffer} */ bytes) => {
      read(bytes);
      for (let from = 0; from < bytes.length; from += PACKET_LEN) {
        const packet = bytes.subarray(from, from + PACKET_LEN);
        free = Math.max(free, performance.now()) + packet.length / this.bytesPerMs;
        arrived = Math.max(arrived, free + this.delayMs / 2 + this.lost());
        send(packet, arrived);
      }
      // No more is taken in than the network has carried: so the sender feels how slow it is.
      if (arrived - performance.now() > 50) {
        from.pause();
        order = order.then(() => void from.resume());
      }
    };
    from.on("data", hear);
    from.on("end", () => {
      order.then(() => to.end());
    });
  }

  /** What losing a packet, and perhaps losing it again, costs, in milliseconds. */
  lost() {
    let [cost, retry] = [0, Math.max(RETRY_MS, this.delayMs * 1.5)];
    while (this.loss > 0 && this.chance() < this.loss) {
      cost += retry;
      retry *= 2;
    }
    return cost;
  }
}

/**
 * Tells the TLS records in a stream that comes in pieces.
 * @param {(type: number, length: number) => void} tell
 * @returns {(bytes: Buffer) => void}
 */
export function reader(tell) {
  let [header, left] = [Buffer.alloc(0), 0];
  return (bytes) => {
    let at = 0;
    while (at < bytes.length) {
      const passed = Math.min(left, bytes.length - at);
      [left, at] = [left - passed, at + passed];
      if (left > 0 || at === bytes.length) break;
      const wanted = HEADER_LEN - header.length;
      header = Buffer.concat([header, bytes.subarray(at, at + wanted)]);
      at += Math.min(wanted, bytes.length - at);
      if (header.length < HEADER_LEN) break;
      left = header.readUInt16BE(3);
      tell(header.readUInt8(0), HEADER_LEN + left);
      header = Buffer.alloc(0);
    }
  };
}

/** @param {number} at as `performance.now` counts */
async function pauseUntil(at) {
  const left = at - performance.now();
  if (left > 0) await pause(left);
}

/**
 * Numbers from 0 to 1 that a seed decides (xorshift32).
 * @param {number} seed not 0
 * @returns {() => number}
 */
function dice(seed) {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
