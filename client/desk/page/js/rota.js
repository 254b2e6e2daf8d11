// Who is on call, who is next, and when nobody is.
import * as net from "./net.js";
import { app, guarded, hear, who, colleagues } from "./frame.js";
import { el, fill, settle, button, askFor, field, choice } from "./draw.js";
import { t, moment, long, now } from "./words.js";
import { coverage } from "./picture.js";

/** @returns {import("./frame.js").Screen} */
export function rota() {
  const body = el("div", { class: "page" });

  async function refresh() {
    await guarded(async () => draw(await net.ask("rota")));
  }

  /** @param {any} told */
  function draw(told) {
    hear(told.header);
    const { shifts, gaps } = told.rota;
    settle(
      body,
      el("h1", {}, t("place_rota")),
      coverage(told.rota),
      el("section", {}, el("h2", {}, t("gaps")), shifts.length === 0 ? el("p", {}, t("no_rota_says")) : gaps.length === 0 ? el("p", {}, t("no_gaps")) : el("ul", {}, gaps.map((/** @type {any} */ gap) => el("li", {}, t("gap", { from: moment(gap.from), until: moment(gap.until), long: long(gap.until - gap.from) }))))),
      el(
        "section",
        {},
        el("h2", {}, t("shifts")),
        el("div", { class: "buttons" }, button(t("add_shift"), () => void add(), { class: "main" })),
        shifts.map((/** @type {any} */ shift) =>
          el(
            "article",
            { "data-key": `${shift.by} ${shift.seq}`, class: `item ${shift.from <= now() && now() < shift.until ? "now" : ""}` },
            el("p", { class: "meta" }, el("b", {}, who(shift.device)), el("span", {}, `${moment(shift.from)} – ${moment(shift.until)}`)),
            el("div", { class: "buttons" }, shift.until > now() && button(t("strike"), () => void strike(shift), { class: "plain" })),
          ),
        ),
      ),
    );
  }

  /** @param {string} what @param {object} more */
  const deed = (what, more) => guarded(async () => {
    await net.act(what, more);
    await refresh();
  });

  /** @param {any} shift */
  async function strike(shift) {
    const says = t("strike_says", { who: who(shift.device), from: moment(shift.from), until: moment(shift.until) });
    const sure = await askFor({ title: t("strike"), says, ok: t("strike"), cancel: t("back") });
    if (sure) await deed("strike", { by: shift.by, seq: shift.seq });
  }

  async function add() {
    const team = /** @type {[string, string][]} */ ([[app.header.device, t("you")], ...colleagues().map((/** @type {any} */ one) => [one.device, who(one.device)])]);
    const local = (/** @type {number} */ at) => new Date((at - new Date(at * 1000).getTimezoneOffset() * 60) * 1000).toISOString().slice(0, 16);
    const from = Math.ceil(now() / 3600) * 3600;
    const given = await askFor({
      title: t("add_shift"),
      says: t("add_shift_says"),
      fields: [choice(t("who"), "device", team, app.header.device), field(t("from"), { name: "from", type: "datetime-local", value: local(from), required: true }), field(t("until"), { name: "until", type: "datetime-local", value: local(from + 8 * 3600), required: true })],
      ok: t("keep"),
      cancel: t("back"),
    });
    if (!given) return;
    const at = (/** @type {string} */ text) => Math.floor(new Date(text).getTime() / 1000);
    await deed("shift", { device: given["device"], from: at(String(given["from"])), until: at(String(given["until"])) });
  }

  return { name: "rota", keys: { Escape: () => app.go("board") }, refresh, open: async (main) => (fill(main, body), await refresh()) };
}
