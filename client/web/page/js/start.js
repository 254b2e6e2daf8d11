// The beginning. Where the page cannot do its work it says so and does nothing else.

/** In WeChat's own browser nothing is encrypted that WeChat could not read: nothing begins there. */
const isWeChat = /MicroMessenger/i.test(navigator.userAgent);

/** What the page needs; a browser without it is too old. */
function isAble() {
  return (
    typeof WebAssembly === "object" &&
    typeof TextDecoder === "function" &&
    typeof AbortController === "function" &&
    typeof Worker === "function" &&
    Boolean(window.crypto && crypto.subtle && crypto.getRandomValues)
  );
}

function elsewhere() {
  show({ id: "elsewhere", drawing: FIRST_DRAWINGS.other_browser, lines: [pack.say("other_browser")] });
}

/** @type {Array<() => void>} */
let whenStarted = [];

/**
 * Acts as soon as the core is there.
 * @param {() => void} act
 */
function whenReady(act) {
  if (core) act();
  else whenStarted.push(act);
}

/** Fetches core, worker and the line's facts, and begins the visit. The same for everyone, before anything was tapped. */
async function start() {
  try {
    const [facts, code] = await Promise.all([ask("/p/line", 120000), file("core"), startWorker()]);
    lineFacts = JSON.parse(new TextDecoder().decode(facts));
    if (!lineFacts || isGone) return;
    dullPage = lineFacts.leave || dullPage;
    const module = await WebAssembly.compile(/** @type {any} */ (code));
    // Old browsers (92 among them) make no large instance at once outside a worker.
    const instance = await WebAssembly.instantiate(module, {});
    if (isGone || !worker) return;
    // As bytes: some old browsers (67 among them) pass no module on.
    worker.postMessage({ code });
    core = new Core(instance, fromHex(lineFacts.root));
    beats = new Beats(core, take, (isNowQuiet) => {
      isQuiet = isNowQuiet;
      refresh();
    });
    beats.begin();
    whenStarted.splice(0).forEach((act) => act());
  } catch (error) {
    isQuiet = true;
    if (!isGone) retry();
  }
}

let startTries = 0;

/** A few tries, and then the truth. */
function retry() {
  startTries += 1;
  if (startTries < 3) return setTimeout(() => !isGone && start(), 5000);
  go(() => {
    const again = () => {
      startTries = 0;
      go(hello);
      start();
    };
    show({ id: "not_yet", lines: [pack.say("not_yet")], choices: [{ name: pack.say("go_on"), drawing: "waiting", act: again }] });
  });
}

/** @type {any} */
let guardedAddress = null;

/** The worker's one address; where the browser guards such addresses, this policy gives this one and no other. */
function workerAddress() {
  const address = GATE + "/p/worker";
  const guard = /** @type {any} */ (window).trustedTypes;
  if (!guardedAddress) guardedAddress = guard ? guard.createPolicy("worker", { createScriptURL: () => address }).createScriptURL("") : address;
  return guardedAddress;
}

/** Starts the worker, once it has come. */
async function startWorker() {
  if (worker) return;
  const made = new Worker(workerAddress());
  await new Promise((resolve, reject) => {
    made.onmessage = resolve;
    made.onerror = reject;
  });
  worker = made;
}

/** @param {string} text */
function fromHex(text) {
  return Uint8Array.from(text.match(/../g) || [], (pair) => parseInt(pair, 16));
}

if (isWeChat || !isAble()) {
  elsewhere();
} else {
  go(hello);
  start();
}
