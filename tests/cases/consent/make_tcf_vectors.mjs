// Makes tcf_vectors.json, tcf_vectors.txt.gz and vendor_list_42.json, repeatably.
// In a folder where `npm install @iabtechlabtcf/core@1.5.21 @iabtcf/core@1.5.6` was run:
//   node make_tcf_vectors.mjs OUTPUT_FOLDER
//   node make_tcf_vectors.mjs --show TEXT
// The expected fields are what the library DECODES, for its encoder drops what the list forbids. The 200 of
// the first file are spelt out; the 10,000 of the second have a hash of the same JSON, and every twentieth
// one also that of 20 texts with one wrong bit ("-": refused).
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { current, digest, fields, flipped, list, make, older, READABLE, upTo } from "./tcf_strings.mjs";

const MANY = { wideEvery: 12, restricted: 0.25, odd: 0.06 };
const FLIPS = 20;

if (process.argv[2] === "--show") {
  console.log(JSON.stringify(fields(current, process.argv[3])));
  process.exit();
}
const folder = process.argv[2] ?? ".";
const spelt = (lib, library) => (index) => {
  const text = make(lib, index, READABLE);
  return { library, text, fields: fields(lib, text) };
};
const vectors = [
  ...upTo(170).map(spelt(current, "@iabtechlabtcf/core 1.5.21")),
  ...upTo(30).map(spelt(older, "@iabtcf/core 1.5.6")),
];
const lines = (rows) => `[\n${rows.map((row) => JSON.stringify(row)).join(",\n")}\n]\n`;
writeFileSync(join(folder, "tcf_vectors.json"), lines(vectors));

const many = upTo(10_000).map((index) => {
  const lib = index % 10 === 3 ? older : current;
  const text = make(lib, index, MANY);
  const wrong = index % FLIPS === 0 ? upTo(FLIPS).map((number) => digest(lib, flipped(text, number))) : [];
  return [text, digest(lib, text), ...wrong].join(" ");
});
writeFileSync(join(folder, "tcf_vectors.txt.gz"), gzipSync(`${many.join("\n")}\n`, { level: 9 }));

const brief = Object.values(list.vendors).map((v) => [v.id, { id: v.id, name: v.name, purposes: v.purposes,
  legIntPurposes: v.legIntPurposes, flexiblePurposes: v.flexiblePurposes, ...(v.deletedDate && { deletedDate: v.deletedDate }) }]);
writeFileSync(join(folder, "vendor_list_42.json"), JSON.stringify({ gvlSpecificationVersion: 3, vendorListVersion: 42,
  tcfPolicyVersion: 5, lastUpdated: list.lastUpdated, vendors: Object.fromEntries(brief) }).replaceAll('},"', '},\n"') + "\n");
