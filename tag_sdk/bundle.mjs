// Bundles the sources in memory: what `build.mjs` writes and `check.mjs` compares.
import { readFileSync } from "node:fs";
import { build } from "esbuild";

const here = (path) => new URL(path, import.meta.url);
const { version } = JSON.parse(readFileSync(here("package.json"), "utf8"));

/** Path of each built file (relative to this folder) -> where it goes, its text, its budget. */
export async function bundles() {
  return [
    {
      files: ["dist/jumelle.js"],
      text: await bundle("src/index.js", `/* jumelle.js ${version} */`),
      gzipBytesMax: 6 * 1024,
    },
    {
      files: ["dist/stub.js", "../service/demo/shop/stub.js"],
      text: await bundle("src/stub.js"),
      gzipBytesMax: 1024,
    },
  ];
}

async function bundle(entry, banner = "") {
  const result = await build({
    entryPoints: [here(entry).pathname],
    bundle: true,
    format: "iife",
    minify: true,
    target: "es2018",
    charset: "utf8",
    legalComments: "none",
    define: { __VERSION__: JSON.stringify(version) },
    banner: { js: banner },
    write: false,
  });
  return result.outputFiles[0].text;
}
