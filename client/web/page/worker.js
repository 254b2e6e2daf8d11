// Stretches words apart from the page, whose beats go on meanwhile. One for the whole visit, fetched by everyone.
"use strict";

/** @type {any} */
let calls = null;

self.onmessage = ({ data }) => {
  if (data.code) {
    calls = new WebAssembly.Instance(new WebAssembly.Module(data.code), {}).exports;
    return;
  }
  const at = calls.reserve();
  const words = data.words;
  new Uint8Array(calls.memory.buffer, at, words.length).set(words);
  words.fill(0);
  const length = calls.stretch(at);
  const place = new Uint8Array(calls.memory.buffer, at, 64);
  const key = length === 32 ? place.slice(0, 32) : new Uint8Array(0);
  place.fill(0);
  self.postMessage(key, /** @type {any} */ ([key.buffer]));
};

self.postMessage("here");
