// What somebody finds who searches a telephone: looks for markers in everything a browser has left in its folder.
//
// Each file is searched as it lies there and, where a browser packs what it writes, unpacked: gzip, zlib, Brotli in
// Chromium's and Firefox's caches, LZ4 in Firefox's session files, Snappy in LevelDB's tables, LevelDB's log put together
// again. SQLite's pages, its free ones and its write-ahead log lie open in the file. Every marker is looked for in the
// forms in which text is kept. Not found is what is packed otherwise, encrypted, or cut in two by a page of SQLite.
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import zlib from "node:zlib";

/**
 * What is looked for: a text, or bytes such as a key. Fewer than 4 bytes say nothing.
 * @typedef {{name: string, what: string | Uint8Array}} Marker
 */
/**
 * A marker that was found.
 * @typedef {object} Trace
 * @property {string} file below the folder
 * @property {string} marker its name
 * @property {string} form how it is written there
 * @property {string} layer "as it lies", or what had to be unpacked
 * @property {number} offset in bytes, in the file or in what was unpacked
 */

/**
 * Looks for every marker in every file below a folder, and in the files' names.
 * @param {string} folder
 * @param {Marker[]} markers
 * @returns {Trace[]}
 */
export function search(folder, markers) {
  const needles = markers.flatMap(forms);
  return files(folder).flatMap((path) => {
    const file = relative(folder, path);
    const held = [{ layer: "its name", bytes: Buffer.from(file) }, ...layers(read(path))];
    return held.flatMap(({ layer, bytes }) =>
      needles
        .map(({ marker, form, bytes: needle }) => ({ file, marker, form, layer, offset: bytes.indexOf(needle) }))
        .filter(({ offset }) => offset >= 0),
    );
  });
}

/**
 * The ways in which a marker may be written.
 * @param {Marker} marker
 * @returns {{marker: string, form: string, bytes: Buffer}[]}
 */
export function forms({ name, what }) {
  const ways = typeof what === "string" ? ofText(what) : ofBytes(Buffer.from(what));
  const known = new Set();
  return ways
    .map(([form, bytes]) => ({ marker: name, form, bytes: Buffer.from(bytes) }))
    .filter(({ bytes }) => bytes.length >= 4 && !known.has(bytes.toString("hex")) && known.add(bytes.toString("hex")));
}

/**
 * @param {string} text
 * @returns {[string, Buffer | string][]}
 */
function ofText(text) {
  const escaped = text.replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const big = Buffer.from(text, "utf16le").swap16();
  return [
    ["UTF-8", text],
    ["UTF-8, decomposed", text.normalize("NFD")],
    ["UTF-16LE", Buffer.from(text, "utf16le")],
    ["UTF-16BE", big],
    ["URL-encoded", encodeURIComponent(text)],
    ["URL-encoded, as of a form", encodeURIComponent(text).replace(/%20/g, "+")],
    ["JSON-escaped", escaped],
    ["JSON-escaped in UTF-16LE", Buffer.from(escaped, "utf16le")],
    ...base64("UTF-8", Buffer.from(text)),
    ...base64("UTF-16LE", Buffer.from(text, "utf16le")),
  ];
}

/**
 * @param {Buffer} bytes
 * @returns {[string, Buffer | string][]}
 */
function ofBytes(bytes) {
  const hex = bytes.toString("hex");
  return [
    ["bytes", bytes],
    ["hexadecimal", hex],
    ["hexadecimal, capitals", hex.toUpperCase()],
    ["numbers", [...bytes].join(",")],
    ...base64("bytes", bytes),
  ];
}

/**
 * Base64 of something in the midst of something else: it may begin at any of three places of a group, and its first and
 * last characters then depend on what is around it.
 * @param {string} of
 * @param {Buffer} bytes
 * @returns {[string, string][]}
 */
function base64(of, bytes) {
  return [0, 1, 2].flatMap((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString("base64").replace(/=+$/, "");
    const sure = text.slice(before && before + 1, Math.floor(((before + bytes.length) * 8) / 6));
    if (sure.length < 8) return [];
    const form = `base64 of ${of}`;
    return /** @type {[string, string][]} */ ([[form, sure], [form, sure.replace(/\+/g, "-").replace(/\//g, "_")]]);
  });
}

/**
 * @param {string} folder
 * @returns {string[]}
 */
function files(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return files(path);
    return entry.isFile() ? [path] : [];
  });
}

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path);
  } catch (error) {
    // A browser that still runs removes files of its own.
    if (/** @type {NodeJS.ErrnoException} */ (error).code === "ENOENT") return Buffer.alloc(0);
    throw error;
  }
}

/**
 * A file as it lies, and what is packed in it.
 * @param {Buffer} bytes
 * @returns {{layer: string, bytes: Buffer}[]}
 */
export function layers(bytes) {
  return [
    { layer: "as it lies", bytes },
    ...streams(bytes, "gzip", Buffer.from([0x1f, 0x8b, 8]), gunzip),
    ...[0x01, 0x5e, 0x9c, 0xda].flatMap((level) => streams(bytes, "zlib", Buffer.from([0x78, level]), zlib.inflateSync)),
    ...cacheBody(bytes),
    ...lz4Session(bytes),
    ...levelLog(bytes),
    ...levelTable(bytes),
  ];
}

/**
 * What begins like a packed stream, anywhere, and can be unpacked, as far as it goes.
 * @param {Buffer} bytes
 * @param {string} layer
 * @param {Buffer} magic
 * @param {(bytes: Buffer, options: zlib.ZlibOptions) => Buffer} unpack
 */
function streams(bytes, layer, magic, unpack) {
  const found = [];
  for (let at = bytes.indexOf(magic); at >= 0; at = bytes.indexOf(magic, at + 1)) {
    const opened = attempt(() => unpack(bytes.subarray(at), { finishFlush: zlib.constants.Z_SYNC_FLUSH }));
    if (opened && opened.length > 0) found.push({ layer, bytes: opened });
  }
  return found;
}

/**
 * What follows one header of gzip. Node's own takes whatever lies behind for a second one.
 * @param {Buffer} bytes
 * @param {zlib.ZlibOptions} options
 */
function gunzip(bytes, options) {
  const flags = bytes.readUInt8(3);
  let at = 10;
  if (flags & 4) at += 2 + bytes.readUInt16LE(at);
  for (const text of [8, 16]) if (flags & text) at = bytes.indexOf(0, at) + 1;
  if (flags & 2) at += 2;
  return zlib.inflateRawSync(bytes.subarray(at), options);
}

/** How an entry of Chromium's cache begins and how its parts end; little end first. */
const ENTRY = Buffer.from("305c72a71b6dfbfc", "hex");
const PART_END = Buffer.from("d8410d97456ffaf4", "hex");
const ENTRY_HEADER_LEN = 24;

/**
 * The body in a file of a browser's cache, if it is Brotli. Chromium writes it after the address, Firefox first.
 * @param {Buffer} bytes
 */
function cacheBody(bytes) {
  const ofChromium = bytes.length > ENTRY_HEADER_LEN && bytes.subarray(0, 8).equals(ENTRY);
  const from = ofChromium ? ENTRY_HEADER_LEN + bytes.readUInt32LE(12) : 0;
  const end = ofChromium ? bytes.indexOf(PART_END, from) : bytes.length;
  const body = bytes.subarray(from, end < 0 ? bytes.length : end);
  if (body.length === 0) return [];
  const options = { finishFlush: zlib.constants.BROTLI_OPERATION_FLUSH, maxOutputLength: 64 * 1024 * 1024 };
  const opened = attempt(() => zlib.brotliDecompressSync(body, options));
  return opened && opened.length > 0 ? [{ layer: "Brotli", bytes: opened }] : [];
}

/**
 * Firefox's session files: a name, a length, one block of LZ4.
 * @param {Buffer} bytes
 */
function lz4Session(bytes) {
  if (bytes.subarray(0, 8).toString("latin1") !== "mozLz40\0") return [];
  const opened = attempt(() => lz4(bytes.subarray(12), bytes.readUInt32LE(8)));
  return opened ? [{ layer: "LZ4", bytes: opened }] : [];
}

/**
 * One block of LZ4.
 * @param {Buffer} packed
 * @param {number} length of what is in it
 */
export function lz4(packed, length) {
  const out = Buffer.alloc(length);
  let [at, to] = [0, 0];
  const more = (/** @type {number} */ count) => {
    if (count < 15) return count;
    let [sum, next] = [count, 255];
    while (next === 255) sum += next = packed.readUInt8(at++);
    return sum;
  };
  while (at < packed.length) {
    const token = packed.readUInt8(at++);
    const literal = more(token >> 4);
    to += packed.copy(out, to, at, at + literal);
    at += literal;
    if (at >= packed.length) break;
    const back = packed.readUInt16LE(at);
    at += 2;
    to = repeat(out, to, back, more(token & 15) + 4);
  }
  return out.subarray(0, to);
}

/**
 * One block of Snappy.
 * @param {Buffer} packed
 */
export function snappy(packed) {
  let [length, at] = varint(packed, 0);
  const out = Buffer.alloc(length);
  let to = 0;
  while (at < packed.length) {
    const tag = packed.readUInt8(at++);
    const kind = tag & 3;
    if (kind === 0) {
      let literal = tag >> 2;
      const wide = literal - 59;
      if (wide > 0) {
        literal = packed.readUIntLE(at, wide);
        at += wide;
      }
      to += packed.copy(out, to, at, at + literal + 1);
      at += literal + 1;
    } else if (kind === 1) {
      to = repeat(out, to, ((tag >> 5) << 8) | packed.readUInt8(at++), ((tag >> 2) & 7) + 4);
    } else {
      const wide = kind === 2 ? 2 : 4;
      to = repeat(out, to, packed.readUIntLE(at, wide), (tag >> 2) + 1);
      at += wide;
    }
  }
  return out.subarray(0, to);
}

/**
 * @param {Buffer} out
 * @param {number} to
 * @param {number} back
 * @param {number} count
 */
function repeat(out, to, back, count) {
  if (back === 0 || back > to) throw new RangeError("before the beginning");
  for (let i = 0; i < count; i += 1) out[to + i] = Number(out[to + i - back]);
  return to + count;
}

/**
 * @param {Buffer} bytes
 * @param {number} at
 * @returns {[number, number]} the number, and where it ends
 */
function varint(bytes, at) {
  let [value, shift, next] = [0, 0, 128];
  while (next & 128) {
    next = bytes.readUInt8(at++);
    value += (next & 127) * 2 ** shift;
    shift += 7;
  }
  return [value, at];
}

const LOG_BLOCK_LEN = 32 * 1024;
const LOG_HEADER_LEN = 7;

/**
 * LevelDB's log: records that are cut at every 32 KiB, each piece after a checksum, a length and a kind from 1 to 4.
 * @param {Buffer} bytes
 */
function levelLog(bytes) {
  /** @type {Buffer[]} */
  const pieces = [];
  for (let at = 0; at + LOG_HEADER_LEN < bytes.length; ) {
    const left = LOG_BLOCK_LEN - (at % LOG_BLOCK_LEN);
    const [length, kind] = [bytes.readUInt16LE(at + 4), bytes.readUInt8(at + 6)];
    if (left < LOG_HEADER_LEN || kind === 0) {
      at += left;
    } else if (kind > 4 || length > left - LOG_HEADER_LEN) {
      return [];
    } else {
      pieces.push(bytes.subarray(at + LOG_HEADER_LEN, at + LOG_HEADER_LEN + length));
      at += LOG_HEADER_LEN + length;
    }
  }
  return pieces.length > 0 ? [{ layer: "LevelDB's log", bytes: Buffer.concat(pieces) }] : [];
}

const TABLE_END = Buffer.from("57fb808b247547db", "hex");
const TABLE_FOOTER_LEN = 48;

/**
 * LevelDB's tables: blocks of pairs, each perhaps Snappy, that an index names.
 * @param {Buffer} bytes
 */
function levelTable(bytes) {
  if (bytes.length < TABLE_FOOTER_LEN || !bytes.subarray(-8).equals(TABLE_END)) return [];
  const blocks = attempt(() => {
    const footer = bytes.subarray(-TABLE_FOOTER_LEN);
    const [, afterMeta] = handle(footer, 0);
    const index = block(bytes, handle(footer, afterMeta)[0]);
    return pairs(index).map((value) => block(bytes, handle(value, 0)[0]));
  });
  return blocks ? [{ layer: "LevelDB's table", bytes: Buffer.concat(blocks) }] : [];
}

/**
 * @param {Buffer} bytes
 * @param {number} at
 * @returns {[{offset: number, size: number}, number]}
 */
function handle(bytes, at) {
  const [offset, middle] = varint(bytes, at);
  const [size, end] = varint(bytes, middle);
  return [{ offset, size }, end];
}

/**
 * @param {Buffer} bytes
 * @param {{offset: number, size: number}} where
 */
function block(bytes, { offset, size }) {
  const held = bytes.subarray(offset, offset + size);
  return bytes.readUInt8(offset + size) === 1 ? snappy(held) : held;
}

/**
 * The values in a block of LevelDB's.
 * @param {Buffer} held
 * @returns {Buffer[]}
 */
function pairs(held) {
  const end = held.length - 4 - 4 * held.readUInt32LE(held.length - 4);
  const values = [];
  for (let at = 0; at < end; ) {
    const [, afterShared] = varint(held, at);
    const [fresh, afterFresh] = varint(held, afterShared);
    const [length, from] = varint(held, afterFresh);
    values.push(held.subarray(from + fresh, from + fresh + length));
    at = from + fresh + length;
  }
  return values;
}

/**
 * What looked packed and is not is left out: it is searched as it lies all the same.
 * @template T
 * @param {() => T} act
 * @returns {T | undefined}
 */
function attempt(act) {
  try {
    return act();
  } catch {
    return undefined;
  }
}
