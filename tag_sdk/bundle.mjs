// Bundles the sources in memory: what `build.mjs` writes and `check.mjs` compares.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { brotliCompressSync, constants } from "node:zlib";
import { build } from "esbuild";
import { minify } from "terser";

const here = (path) => new URL(path, import.meta.url);
const { version } = JSON.parse(readFileSync(here("package.json"), "utf8"));

// Names of the tag's own values, which nobody outside it reads: they may be shortened.
const OWN_NAMES = /^(mayStore|handedOver|farewell|retryAfterMs|reference|callback|facts|texts)$/;

/** Each built file: where it goes (relative to this folder), its content, its budget if it has one. */
export async function bundles() {
  const tag = await bundle("src/index.js", { banner: `/* jumelle ${version} */`, map: true });
  const stub = await bundle("src/stub.js");
  const npm = await bundle("src/npm.js", { format: "esm", external: ["./jumelle.js"] });
  return [
    { files: ["dist/jumelle.js"], content: tag.code, gzipBytesMax: 6 * 1024 },
    { files: ["dist/jumelle.js.br"], content: brotli(tag.code) },
    { files: ["dist/jumelle.js.map"], content: tag.map },
    {
      files: ["dist/stub.js", "../service/demo/shop/stub.js"],
      content: stub.code,
      gzipBytesMax: 1024,
    },
    { files: ["dist/npm.js"], content: npm.code },
  ];
}

/** What a page writes into `integrity`, so that it runs this very file or none. */
export function integrityOf(content) {
  return `sha384-${createHash("sha384").update(content).digest("base64")}`;
}

async function bundle(entry, { format = "iife", banner = "", external = [], map = false } = {}) {
  const built = await build({
    entryPoints: [here(entry).pathname],
    bundle: true,
    format,
    external,
    minifySyntax: true,
    target: "es2020",
    charset: "utf8",
    legalComments: "none",
    define: { __VERSION__: JSON.stringify(version) },
    sourcemap: map && "external",
    outfile: here("dist/jumelle.js").pathname,
    write: false,
  });
  const [code, source] = [".js", ".map"].map(
    (ending) => built.outputFiles.find(({ path }) => path.endsWith(ending))?.text,
  );
  // Why a second tool: esbuild bundles, this one also inlines, which is worth 300 of 6,144 bytes.
  // Why not `toplevel`: it would take the stub out of its function, and its names into the page.
  return minify(code, {
    ecma: 2020,
    module: format === "esm",
    compress: { passes: 3, unsafe_arrows: true },
    mangle: { properties: { regex: OWN_NAMES } },
    format: { preamble: banner },
    sourceMap: map && { content: source, filename: "jumelle.js" },
  });
}

function brotli(text) {
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    [constants.BROTLI_PARAM_SIZE_HINT]: text.length,
  };
  return brotliCompressSync(text, { params });
}
