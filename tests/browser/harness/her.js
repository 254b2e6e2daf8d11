// A caller at the page: she taps what she sees, and nothing else. Every screen she comes to is held against the page's rules.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { WORKSPACE } from "./browsers.js";

/** @typedef {"zh" | "ko" | "en"} Tongue */

/** The page's languages; the first is what it speaks before a tap. @type {Tongue[]} */
export const TONGUES = ["zh", "ko", "en"];
/** How the first screen offers each. */
const OFFERED = { zh: "中文", ko: "朝文", en: "EN" };
/** Where screenshots are kept, outside what is committed. */
export const SCREENSHOTS = `${WORKSPACE}/target/browsers/screenshots`;
/** Words on a shelf. */
const SHELF_WORDS = 32;
/** Milliseconds in which a letter reaches the desk and its receipt comes back, on a quick line on a busy machine. */
const ROUND_MS = 90_000;
/** Milliseconds in which a browser makes a click of a tap, on a busy machine. */
const CLICK_MS = 3_000;

/**
 * What the page says in a language, by name.
 * @param {Tongue} tongue
 * @returns {Record<string, string>}
 */
export function strings(tongue) {
  return JSON.parse(readFileSync(`${WORKSPACE}/client/web/strings/${tongue}.json`, "utf8"));
}

/** Words that must be on no screen. */
const FORBIDDEN = readFileSync(`${WORKSPACE}/client/web/strings/forbidden.txt`, "utf8").split("\n").filter((word) => word && !word.startsWith("#"));

/** The title, on every screen. */
const TITLE = String(strings("zh")["title"]);

/** What a caller does with one page. */
export class Her {
  /**
   * @param {import("./browsers.js").AnyBrowser} browser
   * @param {Tongue} tongue
   * @param {string} [shots] the beginning of the names of her screenshots; none are taken without it
   */
  constructor(browser, tongue, shots) {
    this.browser = browser;
    this.tongue = tongue;
    this.strings = strings(tongue);
    this.shots = shots;
    this.taps = 0;
    /** Screens seen, in order. @type {string[]} */
    this.seen = [];
  }

  /**
   * Opens the door and chooses her language.
   * @param {string} url
   */
  async arrive(url) {
    await this.browser.open(url);
    await this.at("hello", { tongue: "zh" });
    if (this.tongue === "zh") return;
    await this.tap(OFFERED[this.tongue]);
    await this.at("hello");
  }

  /** @param {string} key of the strings */
  say(key) {
    const said = this.strings[key];
    assert.ok(said, `there is no string ${key}`);
    return said;
  }

  /**
   * Waits for a screen, holds it against the rules and keeps a picture of it.
   * @param {string} screen
   * @param {{tongue?: Tongue, patience?: number}} [how]
   */
  async at(screen, { tongue = this.tongue, patience = ROUND_MS } = {}) {
    const is = (/** @type {string} */ wanted) => {
      const main = document.querySelector("#screen");
      return main instanceof HTMLElement && main.dataset["screen"] === wanted;
    };
    await this.browser.waitAtMost(patience, is, screen).catch(async (error) => {
      throw new Error(`${screen} did not come; the page says:\n${await this.browser.text()}\n${error}`);
    });
    this.seen.push(screen);
    await this.rules(screen, tongue);
    if (this.shots && this.browser.name === "chromium") assert.deepEqual(await axe(this.browser), [], `${tongue}, ${screen}: axe`);
    if (this.shots) await this.browser.screenshot(`${SCREENSHOTS}/${this.shots}-${String(this.seen.length).padStart(2, "0")}-${screen}.png`);
  }

  /**
   * The rules of every screen.
   * @param {string} screen
   * @param {Tongue} tongue
   */
  async rules(screen, tongue) {
    const page = await this.browser.evaluate(measure);
    const where = `${this.browser.name}, ${tongue}, ${screen}`;
    const sentences = page.sentences.join(" ").split(/[.!?。！？…]+/).filter((part) => /\p{L}|\p{N}/u.test(part));
    assert.ok(sentences.length <= 2, `${where}: more than two sentences: ${page.sentences}`);
    assert.ok(page.choices <= 4, `${where}: ${page.choices} choices`);
    assert.deepEqual(page.small, [], `${where}: too small for a finger`);
    assert.deepEqual(page.cut, [], `${where}: cut off`);
    assert.ok(page.close, `${where}: no way out`);
    assert.ok(page.close.top >= (page.height * 2) / 3 && page.close.bottom <= page.height, `${where}: Close at ${JSON.stringify(page.close)} of ${page.height}`);
    assert.ok(page.wide <= page.width, `${where}: wider than the phone: ${page.wide} of ${page.width}`);
    assert.equal(page.title, TITLE, where);
    assert.equal(page.translate, "no", where);
    const words = FORBIDDEN.filter((word) => page.text.includes(word));
    assert.deepEqual(words, [], `${where}: forbidden words`);
    if (tongue !== "ko") assert.doesNotMatch(page.said, /\p{Script=Hangul}/u, `${where}: Hangul`);
  }

  /**
   * Taps the button that says this; again, as anybody would, if the browser made no click of it. Each time counts.
   * @param {string} label
   */
  async tap(label) {
    for (let nth = 1; ; nth += 1) {
      const place = await this.placeOf(label);
      await this.browser.evaluate(expectClick);
      await this.browser.touch(place);
      this.taps += 1;
      // Whoever cannot be asked any more has left the page, by this tap.
      const isHeard = await this.browser.waitAtMost(CLICK_MS, wasClicked).catch(() => this.browser.evaluate(wasClicked).catch(() => true));
      if (isHeard) return;
      assert.ok(nth < 3, `${this.browser.name}: “${label}” takes no tap`);
      console.log(`${this.browser.name}: “${label}” was tapped again`);
    }
  }

  /**
   * Where a button stands that says this, once it stands still: a finger that comes down while the page moves meets its neighbour.
   * @param {string} label
   * @returns {Promise<import("./browser.js").Point>}
   */
  async placeOf(label) {
    for (let before = null; ; ) {
      const found = await this.browser.waitFor(middleOf, label).catch(async (error) => {
        throw new Error(`${this.browser.name}: nothing says “${label}”; the page says:\n${await this.browser.text()}\n${error}`);
      });
      const place = /** @type {import("./browser.js").Point} */ (found);
      if (before && before.x === place.x && before.y === place.y) return place;
      before = place;
    }
  }

  /** @param {string} key of the strings */
  choose(key) {
    return this.tap(this.say(key));
  }

  /** From the first screen to the first question. */
  async begin() {
    await this.choose("first_time");
    await this.at("truth");
    await this.choose("go_on");
    await this.at("statuses");
  }

  /** @param {string} status `ok`, `help`, `moving` or `talk` */
  async checkIn(status) {
    await this.choose(status);
    await this.at("ready");
    await this.choose("send");
    await this.at("sent");
  }

  /**
   * Waits until the present screen says this.
   * @param {string} said
   * @param {number} [patience] in milliseconds
   */
  async hears(said, patience = ROUND_MS) {
    const says = (/** @type {string} */ wanted) => (/** @type {Element} */ (document.querySelector("#screen")).textContent || "").includes(wanted);
    await this.browser.waitAtMost(patience, says, said).catch(async (error) => {
      throw new Error(`“${said}” did not come; the page says:\n${await this.browser.text()}\n${error}`);
    });
  }

  /** Whether the letter has arrived at the desk: two ticks. */
  async arrived() {
    await this.hears(this.say("arrived"));
    await this.at("sent");
  }

  /**
   * Goes through the eight words, and gives them back.
   * @returns {Promise<string[]>}
   */
  async learn() {
    await this.choose("my_words");
    await this.at("teach0");
    const first = await this.browser.evaluate(taught);
    await this.choose("go_on");
    await this.at("teach1");
    const words = [...first, ...(await this.browser.evaluate(taught))];
    assert.equal(words.length, 8);
    await this.choose("go_on");
    await this.at("tap_back");
    await this.enter(words);
    await this.at("learned");
    return words;
  }

  /**
   * Taps words in on the shelves: a shelf, a word.
   * @param {string[]} words
   */
  async enter(words) {
    for (const word of words) {
      const shelf = Math.floor(WORDS[this.tongue].indexOf(word) / SHELF_WORDS);
      assert.ok(shelf >= 0, `${word} is no word`);
      await this.openShelf(shelf + 1);
      await this.tap(word);
      const spill = await this.browser.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(spill <= 0, `${this.browser.name}: ${spill} px wider than the phone with ${words.join(" ")}, after ${word}`);
    }
  }

  /**
   * Taps a shelf, until its words are there: a shelf may be called as a word on it.
   * @param {number} nth from 1
   */
  async openShelf(nth) {
    const selector = `.pad button:not([data-word]):nth-child(${nth})`;
    for (let tries = 1; ; tries += 1) {
      await this.browser.evaluate(expectClick);
      await this.browser.tap(selector);
      this.taps += 1;
      if (await this.browser.waitAtMost(CLICK_MS, isOpen).catch(() => false)) return;
      const met = await this.browser.evaluate(clickMet);
      // A click that came late opens a shelf late.
      if (met && (await this.browser.waitAtMost(CLICK_MS, isOpen).catch(() => false))) return;
      assert.ok(tries < 3 && !met, `${this.browser.name}: ${selector} opens no shelf; the click met ${JSON.stringify(met)}`);
      console.log(`${this.browser.name}: ${selector} was tapped again`);
    }
  }

  /**
   * Comes back with her words.
   * @param {string[]} words
   */
  async comeBack(words) {
    await this.choose("been_before");
    await this.at("truth");
    await this.choose("go_on");
    await this.at("entry");
    await this.enter(words);
    await this.hears(this.say("yes_mine"));
    await this.at("recognise");
    await this.choose("yes_mine");
  }

  /**
   * Reads the answer that is there, and gives its text.
   * @returns {Promise<string>}
   */
  async read() {
    await this.choose("read_answer");
    await this.at("read0");
    return this.browser.text(".letter");
  }

  /** Closes the page, and waits until the dull one is there. */
  async leave() {
    await this.choose("close");
    await this.browser.waitFor(() => location.href === "about:blank");
  }
}

const AXE = readFileSync(`${WORKSPACE}/tests/browser/node_modules/axe-core/axe.min.js`, "utf8");

/**
 * What axe-core finds wrong with a page, by all of its rules.
 * @param {import("./browsers.js").AnyBrowser} browser
 * @returns {Promise<string[]>}
 */
export async function axe(browser) {
  if (!(await browser.evaluate(() => "axe" in window))) await browser.evaluate(/** @type {() => void} */ (new Function(AXE)));
  return browser.evaluate(async () => {
    const { violations } = await /** @type {any} */ (window).axe.run(document, { resultTypes: ["violations"] });
    return violations.map((/** @type {any} */ one) => `${one.id}: ${one.nodes.map((/** @type {any} */ node) => node.html).join(" ")}`);
  });
}

/** The word list, by language. @type {Record<Tongue, string[]>} */
const WORDS = wordList();

function wordList() {
  const [names, ...rows] = readFileSync(`${WORKSPACE}/proto/words/words.tsv`, "utf8").trim().split("\n").map((row) => row.split("\t"));
  const column = (/** @type {string} */ name) => rows.map((row) => String(row[(names || []).indexOf(name)]));
  return { ko: column("ko"), zh: column("zh"), en: column("en") };
}

/**
 * Words of one language in another.
 * @param {string[]} words
 * @param {Tongue} from
 * @param {Tongue} to
 */
export function inTongue(words, from, to) {
  return words.map((word) => String(WORDS[to][WORDS[from].indexOf(word)]));
}

/**
 * Every word of the list, in every script: what must not stay on a telephone.
 * @param {string[]} words of one language
 * @param {Tongue} tongue
 */
export function inEveryScript(words, tongue) {
  const indexes = words.map((word) => WORDS[tongue].indexOf(word));
  return TONGUES.flatMap((each) => indexes.map((index) => String(WORDS[each][index])));
}

/** In the page: what the rules are held against. */
function measure() {
  const text = (/** @type {Element} */ node) => (node.textContent || "").trim();
  const seen = (/** @type {Element} */ node) => node.getBoundingClientRect().width > 0;
  const buttons = Array.from(document.querySelectorAll("button")).filter(seen);
  const box = (/** @type {Element} */ node) => node.getBoundingClientRect();
  const close = document.querySelector("#close");
  const parts = Array.from(document.querySelectorAll("button, button span, h1, p, li, li span")).filter(seen);
  const said = Array.from(document.querySelectorAll("#screen, #ways"));
  return {
    sentences: Array.from(document.querySelectorAll("#screen h1, #screen p:not(.small):not(.address)")).map(text),
    choices: document.querySelectorAll("[data-choice]").length,
    small: buttons.filter((node) => box(node).width < 48 || box(node).height < 48).map(text),
    cut: parts.filter((node) => node.scrollWidth > node.clientWidth + 1 && node.clientWidth > 0).map(text),
    close: close && { top: box(close).top, bottom: box(close).bottom },
    wide: document.documentElement.scrollWidth,
    // What is seen. The page may be laid out wider, and then `innerWidth` is that.
    width: document.documentElement.clientWidth,
    height: document.documentElement.clientHeight,
    title: document.title,
    translate: document.documentElement.getAttribute("translate"),
    text: document.body.innerText,
    said: said.map((node) => node.textContent || "").join(" "),
  };
}

/** In the page: the words on a screen that teaches them. */
function taught() {
  return Array.from(document.querySelectorAll(".taught li > span:last-child")).map((node) => node.textContent || "");
}

/** In the page: remembers that a click is due, and what it meets. */
function expectClick() {
  const page = /** @type {{isClickDue?: boolean, clickMet?: unknown} & Window} */ (window);
  page.isClickDue = true;
  page.clickMet = null;
  const hear = (/** @type {MouseEvent} */ event) => {
    const target = /** @type {Element} */ (event.target);
    const root = document.documentElement;
    page.isClickDue = false;
    page.clickMet = { met: target.outerHTML.slice(0, 80), at: [event.clientX, event.clientY], scrolled: scrollY, wide: root.scrollWidth, of: root.clientWidth };
  };
  document.addEventListener("click", hear, { capture: true, once: true });
}

/** In the page: what it met; nothing if there was none. */
function clickMet() {
  return /** @type {{clickMet?: unknown} & Window} */ (window).clickMet;
}

/** In the page: whether a shelf is open. */
function isOpen() {
  return document.querySelector(".pad [data-word]") !== null;
}

/** In the page: whether it has come. A page that came by it expects none. */
function wasClicked() {
  return !(/** @type {{isClickDue?: boolean} & Window} */ (window).isClickDue);
}

/**
 * In the page: the middle of the button that says this, once a finger there would meet it.
 * @param {string} label
 * @returns {import("./browser.js").Point | null}
 */
function middleOf(label) {
  const says = (/** @type {Element} */ node) => {
    const last = node.querySelector("span:last-child") || node;
    return (last.textContent || "").trim() === label;
  };
  const found = Array.from(document.querySelectorAll("button")).find(says);
  if (!found) return null;
  found.scrollIntoView({ block: "center", inline: "center" });
  const box = found.getBoundingClientRect();
  const point = { x: box.left + box.width / 2, y: box.top + box.height / 2 };
  const met = document.elementFromPoint(point.x, point.y);
  // A finger comes down on what is seen, which may be a part of what is laid out.
  const seen = window.visualViewport || { offsetLeft: 0, offsetTop: 0 };
  return met && found.contains(met) ? { x: point.x - seen.offsetLeft, y: point.y - seen.offsetTop } : null;
}
