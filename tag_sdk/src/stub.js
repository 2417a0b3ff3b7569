/**
 * Goes into the page before the tag, as its first script: takes tokens out of the address, and keeps
 * calls in order until the tag is there. Each call returns the promise that the tag will keep.
 */
import { takeTokens } from "./arrival.js";
import { keepCalls } from "./early_calls.js";

const jumelle = (window.jumelle = window.jumelle || []);
if (!jumelle.arrived) jumelle.arrived = takeTokens();
keepCalls(jumelle);
