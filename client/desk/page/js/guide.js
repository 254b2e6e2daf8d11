// The first steps of a line, and the sheet of cards to print. On paper stands an address alone: nothing that says what it is.
import * as net from "./net.js";
import { app, guarded, hear } from "./frame.js";
import { el, fill, button, choice, coded } from "./draw.js";
import { t, now } from "./words.js";

/** Cards on a sheet. */
const CARDS = 12;

/** @returns {import("./frame.js").Screen} */
export function guide() {
  const body = el("div", { class: "page" });
  let drawn = false;

  async function refresh() {
    await guarded(async () => {
      const told = await net.ask("guide");
      if (drawn) return hear(told.header);
      drawn = true;
      draw(told);
    });
  }

  /** @param {any} told */
  function draw(told) {
    hear(told.header);
    const done = { line: true, published: told.published_until > now() + 86400, second: told.devices > 1, rota: told.has_rota, first: told.callers > 0 };
    const steps = ["line", "published", "second", "always_on", "rota", "cards", "teach", "first"];
    const sheet = el("div", { class: "sheet", "aria-label": t("sheet") });
    const which = choice(t("door"), "door", told.doors.map((/** @type {string} */ door) => [door, door]), told.doors[0] || "");
    const select = /** @type {HTMLSelectElement} */ (which.querySelector("select"));
    const drawSheet = () => fill(sheet, Array.from({ length: CARDS }, () => el("div", { class: "card" }, select.value)));
    select.addEventListener("change", drawSheet);
    fill(
      body,
      el("h1", {}, t("place_guide")),
      el("p", {}, coded(t("guide_says"))),
      el("ol", { class: "steps" }, steps.map((name) => {
        const is = /** @type {Record<string, boolean>} */ (done)[name];
        return el("li", { class: is ? "done" : "" }, el("h2", {}, t(`step_${name}`), is !== undefined && el("span", { class: "chip" }, t(is ? "step_done" : "step_open"))), el("p", {}, coded(t(`step_${name}_says`))));
      })),
      el("section", { class: "cards" }, el("h2", {}, t("sheet")), told.doors.length === 0 ? el("p", {}, coded(t("no_doors"))) : [el("p", {}, t("sheet_says")), which, button(t("print"), () => print(), { class: "main" }), sheet]),
    );
    if (told.doors.length > 0) drawSheet();
  }

  return { name: "guide", keys: { Escape: () => app.go("board") }, refresh, open: async (main) => (fill(main, body), await refresh()) };
}
