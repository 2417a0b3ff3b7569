// Node's own HTTP server: finds the cookie, decodes and checks the body, answers. Run: node THIS PORT
import { createServer } from "node:http";

const CORS = {
  "access-control-allow-origin": "https://shop.example",
  "access-control-allow-credentials": "true",
  "access-control-expose-headers": "Jumelle-Visitor, Retry-After",
};
const TEXTS = ["type", "messageId", "timestamp", "sentAt", "userId", "anonymousId", "event", "name"];

function isMessage(given) {
  if (typeof given !== "object" || given === null || !given.type || !given.messageId) return false;
  return TEXTS.every((name) => given[name] === undefined || typeof given[name] === "string");
}

function visitorIn(cookie = "") {
  const start = cookie.indexOf("jml=");
  if (start < 0) return "";
  const end = cookie.indexOf(";", start);
  return cookie.slice(start + 4, end > 0 ? end : cookie.length);
}

const server = createServer((request, response) => {
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (piece) => (body += piece));
  request.on("end", () => {
    const given = JSON.parse(body);
    const good = Array.isArray(given) ? given.every(isMessage) : isMessage(given);
    const cookie = `jml=${visitorIn(request.headers.cookie)}; Path=/; Max-Age=34128000; HttpOnly; SameSite=Lax`;
    response.sendDate = false;
    response.writeHead(good ? 204 : 400, { ...CORS, "set-cookie": cookie });
    response.end();
  });
});
server.keepAliveTimeout = 65_000;
server.listen(Number(process.argv[2]), "127.0.0.1");
