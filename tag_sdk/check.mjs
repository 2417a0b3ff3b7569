// `npm run check`: what is committed equals a fresh build, and every size is within its budget.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { bundles } from "./bundle.mjs";

const mistakes = [];
for (const { files, text, gzipBytesMax } of await bundles()) {
  for (const file of files) {
    const committed = readFileSync(new URL(file, import.meta.url), "utf8");
    const bytes = gzipSync(committed, { level: 9 }).length;
    console.log(`${file}: ${committed.length} bytes, ${bytes} gzipped of at most ${gzipBytesMax}`);
    if (committed !== text) mistakes.push(`${file} differs from its sources: run \`npm run build\``);
    if (bytes > gzipBytesMax) mistakes.push(`${file} has ${bytes} bytes gzipped, over its budget`);
  }
}
mistakes.forEach((mistake) => console.error(mistake));
process.exit(mistakes.length ? 1 : 0);
