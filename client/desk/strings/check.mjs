// Holds the board's sentences to their rules. Run: node --test client/desk/strings/check.mjs
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { pressing, pressingIn } from './pressing.mjs';

const LANGUAGES = ['en', 'ko', 'zh'];
const HEAD = ['_note', '_approved_by', '_approved_on'];

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');
const raw = Object.fromEntries(LANGUAGES.map((language) => [language, read(`${language}.json`)]));
const files = Object.fromEntries(LANGUAGES.map((language) => [language, JSON.parse(raw[language])]));
const sentences = LANGUAGES.flatMap((language) =>
  Object.entries(files[language]).filter(([key]) => !key.startsWith('_')).map(([key, text]) => [language, key, text]));
const script = readdirSync(new URL('../page/js', import.meta.url)).map((name) => read(`../page/js/${name}`)).join('\n');
const views = read('../src/view.rs');
const places = (text) => (text.match(/\{[^}]*\}/gu) ?? []).sort();

test('the check finds what presses', () => {
  assert.ok(pressing.length > 100, 'the list is read');
  for (const word of pressing) assert.ok(pressingIn(`x ${word} y`).includes(word), word);
  assert.deepEqual(pressingIn('mustard'), []);
  assert.deepEqual(pressingIn('You need not answer now'), []);
  assert.deepEqual(pressingIn('Do not fear, answer now'), ['answer now']);
});

test('all three files have the same keys in the same order, each once', () => {
  for (const language of LANGUAGES) {
    const keys = [...raw[language].matchAll(/^ {2}"([^"]+)":/gmu)].map(([, key]) => key);
    assert.deepEqual(keys.slice(0, HEAD.length), HEAD, language);
    assert.equal(new Set(keys).size, keys.length, `${language}: a key stands twice`);
    assert.deepEqual(keys, Object.keys(files.en), language);
  }
});

test('a file is a draft until a reader has signed it, with a name and a day', () => {
  for (const language of LANGUAGES) {
    const { _note: note, _approved_by: by, _approved_on: on } = files[language];
    assert.equal(by === '', on === '', `${language}: a name and a day, or neither`);
    if (by === '') assert.match(note, /DRAFT/u, language);
    else assert.match(on, /^\d{4}-\d{2}-\d{2}$/u, language);
  }
});

test('the same places are filled in in every language', () => {
  for (const [language, key, text] of sentences) assert.deepEqual(places(text), places(files.en[key]), `${language} ${key}`);
});

test('no sentence is empty, padded, decomposed or marked up', () => {
  for (const [language, key, text] of sentences) {
    const name = `${language} ${key}`;
    assert.notEqual(text, '', name);
    assert.equal(text, text.trim(), name);
    assert.equal(text, text.normalize('NFC'), name);
    assert.doesNotMatch(text, /[<>&\u0000-\u001f\u00ad\u200b-\u200f\u2028-\u202e\ufeff]| {2}/u, name);
    assert.equal((text.match(/`/gu) ?? []).length % 2, 0, name);
  }
});

test('no sentence presses anybody', () => {
  for (const [language, key, text] of sentences) {
    assert.deepEqual(pressingIn(text), [], `${language} ${key}: ${text}`);
  }
});

test('every sentence that the scripts ask for by name is there, and every one there is asked for', () => {
  const named = new Set([...`${script}${views}`.matchAll(/"(\w+)"/g)].map(([, name]) => name));
  const families = [...script.matchAll(/t\(`(\w+_)\$\{/g)].map(([, start]) => start).concat(['refused_', 'warning_', 'audit_']);
  for (const [, key] of script.matchAll(/\bt\("(\w+)"/g)) assert.ok(files.en[key] !== undefined, `${key} is missing`);
  const idle = Object.keys(files.en).filter((key) => !key.startsWith('_') && !named.has(key) && !families.some((start) => key.startsWith(start)));
  assert.deepEqual(idle, []);
});

test('each file keeps to its own script', () => {
  const named = /^tongue_/u;
  for (const [language, key, text] of sentences) {
    if (!named.test(key) && language !== 'ko') assert.doesNotMatch(text, /\p{Script=Hangul}/u, `${language} ${key}`);
    if (!named.test(key) && language === 'en') assert.doesNotMatch(text, /\p{Script=Han}/u, `${language} ${key}`);
  }
});
