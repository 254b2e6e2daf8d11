// Holds the pictures to the small part of SVG that the page's build reads. Run: node --test client/web/pictures/check.mjs
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

const HERE = new URL('./', import.meta.url);
const WHITE = 1;
/** What may stand on an element, and what its value looks like; the first must be there. */
const COLOUR = /^#(?:[0-9a-f]{3}|[0-9a-f]{6})$/u;
const NUMBER = /^-?(?:\d+(?:\.\d)?|\.\d)$/u;
const PATH = /^[MmLlHhVvCcSsQqTtAaZz0-9., -]+$/u;
const ELEMENTS = {
  path: { d: PATH, fill: /^(?:none|#(?:[0-9a-f]{3}|[0-9a-f]{6}))$/u, stroke: COLOUR, 'stroke-width': NUMBER, 'stroke-linecap': /^round$/u },
  circle: { cx: NUMBER, cy: NUMBER, r: NUMBER, fill: COLOUR, stroke: COLOUR },
  rect: { x: NUMBER, y: NUMBER, width: NUMBER, height: NUMBER, rx: NUMBER, fill: COLOUR },
  ellipse: { cx: NUMBER, cy: NUMBER, rx: NUMBER, ry: NUMBER, fill: COLOUR },
};
const BUTTONS = ('alone arrived back been_before by_sound clock close cover door first_time go_on help hide in_box languages memory more moving '
  + 'next no_thanks notice offline ok other_browser people private_window quiet read relative send shelves someone_else stop take_back '
  + 'talk undo waiting words write').split(' ');

const numbered = (count) => Array.from({ length: count }, (_, index) => String(index).padStart(2, '0'));
const FOLDERS = { marks: numbered(64), shelves: numbered(32), buttons: BUTTONS };

const names = (folder) => readdirSync(new URL(`${folder}/`, HERE)).map((file) => file.replace(/\.svg$/u, '')).sort();
const read = (folder, name) => readFileSync(new URL(`${folder}/${name}.svg`, HERE), 'utf8');
const pictures = Object.keys(FOLDERS).flatMap((folder) => names(folder).map((name) => [`${folder}/${name}`, read(folder, name)]));

/** The elements inside one picture: `[name, attributes]`. Throws at anything that is not one of them. */
function elements(svg) {
  const inside = /^<svg viewBox="0 0 32 32">((?:<[a-z]+(?: [a-z-]+="[^"<>&]*")*\/>)+)<\/svg>\n$/u.exec(svg);
  assert.ok(inside, 'one svg of 32 by 32 with empty elements and nothing else');
  return [...inside[1].matchAll(/<([a-z]+)((?: [a-z-]+="[^"]*")*)\/>/gu)].map(([, name, attributes]) =>
    [name, [...attributes.matchAll(/ ([a-z-]+)="([^"]*)"/gu)].map(([, key, value]) => [key, value])]);
}

/** Contrast of a colour against white, as WCAG 2 counts it. */
function contrast(colour) {
  const hex = colour.length === 4 ? [...colour.slice(1)].map((digit) => digit + digit) : colour.slice(1).match(/../gu);
  const [red, green, blue] = hex.map((pair) => parseInt(pair, 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return (WHITE + 0.05) / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05);
}

test('every picture is there and no other', () => {
  for (const [folder, expected] of Object.entries(FOLDERS)) assert.deepEqual(names(folder), [...expected].sort(), folder);
});

test('a picture is made of plain shapes with plain numbers and colours', () => {
  for (const [name, svg] of pictures) {
    for (const [element, attributes] of elements(svg)) {
      const allowed = ELEMENTS[element];
      assert.ok(allowed, `${name}: <${element}>`);
      assert.equal(new Set(attributes.map(([key]) => key)).size, attributes.length, `${name}: an attribute stands twice`);
      for (const [key, value] of attributes) {
        assert.ok(Object.hasOwn(allowed, key), `${name}: ${element} ${key}`);
        assert.match(value, allowed[key], `${name}: ${element} ${key}`);
      }
      const needed = { path: 'd', circle: 'r', rect: 'width', ellipse: 'rx' }[element];
      assert.ok(attributes.some(([key]) => key === needed), `${name}: ${element} without ${needed}`);
    }
  }
});

test('a path has coordinates of at most one decimal, none far outside', () => {
  for (const [name, svg] of pictures) {
    for (const [, attributes] of elements(svg)) {
      for (const number of Object.fromEntries(attributes).d?.match(/-?(?:\d*\.\d+|\d+)/gu) ?? []) {
        assert.match(number, /^-?\d*(?:\.\d)?$/u, `${name}: ${number}`);
        assert.ok(Math.abs(Number(number)) <= 33, `${name}: ${number}`);
      }
    }
  }
});

test('each picture has a first shape seen on white, and no two are alike', () => {
  for (const [name, svg] of pictures) {
    const colours = elements(svg).flatMap(([, attributes]) =>
      attributes.filter(([key, value]) => (key === 'fill' || key === 'stroke') && value !== 'none').map(([, value]) => value));
    assert.ok(Math.max(...colours.map(contrast)) >= 3, `${name} is too pale`);
  }
  for (const folder of Object.keys(FOLDERS)) {
    const seen = new Map();
    for (const name of names(folder)) {
      const shapes = read(folder, name).replace(/#[0-9a-f]+/gu, '');
      assert.ok(!seen.has(shapes), `${folder}: ${name} and ${seen.get(shapes)} differ in colour only`);
      seen.set(shapes, name);
    }
  }
});

test('the pictures stay small', () => {
  const average = (folder) => names(folder).reduce((sum, name) => sum + read(folder, name).length, 0) / FOLDERS[folder].length;
  for (const folder of Object.keys(FOLDERS)) assert.ok(average(folder) < 280, `${folder}: ${average(folder)} bytes`);
  for (const [name, svg] of pictures) assert.ok(svg.length < 560, `${name}: ${svg.length} bytes`);
});
