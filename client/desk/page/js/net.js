// What the page says to its own program, and nobody else. The session word lives in memory alone; the door word, which opens nothing
// without the passphrase, in the tab's storage, so that a reload needs no new link. It is never said again: what the page is known by,
// and what it knows its program by, are made from it, so that another program which has taken the port learns neither (proof.rs).

const DOOR = "door";

/** Why the program did not do what it was asked. */
export class Refused extends Error {
  /**
   * @param {string} code a word there is a sentence for
   * @param {any} more
   */
  constructor(code, more) {
    super(code);
    this.code = code;
    this.more = more || {};
  }
}

/** The board is locked, or this page was never let in. */
export class Locked extends Error {}
/** It was asked in a session that is over; the page may be in another one by now. */
export class Past extends Error {}
/** The program has ended. */
export class Gone extends Error {}
/** Another program answers in its place. */
export class Stranger extends Error {}

let word = "";
/** A page that is being left loses its streams, too; that is no sign of the program's end. */
let leaving = false;
addEventListener("beforeunload", () => (leaving = true));
/** @type {AbortController | undefined} */
let listening;

/** Remembers the session. @returns {() => boolean} whether it is the page's still */
export function session() {
  const mine = word;
  return () => mine === word;
}

/**
 * @param {string} path
 * @param {object} body
 * @returns {Promise<any>}
 */
async function post(path, body) {
  const current = session();
  /** @type {Response} */
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-desk-session": word },
      body: JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
  } catch {
    throw new Gone();
  }
  if (response.status === 401 || response.status === 423) throw current() ? new Locked() : new Past();
  if (response.status === 429) throw new Refused("wait", {});
  if (response.status === 503) throw new Gone();
  const told = await response.json().catch(() => ({}));
  if (response.status === 409) throw new Refused(told.refused, told.more);
  if (!response.ok) throw new Refused("not_possible", {});
  return told;
}

/** Whether this tab came by a link. */
export const hasDoor = () => !!sessionStorage.getItem(DOOR);

/** The program has ended, and with it the word that it gave. */
export function leave() {
  sessionStorage.removeItem(DOOR);
  forget();
}

/** @param {Uint8Array} bytes in base64url */
const text = (bytes) => btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

/**
 * What only the two that have the door word can make.
 * @param {string} said
 */
async function made(said) {
  const bytes = new TextEncoder();
  const key = await crypto.subtle.importKey("raw", bytes.encode(sessionStorage.getItem(DOOR) || ""), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return text(new Uint8Array(await crypto.subtle.sign("HMAC", key, bytes.encode(said))));
}

/** What this page is known by. */
const knock = () => made("porchlight desk: knock");

/** Makes sure that the program which answers is the one that let this page in. */
async function meet() {
  const challenge = text(crypto.getRandomValues(new Uint8Array(32)));
  const expected = await made(`porchlight desk: proof ${challenge}`);
  const told = await post("/prove", { knock: await knock(), challenge }).catch((error) => {
    throw error instanceof Refused ? new Stranger() : error;
  });
  if (told.proof !== expected) throw new Stranger();
}

/** Forgets the session; the door stays. */
export function forget() {
  word = "";
  listening?.abort();
  listening = undefined;
}

/**
 * Takes the link's word, if the address holds one, and takes it out of the address.
 * @returns {Promise<"in" | "locked" | "no">}
 */
export async function begin() {
  const given = location.hash.slice(1);
  if (!given) return "no";
  history.replaceState(null, "", "/");
  const told = await post("/begin", { word: given });
  sessionStorage.setItem(DOOR, told.door);
  word = told.session || "";
  return word ? "in" : "locked";
}

/** @param {string} passphrase */
export async function unlock(passphrase) {
  await meet();
  const told = await post("/unlock", { knock: await knock(), passphrase });
  word = told.session;
}

/** Locks every page of this program. */
export const lock = () => post("/lock", {});

/** How burning ended: whether a relay took the last word; null if there was nobody to tell. @returns {Promise<boolean | null>} */
export const ending = async () => (await post("/ending", {})).told;

/**
 * @param {string} what
 * @param {object} [more]
 */
export const ask = (what, more = {}) => post("/ask", { ask: what, ...more });

/**
 * @param {string} what
 * @param {object} [more]
 */
export const act = (what, more = {}) => post("/do", { do: what, ...more });

/** @typedef {{version: number, waiting: number, letters: number}} News */
/** @typedef {{waiting: number, letters: number, warnings: string[]}} Counts */

/**
 * Listens until the board is locked, or the program has ended.
 * @param {(news: News) => void} hear
 */
export const listen = (hear) => follow("/events", { "x-desk-session": word }, "news", hear);

/**
 * Listens behind the lock, where only counts are told.
 * @param {(counts: Counts) => void} hear
 */
export const listenLocked = async (hear) => follow("/waiting", { "x-desk-knock": await knock() }, "waiting", hear);

/**
 * @param {string} path
 * @param {Record<string, string>} headers
 * @param {string} wanted
 * @param {(told: any) => void} hear
 * @returns {Promise<"locked" | "gone" | "forgotten">}
 */
async function follow(path, headers, wanted, hear) {
  const control = new AbortController();
  listening?.abort();
  listening = control;
  try {
    const response = await fetch(path, { headers, cache: "no-store", credentials: "omit", redirect: "error", signal: control.signal });
    if (!response.ok || !response.body) return "locked";
    const reader = response.body.getReader();
    const letters = new TextDecoder();
    let held = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return leaving ? "forgotten" : "gone";
      held += letters.decode(value, { stream: true });
      for (let end = held.indexOf("\n\n"); end >= 0; end = held.indexOf("\n\n")) {
        const lines = held.slice(0, end).split("\n");
        held = held.slice(end + 2);
        const field = (/** @type {string} */ name) => (lines.find((line) => line.startsWith(`${name}:`)) || "").slice(name.length + 1).trim();
        if (field("event") === "locked") return "locked";
        if (field("event") === wanted) hear(JSON.parse(field("data")));
      }
    }
  } catch {
    return control.signal.aborted || leaving ? "forgotten" : "gone";
  }
}
