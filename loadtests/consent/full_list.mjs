// Writes consent strings as platforms send them for a whole vendor list: 1,000 vendors, most of them agreed to.
// To be run where `npm install @iabtechlabtcf/core` was run: node full_list.mjs COUNT
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "here.js"));
const { GVL, PurposeRestriction, TCModel, TCString } = require("@iabtechlabtcf/core");
const PURPOSES = Array.from({ length: 11 }, (_, i) => i + 1);
const INTERESTS = [2, 7, 8, 9, 10, 11];
const DAY_MS = 86_400_000;

let state = 20260228;
const random = () => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return ((state >>> 8) & 0xffffff) / 0x1000000;
};

const named = (ids) => Object.fromEntries(ids.map((id) => [id, { id, name: `${id}`, description: "", illustrations: [] }]));
const ids = [];
for (let id = 1; ids.length < 1_000; id++) if (random() < 0.75) ids.push(id);
const vendor = (id) => ({ id, name: `${id}`, purposes: PURPOSES, legIntPurposes: [], flexiblePurposes: INTERESTS, specialPurposes: [1], features: [], specialFeatures: [] });
const list = new GVL({
  gvlSpecificationVersion: 3, vendorListVersion: 42, tcfPolicyVersion: 5, lastUpdated: "2026-02-26T16:00:00Z",
  purposes: named(PURPOSES), specialPurposes: named([1, 2]), features: named([1, 2, 3]), specialFeatures: named([1, 2]),
  stacks: {}, dataCategories: {}, vendors: Object.fromEntries(ids.map((id) => [id, vendor(id)])),
});

function write(index) {
  const model = new TCModel(list);
  const share = index % 20 < 12 ? 1 : index % 20 < 17 ? 0 : random();
  const some = (all) => (share === 1 ? all : all.filter(() => random() < share));
  model.isServiceSpecific = true;
  model.cmpId = 2 + (index % 300);
  model.cmpVersion = 1 + (index % 9);
  model.publisherCountryCode = "FR";
  model.purposeConsents.set(some(PURPOSES));
  model.purposeLegitimateInterests.set(some(INTERESTS));
  model.vendorConsents.set(some(ids));
  model.vendorLegitimateInterests.set(some(ids));
  model.vendorsDisclosed.set(ids);
  if (index % 10 === 0) for (const id of ids.slice(0, 20)) model.publisherRestrictions.add(id, new PurposeRestriction(1 + (index % 11), 1));
  model.created = model.lastUpdated = new Date(Date.UTC(2026, 2, 1) + (index % 250) * DAY_MS);
  return TCString.encode(model, { segments: ["core", "vendorsDisclosed", "publisherTC"] });
}

for (let index = 0; index < Number(process.argv[2]); index++) console.log(write(index));
