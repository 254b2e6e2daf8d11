// Makes processes slow: node throttle.js TIMES PID…
//
// Of every period they run one part in TIMES and stand still for the rest. What a browser offers for this slows only the
// page's own thread, and a page computes in workers too. It ends, and the processes run freely, with SIGTERM or when its
// parent ends.
const [times, ...pids] = process.argv.slice(2).map(Number);
const RUN_MS = 5;
const parent = process.ppid;

/** @param {NodeJS.Signals} name */
function all(name) {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended: the others go on.
    }
  }
}

function free() {
  all("SIGCONT");
  process.exit(0);
}

function wait(/** @type {number} */ ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

process.on("SIGTERM", free);
console.log("slow");
(function turn() {
  if (process.ppid !== parent) free();
  // What was really waited counts: on a busy machine a short wait is a long one.
  all("SIGCONT");
  const from = performance.now();
  wait(RUN_MS);
  const ran = performance.now() - from;
  all("SIGSTOP");
  wait(ran * ((times || 1) - 1));
  setImmediate(turn);
})();
