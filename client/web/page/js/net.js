// Everything that leaves the page. No cookies, no cache, no referrer, one try: who asks again is the beat.

/** Where the page came from: the gate. */
const GATE = location.pathname.replace(/\/$/, "");

/** Aborts everything in flight when she leaves. */
const flights = new AbortController();

/** Whether the last request was answered: it decides whether leaving waits for a network. */
let isAnswered = true;

/** Somebody answered, but not with what was asked for. */
const REFUSED = new Error("refused");

/**
 * A request, aborted after `patience` milliseconds.
 * @param {string} path below the gate
 * @param {number} patience
 * @param {Uint8Array} [body]
 * @returns {Promise<Uint8Array>}
 */
async function ask(path, patience, body) {
  const one = new AbortController();
  const stop = () => one.abort();
  flights.signal.addEventListener("abort", stop);
  const timer = setTimeout(stop, patience);
  try {
    const reply = await fetch(GATE + path, {
      method: body ? "POST" : "GET",
      body: /** @type {any} */ (body),
      signal: one.signal,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      referrerPolicy: "no-referrer",
    });
    const bytes = new Uint8Array(await reply.arrayBuffer());
    isAnswered = true;
    if (!reply.ok) throw REFUSED;
    return bytes;
  } catch (error) {
    if (error !== REFUSED) isAnswered = false;
    throw error;
  } finally {
    clearTimeout(timer);
    flights.signal.removeEventListener("abort", stop);
  }
}

/**
 * A file of the page's own, held against the hash that this document came with.
 * @param {string} name
 */
async function file(name) {
  const bytes = await ask("/p/" + name, 120000);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", /** @type {any} */ (bytes)));
  const hex = Array.from(hash, (byte) => (byte + 256).toString(16).slice(1)).join("");
  if (hex !== HASHES[name]) throw new Error("another file");
  return bytes;
}
