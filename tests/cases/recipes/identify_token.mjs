// IDENTIFY_SECRET=... node identify_token.mjs SITE CRM_ID [VISITOR]
import { createHmac } from "node:crypto";

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

function identifyToken(secret, site, crmId, visitor) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { sub: String(crmId), aud: site, iat: now, exp: now + 600, vis: visitor };
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

console.log(identifyToken(process.env.IDENTIFY_SECRET, ...process.argv.slice(2)));
