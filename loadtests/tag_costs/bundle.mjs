// Bundles the entries beside this file as a site's build would: `node bundle.mjs ENTRIES OUT`.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const [folder, out] = process.argv.slice(2);
const entries = readdirSync(folder).filter((name) => name.endsWith(".js"));
await build({
  entryPoints: entries.map((name) => join(folder, name)),
  outdir: out,
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2020",
  define: { "process.env.NODE_ENV": '"production"' },
  legalComments: "none",
});
