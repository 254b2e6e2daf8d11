// A small picture for whoever would rather look than read. The same is said in words below it.
import { el, svg } from "./draw.js";
import { t, long, moment, day, now } from "./words.js";

const WIDE = 640;
const HIGH = 120;

/**
 * Waiting times of the last day and week, and who is on call.
 * @param {any} load
 * @param {any} rota
 */
export function picture(load, rota) {
  return el("div", { class: "charts", tabindex: "0" }, chart(load.day, t("last_day"), moment), chart(load.week, t("last_week"), day), coverage(rota));
}

/**
 * @param {any[]} spans
 * @param {string} title
 * @param {(at: number) => string} say
 */
function chart(spans, title, say) {
  const letters = spans.reduce((sum, span) => sum + span.letters, 0);
  const longest = Math.max(0, ...spans.map((span) => span.longest_s));
  const most = Math.max(600, longest);
  const step = WIDE / spans.length;
  const high = (/** @type {number} */ s) => Math.round((s / most) * (HIGH - 16));
  const bars = spans.flatMap((span, at) => {
    if (span.letters === 0) return [svg("rect", { x: at * step + 1, y: HIGH - 2, width: step - 2, height: 2, class: "empty" })];
    const [tall, usual] = [Math.max(3, high(span.longest_s)), Math.max(3, high(span.usual_s))];
    return [
      svg("rect", { x: at * step + 1, y: HIGH - tall, width: step - 2, height: tall, class: span.waiting > 0 ? "waiting" : "longest" }),
      svg("rect", { x: at * step + 1, y: HIGH - usual, width: step - 2, height: usual, class: "usual" }),
    ];
  });
  const said = letters === 0 ? t("no_letters") : t("chart_says", { n: letters, long: long(longest), waiting: spans.reduce((sum, span) => sum + span.waiting, 0) });
  return el("figure", {}, el("figcaption", {}, el("b", {}, title), " ", said), svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": `${title}: ${said}`, preserveAspectRatio: "none" }, ...bars), el("p", { class: "ends" }, el("span", {}, say(spans[0].from)), el("span", {}, t("now"))));
}

/**
 * The next seven days: when somebody is on call.
 * @param {any} rota
 */
export function coverage(rota) {
  const [from, until] = [now(), now() + 7 * 86400];
  const at = (/** @type {number} */ moment) => ((Math.min(Math.max(moment, from), until) - from) / (until - from)) * WIDE;
  const bars = rota.shifts.filter((/** @type {any} */ shift) => shift.until > from).map((/** @type {any} */ shift) => svg("rect", { x: at(shift.from), y: 6, width: Math.max(2, at(shift.until) - at(shift.from)), height: 18, class: "on" }));
  const days = Array.from({ length: 8 }, (_, n) => svg("rect", { x: (n * WIDE) / 7, y: 0, width: 1, height: 30, class: "day" }));
  const said = rota.shifts.length === 0 ? t("no_rota") : rota.gaps.length === 0 ? t("no_gaps") : t("gaps_count", { n: rota.gaps.length });
  return el("figure", {}, el("figcaption", {}, el("b", {}, t("on_call_week")), " ", said), svg("svg", { viewBox: `0 0 ${WIDE} 30`, role: "img", "aria-label": `${t("on_call_week")}: ${said}`, preserveAspectRatio: "none", class: "cover" }, ...days, ...bars), el("p", { class: "ends" }, el("span", {}, t("now")), el("span", {}, day(until))));
}
