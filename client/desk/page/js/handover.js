// The end of a shift, and its beginning: whom I have, whom I am given, and what waits for a second worker.
import * as net from "./net.js";
import { app, guarded, hear, say, who } from "./frame.js";
import { el, fill, settle, button } from "./draw.js";
import { t, moment, since } from "./words.js";
import { handOverForm } from "./person.js";
import { proposalCard } from "./proposals.js";

/** @returns {import("./frame.js").Screen} */
export function handover() {
  const body = el("div", { class: "page" });
  /** Proposals as they came into sight, so that none moves under a hand that is about to press. @type {string[]} */
  const seen = [];

  async function refresh() {
    await guarded(async () => draw(await net.ask("hand_overs")));
  }

  /** @param {any} told */
  function draw(told) {
    hear(told.header);
    settle(
      body,
      el("h1", {}, t("place_handover")),
      part("with_you", told.mine, (row) => [button(t("hand_over"), () => void handOver(row), { class: "main" }), button(t("release"), () => void deed("release", { id: row.id }), { class: "plain" })], "yours_none"),
      part("to_you", told.to_me, (row) => [button(t("accept"), () => void deed("accept", { id: row.id }), { class: "main" })], "to_you_none"),
      part("given", told.given, () => [], "given_none"),
      el("section", {}, el("h2", {}, t("second_worker")), el("div", { class: "cards" }, cards(told.proposals))),
      el("section", { class: "off" }, el("h2", {}, t("go_off")), el("p", {}, t(told.mine.length > 0 ? "go_off_not_yet" : "go_off_says")), button(t("go_off"), () => void off(), { disabled: told.mine.length > 0, class: "main" })),
    );
  }

  /** @param {any[]} proposals the newest first */
  function cards(proposals) {
    const key = (/** @type {any} */ one) => `${one.by} ${one.seq}`;
    const open = proposals.filter((one) => one.state === "open").reverse();
    const decided = proposals.filter((one) => one.state !== "open").slice(0, 5);
    for (const one of [...open, ...decided]) if (!seen.includes(key(one))) seen.push(key(one));
    const shown = seen.map((name) => proposals.find((one) => key(one) === name)).filter((one) => !!one);
    const card = (/** @type {any} */ one) => el("div", { class: "with-open", "data-key": key(one) }, proposalCard(one, () => void refresh()), button(t("open_row"), () => app.go("person", one.caller), { class: "plain" }));
    return [open.length === 0 && el("p", {}, t("second_none")), ...shown.map(card)];
  }

  /**
   * @param {string} title
   * @param {any[]} rows
   * @param {(row: any) => HTMLElement[]} buttons
   * @param {string} none
   */
  function part(title, rows, buttons, none) {
    return el(
      "section",
      { "data-key": title },
      el("h2", {}, t(title)),
      rows.length === 0 && el("p", {}, t(none)),
      rows.map((row) =>
        el(
          "article",
          { class: "item", "data-key": row.id },
          el("p", { class: "meta" }, el("span", {}, el("b", {}, row.nickname), ` · ${t(`urgency_${row.urgency}`)}`), row.waiting_since && el("span", {}, t("waits", { long: since(row.waiting_since) }))),
          row.hand_over && el("p", {}, t(row.hand_over.to ? "over_by_to" : "over_by", { who: who(row.hand_over.by), to: row.hand_over.to ? who(row.hand_over.to) : "" }), ` · ${t("since_when", { when: moment(row.hand_over.since) })}`),
          row.next_step && el("p", {}, row.next_step),
          el("div", { class: "buttons" }, button(t("open_row"), () => app.go("person", row.id), { class: "plain" }), buttons(row)),
        ),
      ),
    );
  }

  /** @param {string} what @param {object} more */
  const deed = (what, more) => guarded(async () => {
    await net.act(what, more);
    await refresh();
    return true;
  });

  /** @param {any} row */
  async function handOver(row) {
    if (await handOverForm(row, (given) => deed("hand_over", { id: row.id, ...given }))) say(t("handed_over"));
  }

  async function off() {
    if (await deed("go_off", {})) say(t("gone_off"));
  }

  return { name: "handover", keys: { Escape: () => app.go("board") }, refresh, open: async (main) => (fill(main, body), await refresh()) };
}
