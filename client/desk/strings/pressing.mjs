// The words that press, and whether a sentence holds one as the composer looks (`../src/weigh.rs`). DRAFT lists in Korean and Chinese.
import { readFileSync } from 'node:fs';

/** Every word of `../words/pressing.txt`. */
export const pressing = readFileSync(new URL('../words/pressing.txt', import.meta.url), 'utf8').split('\n').filter((line) => line !== '' && !line.startsWith('#'));

/** @param {string} word */
const isLatin = (word) => /^[\x00-\x7f]*$/.test(word);

/**
 * `You need not` answer: what is said within four words after that presses nobody.
 * @param {string} before
 */
const denies = (before) => before.trimEnd().split(/[.,;:!?]/).slice(-1).flatMap((clause) => clause.split(' ').slice(-4)).some((word) => /^(not|no|never)$|n't$/.test(word));

/**
 * The words of the list that a sentence holds and does not deny: Latin letters as whole words, others anywhere.
 * @param {string} text
 */
export const pressingIn = (text) => {
  const plain = text.normalize('NFKC').toLowerCase().replace(/[’‘`]/g, "'");
  /** @param {string} word */
  const isThere = (word) => [...plain.matchAll(new RegExp(`(?<![a-z0-9])${word}(?![a-z0-9])`, 'g'))].some(({ index }) => !denies(plain.slice(0, index)));
  return pressing.filter((word) => (isLatin(word) ? isThere(word) : plain.includes(word)));
};
