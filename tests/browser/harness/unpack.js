// Unpacks the old Chromiums that npm has brought, into target/browsers: node harness/unpack.js
import { createReadStream, createWriteStream, existsSync, mkdirSync, renameSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";
import { file, OLD, UNPACKED } from "./browsers.js";

mkdirSync(UNPACKED, { recursive: true });
for (const name of OLD) {
  const packed = fileURLToPath(new URL(`../node_modules/${name}/bin/chromium.br`, import.meta.url));
  if (existsSync(file(name))) continue;
  const half = `${file(name)}.part`;
  await pipeline(createReadStream(packed), createBrotliDecompress(), createWriteStream(half, { mode: 0o755 }));
  renameSync(half, file(name));
}
