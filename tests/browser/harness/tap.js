// What the relay itself sees of a browser: requests as it reads them, and the frames they come in.
//
// A proxy on loopback that has the relay's key. It opens what the browser says, writes down what is in it, and says it to the
// relay byte for byte; what the relay answers goes back the same way. Requests are read from a copy, by a server that answers nobody.
import { createServer as createReader } from "node:http2";
import { Duplex } from "node:stream";
import { connect, createServer } from "node:tls";

/** What every connection of HTTP/2 begins with, and the header of a frame: length, kind, flags, stream. */
const [PREFACE_LEN, HEADER_LEN] = [24, 9];
/** Kinds of frames, as HTTP/2 numbers them. */
export const DATA = 0;
const [HEADERS, SETTINGS, CONTINUATION] = [1, 4, 9];
/** A flag of SETTINGS: nothing is set, but what the other end set is agreed to. */
const ACK = 1;

/**
 * A request as the relay reads it.
 * @typedef {object} Asked
 * @property {number} at as `performance.now` counts
 * @property {string} head method, path without gate, language and number, and each header with the length of its value, in their order
 * @property {number} body bytes
 */

/**
 * A frame as the relay reads it.
 * @typedef {{at: number, kind: number, length: number}} Frame
 */

/**
 * What was seen since it was last asked.
 * @typedef {{connections: number, asked: Asked[], frames: Frame[]}} Notes
 */

/** The proxy. */
export class Tap {
  /**
   * Lays it before a relay.
   * @param {string} far HOST:PORT of the relay, or of what leads to it
   * @param {{cert: Buffer, key: Buffer}} identity the relay's
   * @returns {Promise<Tap>}
   */
  static lay(far, identity) {
    return new Promise((resolve, reject) => {
      const server = createServer({ ...identity, ALPNProtocols: ["h2", "http/1.1"] });
      server.on("error", reject);
      server.listen(0, "127.0.0.1", () => resolve(new Tap(server, far)));
    });
  }

  /**
   * @param {import("node:tls").Server} server
   * @param {string} far
   */
  constructor(server, far) {
    this.server = server;
    this.far = { host: far.replace(/:\d+$/, ""), port: Number(far.replace(/^.*:/, "")) };
    /** @type {Notes} */
    this.seen = nothing();
    /** @type {Set<import("node:tls").TLSSocket>} */
    this.sockets = new Set();
    this.reader = createReader();
    this.reader.on("stream", this.hear.bind(this));
    // What cannot be read would be missing in the notes, and look alike.
    this.reader.on("sessionError", (error) => {
      throw error;
    });
    server.on("secureConnection", (near) => this.carry(near));
    // Who hangs up in the middle of a handshake is nobody's visit.
    server.on("tlsClientError", () => {});
  }

  /** Where it is, HOST:PORT. */
  get address() {
    const { port } = /** @type {import("node:net").AddressInfo} */ (this.server.address());
    return `127.0.0.1:${port}`;
  }

  /** What was seen since this was last called. */
  notes() {
    const seen = this.seen;
    this.seen = nothing();
    return seen;
  }

  /**
   * Writes down a request when its head is there, so that they are in order.
   * @param {import("node:http2").ServerHttp2Stream} stream
   * @param {import("node:http2").IncomingHttpHeaders} told
   * @param {number} _flags
   * @param {string[]} raw names and values in turn
   */
  hear(stream, told, _flags, raw) {
    const names = raw.filter((_, at) => at % 2 === 0);
    const headers = names.map((name, at) => (name.startsWith(":") ? "" : ` ${name}:${raw[2 * at + 1]?.length}`));
    const asked = { at: performance.now(), head: `${told[":method"]} ${shapeOf(String(told[":path"]))}${headers.join("")}`, body: 0 };
    this.seen.asked.push(asked);
    stream.on("data", (/** @type {Buffer} */ bytes) => (asked.body += bytes.length));
    stream.on("end", () => !stream.destroyed && stream.respond({ ":status": 200 }, { endStream: true }));
    // A page that is closed gives up what is under way.
    stream.on("error", () => {});
  }

  /** Takes it away. */
  async remove() {
    this.sockets.forEach((socket) => socket.destroy());
    await new Promise((resolve) => this.server.close(resolve));
  }

  /** @param {import("node:tls").TLSSocket} near */
  carry(near) {
    this.seen.connections += 1;
    const spoken = near.alpnProtocol || "http/1.1";
    // Whose certificate it is was decided where its address came from: it is the one this proxy shows.
    const far = connect({ ...this.far, ALPNProtocols: [spoken], rejectUnauthorized: false });
    for (const [from, to] of [[near, far], [far, near]]) {
      this.sockets.add(from);
      from.setNoDelay(true);
      from.on("error", () => to.destroy());
      from.on("close", () => (this.sockets.delete(from), to.destroySoon()));
      from.on("end", () => to.end());
    }
    if (spoken !== "h2") throw new Error(`a browser that speaks ${spoken} is not read`);
    const copy = new Duplex({ read() {}, write: (_bytes, _encoding, done) => done() });
    near.on("close", () => copy.destroy());
    this.reader.emit("connection", copy);
    const hear = frames((kind, length) => this.seen.frames.push({ at: performance.now(), kind, length }), (bytes) => copy.push(bytes));
    near.on("data", (bytes) => (hear(bytes), far.write(bytes)));
    far.on("data", (bytes) => near.write(bytes));
  }
}

/** @returns {Notes} */
const nothing = () => ({ connections: 0, asked: [], frames: [] });

/**
 * A path without its gate, with `pack` for a language and `n` for a number.
 * @param {string} path
 */
export const shapeOf = (path) => path.replace(/^\/[^/?]+/, "").replace(/\/(zh|ko|en)$/, "/pack").replace(/\d+$/, "n");

/**
 * Tells the frames in what a client says, which comes in pieces, and passes on what a server has to read to know its requests. The
 * rest answers the relay and not the reader: pings, windows, and all but the first agreement to what was set.
 * @param {(kind: number, length: number) => void} tell
 * @param {(bytes: Buffer) => void} pass
 * @returns {(bytes: Buffer) => void}
 */
export function frames(tell, pass) {
  let [preface, agreed, held] = [false, false, Buffer.alloc(0)];
  return (bytes) => {
    held = Buffer.concat([held, bytes]);
    if (!preface && held.length >= PREFACE_LEN) {
      pass(held.subarray(0, PREFACE_LEN));
      [preface, held] = [true, held.subarray(PREFACE_LEN)];
    }
    while (preface && held.length >= HEADER_LEN) {
      const [length, kind] = [held.readUIntBE(0, 3), held.readUInt8(3)];
      const end = HEADER_LEN + length;
      if (held.length < end) break;
      const agrees = kind === SETTINGS && (held.readUInt8(4) & ACK) === ACK;
      if ([DATA, HEADERS, CONTINUATION].includes(kind) || (kind === SETTINGS && !(agrees && agreed))) pass(held.subarray(0, end));
      agreed ||= agrees;
      tell(kind, length);
      held = held.subarray(end);
    }
  };
}
