// `npm run check`: what is committed equals a fresh build, and every size is within its budget.
import { readFileSync } from "node:fs";
import { brotliDecompressSync, gzipSync } from "node:zlib";
import { bundles, integrityOf } from "./bundle.mjs";

const mistakes = [];
for (const { files, content, gzipBytesMax } of await bundles()) {
  for (const file of files) {
    const committed = readFileSync(new URL(file, import.meta.url));
    const bytes = gzipSync(committed, { level: 9 }).length;
    const budget = gzipBytesMax ? `, ${bytes} gzipped of at most ${gzipBytesMax}` : "";
    console.log(`${file}: ${committed.length} bytes${budget}`);
    if (!same(file, committed, Buffer.from(content))) {
      mistakes.push(`${file} differs from its sources: run \`npm run build\``);
    }
    if (bytes > (gzipBytesMax ?? Infinity)) {
      mistakes.push(`${file} has ${bytes} bytes gzipped, over its budget`);
    }
    if (file === "dist/jumelle.js") console.log(`${file}: integrity ${integrityOf(committed)}`);
  }
}
mistakes.forEach((mistake) => console.error(mistake));
process.exit(mistakes.length ? 1 : 0);

/** Compressed files are equal when what is in them is: another Node may compress otherwise. */
function same(file, committed, fresh) {
  const [one, other] = file.endsWith(".br")
    ? [committed, fresh].map((each) => brotliDecompressSync(each))
    : [committed, fresh];
  return one.equals(other);
}
