// Holds the caller's sentences to the rules of docs/CALLERS.md. Run: node --test client/web/strings/check.mjs
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { pressingIn } from '../../desk/strings/pressing.mjs';

const LANGUAGES = ['zh', 'ko', 'en'];
const HEAD = ['_note', '_approved_by', '_approved_on'];
const TITLE = '报平安';

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');
const lines = (text) => text.split('\n').filter((line) => line !== '');
const raw = Object.fromEntries(LANGUAGES.map((language) => [language, read(`${language}.json`)]));
const files = Object.fromEntries(LANGUAGES.map((language) => [language, JSON.parse(raw[language])]));
const forbidden = lines(read('forbidden.txt'));

/** The sentences alone: `[language, key, text]`, without what is written for the readers of the file. */
const sentences = LANGUAGES.flatMap((language) =>
  Object.entries(files[language]).filter(([key]) => !key.startsWith('_')).map(([key, text]) => [language, key, text]));

/** How many sentences a text has; one without a full stop is one. */
const sentenceCount = (text) => text.split(/[.!?]+(?=[\s”’)]|$)|[。！？]+/u).filter((part) => /[\p{L}\p{N}]/u.test(part)).length;

/** The forbidden words that a text holds, whatever its case and normal form. */
const forbiddenIn = (text) => forbidden.filter((word) => text.normalize('NFC').toLowerCase().includes(word));

/** Words that press a person, or claim what nobody can promise. In the word list some of them are harmless. */
const PRESSING = {
  zh: ['必须', '赶快', '快点', '为什么', '安全', '保密', '保证'],
  ko: ['해야 합니다', '빨리', '왜 ', '반드시', '안전', '비밀', '보장'],
  en: ['must', 'hurry', 'why did', 'have to', 'safe', 'secret', 'guarantee', 'private chat'],
};

const placeholders = (text) => (text.match(/\{[^}]*\}/gu) ?? []).sort();

test('the counter of sentences counts', () => {
  for (const [text, count] of [['One', 1], ['One.', 1], ['One. Two.', 2], ['One? Two! Three', 3], ['Wait …', 1], ['一。二？', 2],
    ['Ask “A”; he says “B”. Else go.', 2], ['하나입니다. 둘', 2]]) {
    assert.equal(sentenceCount(text), count, text);
  }
});

test('a forbidden word is found in any case and normal form', () => {
  for (const word of forbidden) assert.deepEqual(forbiddenIn(`x ${word.toUpperCase().normalize('NFD')} x`).includes(word), true, word);
});

test('of letters of earlier visits it is said neither how many arrived nor which', () => {
  // A receipt stays on the carousel for days. A letter written after it can have been lost, and there can be several.
  for (const [language, ...words] of [['en', 'last', 'One', 'one'], ['ko', '지난번', '하나'], ['zh', '上次', '一条']]) {
    for (const word of words) assert.ok(!files[language].earlier_letter_arrived.includes(word), language);
  }
});

test('all three files have the same keys in the same order, each once', () => {
  for (const language of LANGUAGES) {
    const keys = [...raw[language].matchAll(/^ {2}"([^"]+)":/gmu)].map(([, key]) => key);
    assert.deepEqual(keys.slice(0, HEAD.length), HEAD, language);
    assert.equal(new Set(keys).size, keys.length, `${language}: a key stands twice`);
    assert.deepEqual(keys, Object.keys(files.zh), language);
    assert.deepEqual(Object.keys(files[language]), keys, language);
    for (const key of keys) assert.match(key, /^_?[a-z]+(_[a-z0-9]+)*$/u);
  }
});

test('a file is a draft until a reader has signed it, with a name and a day', () => {
  for (const language of LANGUAGES) {
    const { _note: note, _approved_by: by, _approved_on: on } = files[language];
    assert.equal(by === '', on === '', `${language}: a name and a day, or neither`);
    if (by === '') assert.match(note, /DRAFT\. Not to be used with people/u, language);
    else assert.match(on, /^\d{4}-\d{2}-\d{2}$/u, language);
  }
});

test('no sentence is empty, padded, decomposed or marked up', () => {
  for (const [language, key, text] of sentences) {
    const name = `${language} ${key}`;
    assert.equal(typeof text, 'string', name);
    assert.notEqual(text, '', name);
    assert.equal(text, text.trim(), name);
    assert.equal(text, text.normalize('NFC'), name);
    assert.doesNotMatch(text, /[<>&\u0000-\u001f\u00ad\u200b-\u200f\u2028-\u202e\ufeff]| {2}/u, name);
  }
});

test('no text has more than two sentences', () => {
  for (const [language, key, text] of sentences) assert.ok(sentenceCount(text) <= 2, `${language} ${key}: ${text}`);
});

test('no text, word, shelf or picture holds a forbidden word', () => {
  for (const [language, key, text] of sentences) assert.deepEqual(forbiddenIn(text), [], `${language} ${key}`);
  const names = ['words', 'shelves', 'pictures'].flatMap((name) => lines(read(`../../../proto/words/${name}.tsv`)));
  assert.ok(names.length > 1024, 'the lists are read');
  for (const row of names) assert.deepEqual(forbiddenIn(row), [], row);
});

test('no sentence presses her or promises too much', () => {
  for (const [language, key, text] of sentences) {
    for (const word of PRESSING[language]) assert.ok(!text.toLowerCase().includes(word), `${language} ${key}: ${word}`);
  }
});

test('no sentence holds what the board asks a worker about before it is sent; bulletins and the stop are among them', () => {
  for (const key of ['stop_do_not_go', 'bulletin_1', 'bulletin_2', 'bulletin_2_undated', 'bulletin_3', 'next', 'if_late']) {
    for (const language of LANGUAGES) assert.ok(files[language][key], `${language} ${key}`);
  }
  for (const [language, key, text] of sentences) assert.deepEqual(pressingIn(text), [], `${language} ${key}: ${text}`);
});

test('neither does a sentence of the program for callers', () => {
  const [, callers = ''] = read('../../cli/src/sentences.rs').match(/^\/\/ ── callers ─+$(.*?)^\/\/ ── /msu) ?? [];
  const said = [...callers.matchAll(/"((?:[^"\\]|\\.)*)"/gsu)].map(([, text]) => text.replace(/\\\n\s*/gu, ''));
  assert.ok(said.some((text) => text.includes('do not go to any meeting')), 'the notices are among them');
  for (const text of said) assert.deepEqual(pressingIn(text), [], text);
});

test('the same places are filled in in every language', () => {
  for (const key of Object.keys(files.zh)) {
    for (const language of LANGUAGES) {
      assert.deepEqual(placeholders(files[language][key]), placeholders(files.zh[key]), `${language} ${key}`);
    }
  }
});

test('the title is one and the same, because it stays in the history', () => {
  for (const language of LANGUAGES) assert.equal(files[language].title, TITLE, language);
});

test('each file keeps to its own script', () => {
  const languageName = /^language_/u;
  for (const [language, key, text] of sentences) {
    if (languageName.test(key)) continue;
    if (language !== 'ko') assert.doesNotMatch(text, /\p{Script=Hangul}/u, `${language} ${key}`);
    if (language !== 'en') assert.doesNotMatch(text.replace(/\{[^}]*\}/gu, ''), /[a-z]/iu, `${language} ${key}`);
  }
});

test('no word of the Korean file is spelt differently in the North', () => {
  // Hanja read ㄹ or ㄴ there, doubled consonants of questions, and -어 after ㅣ: each would say where the writer is from.
  const southern = ['연결', '연락', '내일', '이용', '여성', '여자', '이해', '이유', '염려', '요금', '까요', '되어', '하여', '뒷', '냇', '페이지', '버튼', '메시지'];
  for (const [key, text] of Object.entries(files.ko)) {
    for (const word of southern) assert.ok(!text.includes(word), `${key}: ${word}`);
  }
});
