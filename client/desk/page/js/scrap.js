// What is half written in a window: kept by the program as a draft is, so that neither a lock nor a refusal loses it.
import * as net from "./net.js";
import { askFor } from "./draw.js";
import { guarded } from "./frame.js";

/** How often at most the program is told, in milliseconds. */
const EVERY = 600;

let telling = 0;
/** @type {Promise<unknown>} */
let told = Promise.resolve();
/** @type {(() => void) | null} */
let tellNow = null;

/** When the program has what was half written. */
export const scrapKept = () => {
  tellNow?.();
  return told;
};

/** @param {string} of @param {Record<string, string> | null} said */
function keep(of, said) {
  clearTimeout(telling);
  tellNow = null;
  told = net.act("scrap", { of, text: said && JSON.stringify(said) }).catch(() => {});
  return told;
}

/**
 * Asks in a window, and does what it is for. Until that is done, or thrown away, whatever stands in the window is kept.
 * @param {string} of names the window
 * @param {Parameters<typeof askFor>[0]} what
 * @param {(given: Record<string, string>) => Promise<any>} act gives something true once it is done
 */
export async function asking(of, what, act) {
  const there = await guarded(() => net.ask("scrap", { of }));
  if (!there) return false;
  const kept = there.text ? JSON.parse(there.text) : null;
  for (const field of kept ? what.fields || [] : []) {
    const input = /** @type {HTMLInputElement | null} */ (field.querySelector("input, textarea, select"));
    if (input && kept[input.name] !== undefined) input.value = kept[input.name];
  }
  const typed = (/** @type {Record<string, string>} */ said) => {
    clearTimeout(telling);
    tellNow = () => void keep(of, said);
    telling = setTimeout(tellNow, EVERY);
  };
  const given = await askFor({ ...what, begun: !!kept, typed });
  if (given) await keep(of, given);
  if (given && !(await act(given))) return false;
  await keep(of, null);
  return !!given;
}
