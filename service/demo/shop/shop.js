/**
 * The demo shop: what a visitor can do here, and the calls to the tag that follow from it.
 * What Jumelle made of it is drawn by panel.js from the server's answer alone.
 */
import { button, byId, make, picture, remembered } from "./elements.js";
import { startPanel } from "./panel.js";
import { CURRENCY, priceOf, PRODUCTS, productOf } from "./products.js";

const EVERYTHING = ["store", "audiences", "sync", "personalise"];
const CHOICE = "jumelle-demo-shop:choice";
const SESSION = "jumelle-demo-shop:session";
const TAG_PATIENCE_MS = 4000;

let customer = null;

try {
  start();
} catch (error) {
  trouble(error);
}

function start() {
  window.addEventListener("error", (event) => trouble(event.error));
  window.addEventListener("unhandledrejection", (event) => trouble(event.reason));
  window.addEventListener("popstate", drawView);
  byId("account-button").addEventListener("click", () => (customer ? logOut() : logIn()));
  byId("newsletter-button").addEventListener("click", openNewsletter);
  byId("home").addEventListener("click", (event) => follow(event, null));
  byId("choice-again").addEventListener("click", () => showChoice(true));
  byId("accept").addEventListener("click", () => choose(true));
  byId("refuse").addEventListener("click", () => choose(false));
  drawShelves();
  drawView();
  showChoice(remembered("localStorage", CHOICE) === null);
  startPanel(drawOffer);
  if (remembered("sessionStorage", SESSION)) logIn({ quietly: true });
  setTimeout(missTag, TAG_PATIENCE_MS);
}

// Consent -----------------------------------------------------------------------------------

function choose(yes) {
  jumelle.consent(Object.fromEntries(EVERYTHING.map((use) => [use, yes])));
  remembered("localStorage", CHOICE, yes ? "accepted" : "refused");
  showChoice(false);
  say(yes ? "Thank you. The shop remembers this browser." : "Understood. Nothing is kept.");
}

function showChoice(shown) {
  byId("choice").hidden = !shown;
}

// Logging in and out ------------------------------------------------------------------------

async function logIn({ quietly = false } = {}) {
  const answer = await ask("/demo/shop/login", { method: "POST" });
  if (!answer) return;
  customer = answer.crm_id;
  remembered("sessionStorage", SESSION, "1");
  drawAccount();
  jumelle.identify(customer, {}, { token: answer.token });
  if (!quietly) say(`Welcome back, Paul. You are customer ${customer}.`);
}

function logOut() {
  customer = null;
  remembered("sessionStorage", SESSION, null);
  drawAccount();
  jumelle.reset();
  say("Goodbye, Paul.");
}

function drawAccount() {
  byId("account-name").textContent = customer ? `Paul, customer ${customer}` : "Guest";
  byId("account-button").textContent = customer ? "Log out" : "Log in as Paul";
}

// The shelves and one product ---------------------------------------------------------------

function drawShelves() {
  for (const category of ["cycling", "groceries"]) {
    const products = PRODUCTS.filter((product) => product.category === category);
    byId(`shelf-${category}`).replaceChildren(...products.map(card));
  }
}

function card(product) {
  const link = make("a", "card-link", product.name);
  link.href = addressOf(product);
  link.addEventListener("click", (event) => follow(event, product));
  return make(
    "li",
    `card card-${product.category}`,
    make("div", "card-picture", picture(product.picture, "picture")),
    make("h3", "card-name", link),
    make("p", "card-line", product.line),
    make("p", "price", priceOf(product.price)),
  );
}

function addressOf(product) {
  return product ? `/demo/shop?product=${product.id}` : "/demo/shop";
}

/** Open a page of the shop without loading it anew; the tag counts it as a page view. */
function follow(event, product) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState(null, "", addressOf(product));
  drawView();
  window.scrollTo({ top: 0 });
  byId(product ? "product-name" : "shelves-title").focus({ preventScroll: true });
}

function drawView() {
  const product = productOf(new URLSearchParams(location.search).get("product"));
  byId("shelves").hidden = !!product;
  byId("product").hidden = !product;
  document.title = `${product ? `${product.name} - ` : ""}Jumelle demo shop`;
  if (product) drawProduct(product);
}

function drawProduct(product) {
  const back = make("a", "back", "All products");
  back.href = addressOf(null);
  back.addEventListener("click", (event) => follow(event, null));
  const name = make("h2", "product-name", product.name);
  name.id = "product-name";
  name.tabIndex = -1;
  const quantity = quantityChoice();
  byId("product").replaceChildren(
    back,
    make("div", `product-picture card-${product.category}`, picture(product.picture, "picture")),
    make(
      "div",
      "product-text",
      make("p", "eyebrow", product.category),
      name,
      make("p", "product-line", product.line),
      make("p", "price price-large", priceOf(product.price)),
      make(
        "div",
        "buy",
        make("label", "quantity-label", "Quantity ", quantity),
        button("button", "Buy now", () => buy(product, Number(quantity.value))),
      ),
      make("p", "quiet", "Nothing is charged and nothing is delivered: this is a demonstration."),
    ),
  );
  jumelle.track("Product Viewed", { ...lineOf(product), currency: CURRENCY });
}

function quantityChoice() {
  const select = make("select", "quantity");
  select.append(...[1, 2, 3, 4, 5].map((count) => make("option", "", String(count))));
  return select;
}

function lineOf({ id, name, category, price }) {
  return { product_id: id, name, category, price };
}

function buy(product, quantity) {
  const orderId = `demo-${Date.now().toString(36)}`;
  const total = Math.round(product.price * quantity * 100) / 100;
  jumelle.track("Order Completed", {
    order_id: orderId,
    total,
    currency: CURRENCY,
    products: [{ ...lineOf(product), quantity }],
  });
  const who = customer ? "Thank you, Paul." : "Thank you. Bought as a guest, so nobody is named.";
  say(`${who} Order ${orderId}, ${priceOf(total)}.`);
}

// Newsletter and offer ----------------------------------------------------------------------

async function openNewsletter() {
  const answer = await ask("/demo/shop/newsletter");
  if (answer) location.assign(answer.url);
}

/** What the shop's own page makes of the audiences that it may read. */
function drawOffer(audiences) {
  const cycling = audiences.find((key) => /cycl|bike|bicycle/i.test(key));
  const key = cycling || audiences[0];
  byId("offer").hidden = !key;
  if (!key) return;
  byId("offer-text").textContent = cycling
    ? "Fifteen percent off every Tourer until Sunday."
    : "Free delivery on your next order.";
  byId("offer-why").textContent = `Shown because this browser is in the audience "${key}".`;
}

// Words to the visitor ----------------------------------------------------------------------

async function ask(path, options) {
  try {
    const response = await fetch(path, options);
    if (response.ok) return await response.json();
  } catch {
    // Told below, like an answer that is not ok.
  }
  say("The shop's server did not answer. Please try again in a moment.");
  return null;
}

function say(text) {
  byId("message").textContent = text;
}

function missTag() {
  if (jumelle.version) return;
  byId("trouble").hidden = false;
  byId("trouble").textContent =
    "The tag did not load: a content blocker may have stopped it. " +
    "The shop works, but Jumelle learns nothing from this browser.";
}

function trouble(error) {
  const box = document.getElementById("trouble");
  if (!box) return;
  box.hidden = false;
  box.textContent =
    "Something in this page went wrong. Reloading usually helps; a current browser is needed. " +
    `(${error && error.message ? error.message : "unknown error"})`;
}
