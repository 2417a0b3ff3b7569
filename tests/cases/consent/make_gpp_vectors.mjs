// Makes gpp_vectors.json and gpp_vectors.txt.gz with IAB Tech Lab's own GPP encoder, repeatably.
// In a folder where `npm install @iabgpp/cmpapi@3.2.0` was run:
//   node make_gpp_vectors.mjs OUTPUT_FOLDER
//   node make_gpp_vectors.mjs --show TEXT
// The 104 strings of the first file are spelt out; the 2,000 of the second have a hash of the same JSON, with
// the notices that were given.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";

const require = createRequire(join(process.cwd(), "here.js"));
const { GppModel } = require("@iabgpp/cmpapi");
const { Sections } = require(join(dirname(require.resolve("@iabgpp/cmpapi")), "encoder/section/Sections.js"));

let state = 7;
const random = () => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return ((state >>> 8) & 0xffffff) / 0x1000000;
};
const below = (n) => Math.floor(random() * n);
const chance = (p) => random() < p;

const TWO_BITS = (name) => !/Version|Gpc|SensitiveDataProcessing$|KnownChild/.test(name);
const STATES = [...Sections.SECTION_ID_NAME_MAP.keys()].filter((id) => id >= 7).sort((a, b) => a - b);

function fill(model, id) {
  const name = Sections.SECTION_ID_NAME_MAP.get(id);
  model.setFieldValue(name, "SaleOptOut", below(3));
  const fields = Object.keys(flat(model.getSection(name)));
  if (id === 7) model.setFieldValue(name, "Version", 1 + below(2));
  for (const field of fields) {
    if (field === "MspaVersion") continue;
    if (field === "MspaCoveredTransaction") model.setFieldValue(name, field, 1 + below(2));
    else if (field === "Gpc") model.setFieldValue(name, field, chance(0.3));
    else if (TWO_BITS(field)) model.setFieldValue(name, field, below(3));
    else if (/SensitiveDataProcessing$|KnownChild/.test(field)) {
      const value = model.getFieldValue(name, field);
      const any = () => (chance(0.2) ? 1 : 2 * below(2));
      model.setFieldValue(name, field, Array.isArray(value) ? value.map(any) : any());
    }
  }
  if (fields.includes("Gpc")) model.setFieldValue(name, "GpcSegmentIncluded", chance(0.7));
}

// A section is one object, or a list of one object per segment.
const flat = (section) => (Array.isArray(section) ? Object.assign({}, ...section) : section);

function fields(model, id) {
  const name = Sections.SECTION_ID_NAME_MAP.get(id);
  const section = flat(model.getSection(name));
  if (id === 2) return { cmp_id: section.CmpId };
  if (id === 6) return { opt_out_sale: section.OptOutSale };
  const children = section.KnownChildSensitiveDataConsents ?? [];
  return {
    version: section.Version ?? section.MspaVersion, sale: section.SaleOptOut, sharing: section.SharingOptOut ?? 0,
    targeted: section.TargetedAdvertisingOptOut ?? 0, children: Array.isArray(children) ? children : [children],
    gpc: section.Gpc ?? false,
  };
}

function make(ids) {
  const model = new GppModel();
  for (const id of ids) {
    if (id === 6) for (const [field, value] of [["Notice", "Y"], ["OptOutSale", chance(0.5) ? "Y" : "N"], ["LspaCovered", "-"]]) model.setFieldValue("uspv1", field, value);
    else if (id === 2) {
      model.setFieldValue("tcfeuv2", "CmpId", 2 + below(4000));
      for (const field of ["Created", "LastUpdated"]) model.setFieldValue("tcfeuv2", field, new Date(Date.UTC(2026, 5, 1)));
    }
    else fill(model, id);
  }
  return model.encode();
}

function sections(text, read = fields) {
  const decoded = new GppModel(text);
  return Object.fromEntries(decoded.getSectionIds().map((id) => [id, read(decoded, id)]));
}

const NOTICES = ["SaleOptOutNotice", "SharingOptOutNotice", "TargetedAdvertisingOptOutNotice"];
function withNotices(model, id) {
  if (id < 7) return fields(model, id);
  const section = flat(model.getSection(Sections.SECTION_ID_NAME_MAP.get(id)));
  return { ...fields(model, id), notices: NOTICES.map((name) => section[name] ?? 0) };
}

const digest = (text) =>
  createHash("sha256").update(JSON.stringify(sections(text, withNotices))).digest().subarray(0, 6).toString("base64url");

if (process.argv[2] === "--show") {
  console.log(JSON.stringify(sections(process.argv[3], withNotices)));
  process.exit();
}
const folder = process.argv[2] ?? ".";
const spelt = (ids) => {
  const text = make(ids);
  return { text, sections: sections(text) };
};
const vectors = [spelt([])];
for (const id of STATES) for (let i = 0; i < (id <= 8 ? 8 : 3); i++) vectors.push(spelt([id]));
for (let i = 0; i < 30; i++) vectors.push(spelt([2, 6, ...STATES].filter(() => chance(0.25))));
writeFileSync(join(folder, "gpp_vectors.json"), `[\n${vectors.map((row) => JSON.stringify(row)).join(",\n")}\n]\n`);

const many = new Map();
for (let i = 0; many.size < 2_000; i++) {
  const id = STATES[below(STATES.length)];
  const text = make(i % 4 === 0 ? [2, 6, ...STATES].filter(() => chance(0.15)) : i % 4 === 1 ? [7] : [id]);
  many.set(text, digest(text));
}
const rows = [...many].map((row) => row.join(" "));
writeFileSync(join(folder, "gpp_vectors.txt.gz"), gzipSync(`${rows.join("\n")}\n`, { level: 9 }));
