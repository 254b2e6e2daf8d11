// What the first screen needs before anything else has come: the three languages' few sentences. The rest comes with the pack.

/**
 * A language of the page.
 * @typedef {"zh" | "ko" | "en"} Tongue
 */

/** @type {Record<Tongue, Record<string, string>>} */
const FIRST = {{first}};

/** How a language is offered on the first screen. No Hangul before a tap: on a phone set to Chinese it is itself a sign. */
const OFFERED = { zh: "中文", ko: "朝文", en: "EN" };

/** What `lang` says. */
const LANG = { zh: "zh-Hans", ko: "ko", en: "en" };

/** The number that a letter carries for its language (SPEC §8.1). */
const TONGUE_NUMBER = { zh: 0, ko: 1, en: 2 };

/**
 * What the build knows of the files that come later: each one's SHA-256, in hex.
 * @type {Record<string, string>}
 */
const HASHES = {{hashes}};

/**
 * Drawings that the first screens need.
 * @type {Record<string, Drawing>}
 */
const FIRST_DRAWINGS = {{drawings}};
