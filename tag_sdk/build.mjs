// `npm run build`: writes the bundles.
import { mkdirSync, writeFileSync } from "node:fs";
import { bundles } from "./bundle.mjs";

for (const { files, content } of await bundles()) {
  for (const file of files) {
    const target = new URL(file, import.meta.url);
    mkdirSync(new URL(".", target), { recursive: true });
    writeFileSync(target, content);
    console.log(`wrote ${file}`);
  }
}
