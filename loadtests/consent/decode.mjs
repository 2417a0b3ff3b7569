// Decodes every line of a file of vectors with IAB Tech Lab's libraries and says how long one pass took.
// To be run where `npm install @iabtechlabtcf/core @iabgpp/cmpapi` was run: node decode.mjs FILE...
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "here.js"));
const { TCString } = require("@iabtechlabtcf/core");
const { GppModel } = require("@iabgpp/cmpapi");
const PASSES = 3;

const texts = readFileSync(process.argv[2], "utf8").trimEnd().split("\n");

function decodeAll() {
  for (const text of texts) {
    if (text.startsWith("DB")) new GppModel(text).toObject();
    else TCString.decode(text);
  }
}

decodeAll();
const used = [];
for (let pass = 0; pass < PASSES; pass++) {
  const before = process.cpuUsage();
  decodeAll();
  const { user, system } = process.cpuUsage(before);
  used.push((user + system) / 1e6);
}
console.log(JSON.stringify({ count: texts.length, seconds: Math.min(...used) }));
