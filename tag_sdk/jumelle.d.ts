/** Types of the global `jumelle` that the tag puts into the page. */

/** Google's words do as well as yes and no; any other word is a no. */
export type Answer = boolean | "granted" | "denied";

export interface Consent {
  /** Remember this browser and what it does. Without it nothing is stored or sent. */
  store?: Answer;
  audiences?: Answer;
  sync?: Answer;
  personalise?: Answer;
  /** Google's two fields, for Google alone: both must be `true` before a visitor of the EEA is in a Google seat. */
  ad_user_data?: Answer;
  ad_personalization?: Answer;
}

export type Properties = Record<string, unknown>;

/** True once the server has the message, false when it was dropped (no consent, malformed). */
export type Sent = Promise<boolean>;

export interface Jumelle {
  identify(id: string | number, traits?: Properties, options?: { token?: string }): Sent;
  identify(traits: Properties, options?: { token?: string }): Sent;
  track(event: string, properties?: Properties): Sent;
  page(name?: string, properties?: Properties): Sent;
  page(properties: Properties): Sent;
  group(id: string | number, traits?: Properties): Sent;
  alias(id: string | number, previousId?: string | number): Sent;
  /** Sends "Signed Out", then forgets id, traits and token. */
  reset(): Sent;
  /** The visitor's own answer, `true` or `false`; what is left out, or neither of the two, stays as it was. */
  /** One answer alone is the answer for `store`, `audiences`, `sync` and `personalise`. */
  consent(answer: Consent | Answer): Promise<void>;
  /** The reference by which a backend can name this browser, or null. */
  anonymousId(): Promise<string | null>;
  ready(then?: () => void): Promise<void>;
  debug(on?: boolean): Promise<void>;
  /** Runs calls given as arrays: `jumelle.push(["track", "Signed Up"])`. */
  push(...calls: [string, ...unknown[]][]): void;
  /** Absent until the tag is there. */
  readonly version?: string;
}

/** What the server writes in front of the tag; a self-hosted copy may write it itself. */
export interface Settings {
  key: string;
  host?: string;
  global?: string;
  autoPage?: boolean;
  hashRoutes?: boolean;
  consent?: "optional" | "required";
  cookieSync?: boolean;
  syncLimit?: number;
  syncIframes?: boolean;
}

declare global {
  interface Window {
    jumelle: Jumelle;
    __jumelle_settings?: Settings;
  }
  const jumelle: Jumelle;
}
