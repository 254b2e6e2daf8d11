// The line: its devices, its relays and their page, what is recorded; and the worst day.
import * as net from "./net.js";
import { app, guarded, hear, say, who } from "./frame.js";
import { el, fill, settle, button, askFor, field, choice, coded } from "./draw.js";
import { t, has, moment, day } from "./words.js";

/** @returns {import("./frame.js").Screen} */
export function devices() {
  const body = el("div", { class: "page" });
  let as = "";

  async function refresh() {
    await guarded(async () => draw(await net.ask("devices")));
  }

  /** @param {any} told */
  function draw(told) {
    hear(told.header);
    const { line, audit } = told;
    const { relays } = told.header;
    const now = JSON.stringify([line.devices, line.relays, relays, told.header.pages, audit, line.warnings, line.closed_until]);
    if (now === as) return;
    as = now;
    const lead = line.devices.some((/** @type {any} */ one) => one.mine && one.role === "lead");
    const pageOf = (/** @type {number} */ number) => told.header.pages.find((/** @type {any} */ page) => page.relay === number);
    const stateOf = (/** @type {number} */ number) => relays.find((/** @type {any} */ relay) => relay.number === number);
    settle(
      body,
      el("h1", {}, t("place_devices")),
      el(
        "section",
        {},
        el("h2", {}, t("devices")),
        line.devices.map((/** @type {any} */ one) => {
          const seen = told.header.team.find((/** @type {any} */ known) => known.device === one.device);
          return el(
            "article",
            { class: `item ${one.revoked ? "revoked" : ""}`, "data-key": one.device },
            el("p", { class: "meta" }, el("b", {}, who(one.device)), el("span", {}, t(`role_${one.role}`))),
            el("p", {}, one.revoked ? t("revoked") : seen?.reachable ? t("heard_lately") : t("not_heard"), ` · ${t("certified_until", { when: day(one.certified_until) })}`),
            !one.mine && !one.revoked && el("div", { class: "buttons" }, button(t("revoke"), () => void revoke(one.device), { class: "danger" })),
          );
        }),
        el("p", { class: "hint" }, coded(t("admit_hint"))),
      ),
      el(
        "section",
        {},
        el("h2", {}, t("relays")),
        line.relays.map((/** @type {any} */ one) => {
          const [state, page] = [stateOf(one.number), pageOf(one.number)];
          return el(
            "article",
            { class: "item", "data-key": `relay-${one.number}` },
            el("p", { class: "meta" }, el("b", {}, one.url), el("span", {}, t("relay_number", { n: one.number }))),
            el("p", {}, state ? t(`relay_${state.state}`, { when: moment(state.since) }) : t("relay_asking")),
            !told.header.practice && el("p", { class: page?.page === "not" ? "bad" : "" }, page ? t(`page_${page.page}`, { n: one.number }) : t("page_asking"), page && ` ${t("looked_at", { when: moment(page.at) })}`),
          );
        }),
        el("p", { class: "hint" }, t("page_hint")),
        el("p", {}, t("published_until", { when: moment(line.published_until) })),
        line.warnings.filter((/** @type {string} */ name) => has(`warning_${name}`)).map((/** @type {string} */ name) => el("p", { class: "notice warn" }, t(`warning_${name}`))),
      ),
      el(
        "section",
        {},
        el("h2", {}, t("bulletin")),
        el("p", {}, t("bulletin_says")),
        el("div", { class: "buttons" }, button(t("bulletin_raise"), () => void raise(), { class: "danger" }), lead && button(t("bulletin_void"), () => void voidAll(), { class: "plain" })),
      ),
      el("section", {}, el("h2", {}, t("kept_days")), el("p", {}, t("kept_days_says", { n: line.keep_days })), lead && el("div", { class: "buttons" }, button(t("change"), () => void keep(line.keep_days), { class: "plain" }))),
      el(
        "section",
        {},
        el("h2", {}, t("recorded")),
        el("p", { class: "hint" }, t(lead ? "recorded_lead" : "recorded_own")),
        audit.length === 0 ? el("p", {}, t("recorded_none")) : el("table", {}, el("thead", {}, el("tr", {}, ["when_day", "who", "what", "how_often"].map((name) => el("th", { scope: "col" }, t(name))))), el("tbody", {}, [...audit].reverse().map((/** @type {any} */ one) => el("tr", {}, el("td", {}, day(one.day * 86400)), el("td", {}, one.device ? who(one.device) : t("nobody_named")), el("td", {}, has(`audit_${one.act}`) ? t(`audit_${one.act}`) : one.act), el("td", {}, String(one.count)))))),
      ),
      el("section", { class: "burn" }, el("h2", {}, t("burn")), el("p", {}, t("burn_says")), el("div", { class: "buttons" }, button(t("burn"), () => void burn(), { class: "danger" }))),
    );
  }

  /** @param {string} device */
  async function revoke(device) {
    const isLead = app.header?.team.some((/** @type {any} */ one) => one.device === device && one.role === "lead");
    const says = [t("revoke_says", { who: who(device) }), isLead ? t("revoke_lead_says") : ""].filter(Boolean).join(" ");
    const given = await askFor({ title: t("revoke"), says, ok: t("revoke"), danger: true, cancel: t("back") });
    if (!given) return;
    if (app.header?.team.some((/** @type {any} */ one) => one.mine && one.role === "lead")) say(t("handing_in"));
    const told = await guarded(() => net.act("revoke", { device }));
    if (told) say(told.handed < told.relays ? t("revoke_handing", { n: told.handed, of: told.relays }) : t(`revoke_${told.became}`));
    await refresh();
  }

  async function raise() {
    const hours = /** @type {[string, string][]} */ ([4, 12, 24, 48, 168].map((n) => [String(n), t("hours", { n })]));
    const given = await askFor({
      title: t("bulletin_raise"),
      says: t("bulletin_raise_says"),
      fields: [choice(t("bulletin"), "code", [["1", t("bulletin_1")], ["2", t("bulletin_2")], ["3", t("bulletin_3")]], "1"), choice(t("bulletin_hours"), "hours", hours, "24")],
      ok: t("bulletin_raise"),
      danger: true,
      cancel: t("back"),
    });
    if (!given) return;
    const code = Number(given["code"]);
    const until = code === 2 ? Math.floor(Date.now() / 1000) + Number(given["hours"]) * 3600 : null;
    say(t("bulletin_raising"));
    const told = await guarded(() => net.act("bulletin", { code, closed_until: until }));
    if (told) say(t("bulletin_raised", { n: told.raised, of: told.relays }));
  }

  async function voidAll() {
    const sure = await askFor({ title: t("bulletin_void"), says: t("bulletin_void_says"), ok: t("bulletin_void"), danger: true, cancel: t("back") });
    if (!sure) return;
    say(t("handing_in"));
    const told = await guarded(() => net.act("bulletin", { code: null, closed_until: null }));
    if (told) say(told.handed < told.relays ? t("bulletin_voiding", { n: told.handed, of: told.relays }) : t("bulletin_voided"));
    await refresh();
  }

  /** @param {number} days */
  async function keep(days) {
    const given = await askFor({ title: t("kept_days"), says: t("kept_days_ask"), fields: [field(t("days_name"), { name: "days", type: "number", value: String(days), required: true })], ok: t("keep"), cancel: t("back") });
    if (!given) return;
    await guarded(() => net.act("keep", { days: Number(given["days"]) || 0 }));
    await refresh();
  }

  async function burn() {
    const word = t("burn_word");
    const given = await askFor({ title: t("burn"), says: [el("p", {}, t("burn_says")), el("p", {}, t("burn_type", { word }))], fields: [field(t("burn_field"), { name: "word", required: true })], ok: t("burn"), danger: true, cancel: t("back") });
    if (!given) return;
    if (String(given["word"]).trim().toLowerCase() !== word.toLowerCase()) return say(t("burn_not"), "bad");
    const done = await guarded(() => net.act("burn"));
    if (!done) return;
    app.burned(done.what);
  }

  return { name: "devices", keys: { Escape: () => app.go("board") }, refresh, open: async (main) => (fill(main, body), await refresh()) };
}
