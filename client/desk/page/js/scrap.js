// What is half written in a window: kept by the program as a draft is, so that neither a lock nor a refusal loses it.
import * as net from "./net.js";
import { askFor } from "./draw.js";
import { guarded } from "./frame.js";

/** How often at most the program is told, in milliseconds. */
const EVERY = 600;

/** What was typed in windows and is not told yet. @type {Map<string, {timer: number, said: Record<string, string>}>} */
const untold = new Map();
/** One after the other: what was typed later is told later. @type {Promise<unknown>} */
let told = Promise.resolve();

/** When the program has what was half written. */
export const scrapKept = () => {
  for (const [of, { said }] of untold) void keep(of, said);
  return told;
};

/** @param {string} of */
function drop(of) {
  clearTimeout(untold.get(of)?.timer);
  untold.delete(of);
}

/** @param {string} of @param {Record<string, string> | null} said */
function keep(of, said) {
  drop(of);
  told = told.then(() => net.act("scrap", { of, text: said && JSON.stringify(said) })).catch(() => {});
  return told;
}

/**
 * Asks in a window, and does what it is for. Until that is done, or thrown away, whatever stands in the window is kept.
 * The window opens at once: what is typed next is meant for it.
 * @param {string} of names the window
 * @param {Parameters<typeof askFor>[0]} what
 * @param {(given: Record<string, string>) => Promise<any>} act gives something true once it is done
 */
export async function asking(of, what, act) {
  let known = false;
  const earlier = guarded(() => net.ask("scrap", { of })).then((there) => {
    known = !!there;
    return there?.text ? JSON.parse(there.text) : null;
  });
  const typed = (/** @type {Record<string, string>} */ said) => {
    drop(of);
    untold.set(of, { timer: setTimeout(() => void keep(of, said), EVERY), said });
  };
  const given = await askFor({ ...what, earlier, typed });
  // What never came into sight is not thrown away with the window.
  if (!given && !known) return drop(of), false;
  if (given) await keep(of, given);
  if (given && !(await act(given))) return false;
  await keep(of, null);
  return !!given;
}
