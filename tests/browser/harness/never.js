// What must never be there, whatever else hangs or is late: a run in which it was is not run again (run.js).
import assert from "node:assert/strict";

/** How it is said. */
export const NEVER = "MUST NEVER BE";

/**
 * Fails if it is so.
 * @param {boolean} is
 * @param {string} what
 */
export function never(is, what) {
  assert.ok(!is, `${NEVER}: ${what}`);
}
