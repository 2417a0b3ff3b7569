// Makes gpp_vectors.json with IAB Tech Lab's own GPP encoder, repeatably.
// In a folder where `npm install @iabgpp/cmpapi@3.2.0` was run:
//   node make_gpp_vectors.mjs OUTPUT_FOLDER
import { createRequire } from "node:module";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

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
  const text = model.encode();
  const decoded = new GppModel(text);
  return { text, sections: Object.fromEntries(decoded.getSectionIds().map((id) => [id, fields(decoded, id)])) };
}

const vectors = [make([])];
for (const id of STATES) for (let i = 0; i < (id <= 8 ? 8 : 3); i++) vectors.push(make([id]));
for (let i = 0; i < 30; i++) vectors.push(make([2, 6, ...STATES].filter(() => chance(0.25))));
writeFileSync(join(process.argv[2] ?? ".", "gpp_vectors.json"), `[\n${vectors.map((row) => JSON.stringify(row)).join(",\n")}\n]\n`);
