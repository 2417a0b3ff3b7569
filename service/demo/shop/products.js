/** What the demo shop sells. Prices are US dollars. */
export const CURRENCY = "USD";

export const PRODUCTS = [
  {
    id: "c-101",
    name: "Tourer 28",
    category: "cycling",
    price: 649,
    picture: "bicycle",
    line: "Steel frame, nine gears, made for long Sundays.",
  },
  {
    id: "c-102",
    name: "Commuter helmet",
    category: "cycling",
    price: 59.9,
    picture: "helmet",
    line: "Light, well aired, with a lamp at the back.",
  },
  {
    id: "c-103",
    name: "Pannier pair",
    category: "cycling",
    price: 84.5,
    picture: "pannier",
    line: "Forty litres, dry inside whatever the sky does.",
  },
  {
    id: "c-104",
    name: "Floor pump",
    category: "cycling",
    price: 34,
    picture: "pump",
    line: "Eleven bar with a gauge you can read.",
  },
  {
    id: "g-201",
    name: "House espresso, 500 g",
    category: "groceries",
    price: 11.5,
    picture: "coffee",
    line: "Dark roast, from beans of two valleys.",
  },
  {
    id: "g-202",
    name: "Sourdough loaf",
    category: "groceries",
    price: 5.2,
    picture: "bread",
    line: "Baked this morning, good until Thursday.",
  },
  {
    id: "g-203",
    name: "Orchard apples, 1 kg",
    category: "groceries",
    price: 3.9,
    picture: "apples",
    line: "Crisp and slightly sour, fit for a jersey pocket.",
  },
  {
    id: "g-204",
    name: "Oat bars, box of 6",
    category: "groceries",
    price: 7.8,
    picture: "bars",
    line: "Oats, honey, hazelnuts. Nothing else.",
  },
];

export const productOf = (id) => PRODUCTS.find((product) => product.id === id);

const money = new Intl.NumberFormat("en-US", { style: "currency", currency: CURRENCY });

export const priceOf = (amount) => money.format(amount);
