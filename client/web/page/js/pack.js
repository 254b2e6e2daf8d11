// The pack of one language: sentences, words, shelves, drawings. Every language's pack has the same size, so its choice is not visible.

/**
 * @typedef {{strings: Record<string, string>, words: string, sounds: string, emoji: string, shelves: string,
 *   drawings: Record<string, Drawing>, marks: Drawing[], shelf_drawings: Drawing[]}} PackFile
 */

/** A language's pack, ready for use. Before it is there, the first screen's own few sentences stand in. */
class Pack {
  /** @param {Tongue} tongue */
  constructor(tongue) {
    this.tongue = tongue;
    /** @type {Record<string, string>} */
    this.strings = FIRST[tongue];
    /** @type {string[]} */
    this.words = [];
    /** @type {string[]} */
    this.emoji = [];
    /** @type {string[][]} each word's first two sounds */
    this.sounds = [];
    /** @type {string[]} */
    this.shelves = [];
    /** @type {Record<string, Drawing>} */
    this.drawings = FIRST_DRAWINGS;
    /** @type {Drawing[]} */
    this.marks = [];
    /** @type {Drawing[]} */
    this.shelfDrawings = [];
  }

  /** Fetches it. Throws if it did not come. */
  async load() {
    /** @type {PackFile} */
    const all = JSON.parse(new TextDecoder().decode(await file(this.tongue)));
    this.strings = all.strings;
    this.words = all.words.split(" ");
    this.emoji = all.emoji.split(" ");
    this.shelves = all.shelves.split("|");
    this.drawings = Object.assign({}, FIRST_DRAWINGS, all.drawings);
    this.marks = all.marks;
    this.shelfDrawings = all.shelf_drawings;
    this.sounds = this.words.map((word, index) => (all.sounds ? all.sounds.substr(2 * index, 2).split("") : sounds(word)));
  }

  /** @param {string} key */
  say(key) {
    return this.strings[key] || "";
  }
}

const CONSONANTS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ";
const VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ";

/**
 * The first consonant and vowel of a Korean word, the first two letters of an English one.
 * @param {string} word
 */
function sounds(word) {
  const code = word.charCodeAt(0) - 0xac00;
  if (code < 0 || code >= 11172) return [word.charAt(0), word.charAt(1)];
  return [CONSONANTS.charAt(Math.floor(code / 588)), VOWELS.charAt(Math.floor(code / 28) % 21)];
}
