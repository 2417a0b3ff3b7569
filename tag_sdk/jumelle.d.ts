/** Types of the tag: of the global `jumelle`, and of what the npm package gives. */

/** Google's words do as well as yes and no; any other word is a no. */
export type Answer = boolean | "granted" | "denied";

export interface Consent {
  /** Remember this browser and what it does. Without it nothing is stored, and nothing that names it is sent. */
  store?: Answer;
  audiences?: Answer;
  sync?: Answer;
  personalise?: Answer;
  /** Google's two fields, for Google alone: both must be `true` before a visitor of the EEA is in a Google seat. */
  ad_user_data?: Answer;
  ad_personalization?: Answer;
}

export type Properties = Record<string, unknown>;
export type Traits = Record<string, unknown>;
export type Id = string | number;

/** True once the server has the message, false when it was dropped (no consent, malformed). */
export type Sent = Promise<boolean>;

/** The last object of a message's call, as analytics.js takes it. */
export interface Options {
  /** Goes into the message's `context`; the page's own address and title stand unless `page` says otherwise. */
  context?: { token?: string; page?: Properties; [name: string]: unknown };
  /** When it happened, if not now. */
  timestamp?: Date | string | number;
  /** A reference that `anonymousId()` gave; any other id is left out. */
  anonymousId?: string;
  integrations?: Properties;
}

/** With the proof of who is there, for `identify`. */
export interface IdentifyOptions extends Options {
  /** A JWT that the site's backend signed; kept in memory and sent with what follows. */
  token?: string;
}

/** A message as it was built; how it fared says the call's promise. */
export interface Message {
  type: "identify" | "track" | "page" | "group" | "alias";
  messageId: string;
  timestamp: string;
  [field: string]: unknown;
}

/** Called once the server answered, or after 300 ms, so that a page may wait for it before it leaves. */
export type Callback = (done: { event?: Message }) => void;

export interface Jumelle {
  identify(id: Id | null | undefined, traits?: Traits | null, options?: IdentifyOptions | null, callback?: Callback): Sent;
  identify(id: Id | null | undefined, traits: Traits | null, callback: Callback): Sent;
  identify(id: Id, callback: Callback): Sent;
  identify(traits: Traits, options?: IdentifyOptions | null, callback?: Callback): Sent;
  identify(traits: Traits, callback: Callback): Sent;

  track(event: string, properties?: Properties | null, options?: Options | null, callback?: Callback): Sent;
  track(event: string, properties: Properties | null, callback: Callback): Sent;
  track(event: string, callback: Callback): Sent;

  page(category: string | null, name: string, properties?: Properties | null, options?: Options | null, callback?: Callback): Sent;
  page(category: string | null, name: string, properties: Properties | null, callback: Callback): Sent;
  page(category: string | null, name: string, callback: Callback): Sent;
  page(name: string, properties?: Properties | null, options?: Options | null, callback?: Callback): Sent;
  page(name: string, properties: Properties | null, callback: Callback): Sent;
  page(name: string, callback: Callback): Sent;
  page(properties: Properties, options?: Options | null, callback?: Callback): Sent;
  page(properties: Properties, callback: Callback): Sent;
  page(callback?: Callback): Sent;

  group(id: Id, traits?: Traits | null, options?: Options | null, callback?: Callback): Sent;
  group(id: Id, traits: Traits | null, callback: Callback): Sent;
  group(id: Id, callback: Callback): Sent;

  alias(id: Id, previousId?: Id | null, options?: Options | null, callback?: Callback): Sent;
  alias(id: Id, previousId: Id | null, callback: Callback): Sent;
  alias(id: Id, options: Options, callback?: Callback): Sent;
  alias(id: Id, callback: Callback): Sent;

  /** Sends "Signed Out", then forgets id and token. */
  reset(): Sent;
  /**
   * The visitor's own answer, each use `true` or `false`; what is left out stays as it was. One answer alone is
   * the answer for `store`, `audiences`, `sync` and `personalise`.
   */
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

/** What the server writes in front of the tag; a copy elsewhere says it in `data-` attributes or to `load`. */
export interface Settings {
  key: string;
  host?: string;
  global?: string;
  autoPage?: boolean;
  hashRoutes?: boolean;
  consent?: "optional" | "required";
  /** False: Google's consent mode in `dataLayer` is not listened to. */
  googleConsent?: boolean;
  /** Count page views and events without name, cookie and storage while the question of consent is open. */
  anonymous?: boolean;
  cookieSync?: boolean;
  syncLimit?: number;
  /** Beginnings of paths whose pages meet no partner. */
  syncExcluded?: string[];
  /** The site's domains, among which a visitor is carried over; one that begins with a dot covers all below it. */
  linkDomains?: string[];
}

/** Loads the tag and gives its calls at once; they wait for it. On a server every call does nothing. */
export function load(settings: Settings): Jumelle;

declare global {
  interface Window {
    jumelle: Jumelle;
    __jumelle_settings?: Settings;
  }
  const jumelle: Jumelle;
}
