// Consent strings by IAB Tech Lab's own encoder, repeatably, and what its decoder reads in them.
// To be imported in a folder where `npm install @iabtechlabtcf/core@1.5.21 @iabtcf/core@1.5.6` was run.
import { createRequire } from "node:module";
import { createHash } from "node:crypto";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "here.js"));
export const current = require("@iabtechlabtcf/core");
export const older = require("@iabtcf/core"); // never writes the segment of disclosed vendors

let state = 20260228;
const random = () => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return ((state >>> 8) & 0xffffff) / 0x1000000;
};
export const below = (n) => Math.floor(random() * n);
const chance = (p) => random() < p;
const some = (ids, p) => ids.filter(() => chance(p));
export const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);

const PURPOSES = upTo(11);
const LI_PURPOSES = [2, 7, 8, 9, 10, 11];

function vendor(id) {
  const purposes = some(PURPOSES, 0.6);
  const legIntPurposes = LI_PURPOSES.filter((p) => !purposes.includes(p) && chance(0.7));
  const flexiblePurposes = [...purposes, ...legIntPurposes].filter((p) => LI_PURPOSES.includes(p) && chance(0.4));
  return { id, name: `Vendor ${id}`, purposes, legIntPurposes, flexiblePurposes, specialPurposes: [1], features: [], specialFeatures: [] };
}

const named = (ids) => Object.fromEntries(ids.map((id) => [id, { id, name: `${id}`, description: "", illustrations: [] }]));
export const list = {
  gvlSpecificationVersion: 3, vendorListVersion: 42, tcfPolicyVersion: 5, lastUpdated: "2026-02-26T16:00:00Z",
  purposes: named(PURPOSES), specialPurposes: named([1, 2]), features: named([1, 2, 3]), specialFeatures: named([1, 2]),
  stacks: {}, dataCategories: {}, vendors: {},
};
for (const id of upTo(700).filter((id) => id <= 60 || chance(0.5))) list.vendors[id] = vendor(id);
list.vendors[13] = { ...list.vendors[13], deletedDate: "2026-01-01T00:00:00Z" };

const ids = Object.keys(list.vendors).map(Number);

const lists = new Map();
function listOf(lib, tcfPolicyVersion, vendorListVersion) {
  const key = `${lib === older} ${tcfPolicyVersion} ${vendorListVersion}`;
  if (!lists.has(key)) lists.set(key, new lib.GVL(structuredClone({ ...list, tcfPolicyVersion, vendorListVersion })));
  return lists.get(key);
}

// `of`: every how many strings know all vendors, the share of restricted ones, and of odd ones.
function fill(lib, index, of) {
  const tcfPolicyVersion = lib === older ? 4 : 4 + below(2); // the encoder copies the list's
  const odd = of.odd > 0 && chance(of.odd);
  const model = new lib.TCModel(listOf(lib, tcfPolicyVersion, odd ? 41 + below(3) : 42));
  model.isServiceSpecific = !odd || chance(0.5);
  if (odd) model.consentLanguage = "DEFRITESNL".slice(2 * below(5)).slice(0, 2);
  const wide = index % of.wideEvery === 0;
  const known = wide ? ids : ids.filter((id) => id <= 20 + below(100));
  const share = [0, 0.03, 0.3, 0.9, 1][below(5)];
  model.cmpId = 2 + below(4000);
  model.cmpVersion = 2 + below(4000);
  model.consentScreen = below(64);
  model.publisherCountryCode = "DEFRITESNL".slice(2 * below(5)).slice(0, 2);
  model[lib === older ? "useNonStandardStacks" : "useNonStandardTexts"] = chance(0.3);
  model.purposeOneTreatment = chance(0.2);
  model.specialFeatureOptins.set(some([1, 2, 12], 0.5));
  model.purposeConsents.set(some(PURPOSES, chance(0.3) ? 1 : 0.6));
  model.purposeLegitimateInterests.set(some(LI_PURPOSES, 0.6));
  model.vendorConsents.set(some(known, share));
  model.vendorLegitimateInterests.set(some(known, chance(0.5) ? share : 0.1));
  if (lib === current) model.vendorsDisclosed.set(some(known, chance(0.6) ? 1 : 0.5));
  model.publisherConsents.set(some(PURPOSES, 0.5));
  model.publisherLegitimateInterests.set(some(PURPOSES, 0.5));
  if (chance(0.3)) {
    model.numCustomPurposes = 1 + below(12);
    model.publisherCustomConsents.set(some(upTo(model.numCustomPurposes), 0.5));
    model.publisherCustomLegitimateInterests.set(some(upTo(model.numCustomPurposes), 0.5));
  }
  if (chance(of.restricted)) {
    for (const id of some(known, 0.3))
      model.publisherRestrictions.add(id, new lib.PurposeRestriction(1 + below(11), below(3)));
  }
  const day = Date.UTC(2025, 0, 1) + below(600) * 86400000;
  model.created = new Date(day);
  model.lastUpdated = new Date(day);
  return model;
}

const members = (vector) => { const found = []; vector.forEach((on, id) => on && found.push(id)); return found; };
// Ranges "1-5 7" keep the file small.
function ranges(found) {
  const parts = [];
  for (let i = 0; i < found.length; ) {
    let j = i;
    while (found[j + 1] === found[j] + 1) j++;
    parts.push(i === j ? `${found[i]}` : `${found[i]}-${found[j]}`);
    i = j + 1;
  }
  return parts.join(" ");
}

function restrictions(model) {
  const vector = model.publisherRestrictions;
  return vector.getRestrictions().map((each) => ({
    purpose: each.purposeId, kind: each.restrictionType, vendors: ranges(vector.getVendors(each)),
  })).sort((a, b) => a.purpose - b.purpose || a.kind - b.kind);
}

export function fields(lib, text) {
  const tc = lib.TCString.decode(text);
  return {
    created_ms: tc.created.getTime(), updated_ms: tc.lastUpdated.getTime(), cmp_id: tc.cmpId, cmp_version: tc.cmpVersion,
    consent_screen: tc.consentScreen, language: tc.consentLanguage, vendor_list_version: tc.vendorListVersion,
    policy_version: tc.policyVersion, service_specific: tc.isServiceSpecific, non_standard_texts: tc.useNonStandardTexts ?? tc.useNonStandardStacks,
    special_features: members(tc.specialFeatureOptins), purposes_consent: members(tc.purposeConsents),
    purposes_interest: members(tc.purposeLegitimateInterests), purpose_one_treatment: tc.purposeOneTreatment,
    publisher_country: tc.publisherCountryCode, vendors_consent: ranges(members(tc.vendorConsents)),
    vendors_interest: ranges(members(tc.vendorLegitimateInterests)), restrictions: restrictions(tc),
    disclosed: text.split(".").slice(1).some((part) => "IJKLMNOP".includes(part[0])) ? ranges(members(tc.vendorsDisclosed)) : null,
    publisher_consent: members(tc.publisherConsents), publisher_interest: members(tc.publisherLegitimateInterests),
    custom: tc.numCustomPurposes, custom_consent: members(tc.publisherCustomConsents),
    custom_interest: members(tc.publisherCustomLegitimateInterests),
  };
}

export const READABLE = { wideEvery: 4, restricted: 0.5, odd: 0 };

export function make(lib, index, of = READABLE) {
  const options = { segments: ["core", ...(lib === current ? ["vendorsDisclosed"] : []), "publisherTC"] };
  return lib.TCString.encode(fill(lib, index, of), options);
}

/** What the library reads, as eight characters; "-" where it refuses to read. */
export function digest(lib, text) {
  try {
    return digestOf(fields(lib, text));
  } catch (_) {
    return "-";
  }
}

const digestOf = (value) => createHash("sha256").update(JSON.stringify(value)).digest().subarray(0, 6).toString("base64url");

/** The text with one bit inverted, as chosen by its own hash and a number. */
export function flipped(text, number) {
  const places = [...text].map((char, at) => (char === "." ? -1 : at)).filter((at) => at >= 0);
  const chosen = createHash("sha256").update(`${text}/${number}`).digest().readUInt32BE() % (6 * places.length);
  const at = places[Math.floor(chosen / 6)];
  const value = ALPHABET.indexOf(text[at]) ^ (32 >> chosen % 6);
  return text.slice(0, at) + ALPHABET[value] + text.slice(at + 1);
}
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
