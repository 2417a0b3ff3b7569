// The overview: asks the API with the entered key, which stays in this tab only.
const number = new Intl.NumberFormat("en");
const status = document.getElementById("status");

const columns = {
  audiences: [["Audience", (a) => a.name || a.key], ["Size", (a) => a.size, true], ["Identity", (a) => a.identity], ["State", (a) => a.status]],
  seats: [["Seat", (s) => s.key], ["Partner", (s) => s.partner], ["Format", (s) => s.format], ["Activations", (s) => s.activations.length, true], ["Ids held", (s) => s.held, true]],
  partners: [["Partner", (p) => p.name], ["Offered", (p) => p.offered, true], ["Returned", (p) => p.returned, true], ["Refused", (p) => p.refused, true], ["Match rate", (p) => `${(p.match_rate * 100).toFixed(1)} %`, true], ["Standing", (p) => p.advice ? `${p.standing}: ${p.advice}` : p.standing]],
};
const share = (value) => (value === null ? "" : `${(value * 100).toFixed(0)} %`);
columns.cookies = [["Browser", (c) => c.browser], ["Visitors", (c) => c.visitors, true], ["Came back", (c) => c.returned, true], ["Cookie over 1 day", (c) => share(c.older_than_1_day), true], ["7 days", (c) => share(c.older_than_7_days), true], ["30 days", (c) => share(c.older_than_30_days), true], ["After a pause of 7 days", (c) => share(c.returned_after_7_days), true], ["Advice", (c) => c.advice]];

function cell(kind, value, isNumber) {
  const made = document.createElement(kind);
  made.textContent = typeof value === "number" ? number.format(value) : (value ?? "");
  if (isNumber) made.className = "number";
  return made;
}

function draw(name, rows) {
  const table = document.getElementById(name);
  const head = document.createElement("tr");
  for (const [title, , isNumber] of columns[name]) head.append(cell("th", title, isNumber));
  const body = rows.map((row) => {
    const line = document.createElement("tr");
    for (const [, pick, isNumber] of columns[name]) line.append(cell("td", pick(row), isNumber));
    return line;
  });
  table.replaceChildren(head, ...body);
}

async function show(key) {
  status.textContent = "Asking…";
  const headers = { Authorization: `Bearer ${key}` };
  for (const name of Object.keys(columns)) {
    const answer = await fetch(`/api/${name}`, { headers });
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.detail);
    draw(name, found[name]);
  }
  sessionStorage.setItem("jumelle-key", key);
  document.getElementById("tables").hidden = false;
  status.textContent = `As of ${new Date().toLocaleTimeString()}.`;
}

document.getElementById("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  show(document.getElementById("key").value).catch((problem) => { status.textContent = problem.message; });
});
const known = sessionStorage.getItem("jumelle-key");
if (known) show(known).catch((problem) => { status.textContent = problem.message; });
