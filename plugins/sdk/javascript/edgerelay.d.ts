// Types for transforms in JavaScript and TypeScript. They are for your editor: nothing of this file is in the plugin.
//
//   export default function (event, ctx) { return { text: "hello " + event.type } }
//
// An object that is returned is sent as JSON, a text as text/plain; nothing returned sends the event as it is. An exception fails the event
// for good. Nothing of one event is left for the next one; Date tells the event's time, and Math.random follows from the event's id.

/** The event, as it would be sent without a transform; after another transform, whatever that one made. */
export interface Event<Data = any> {
  id: string;
  type: string;
  /** RFC 3339 */
  time: string;
  data: Data;
}

/** What a body is made with that is not plain JSON or text. */
export interface Body {
  readonly type: string;
  readonly text: string;
}

/** What drop, fail and retry return: return it. */
export interface Ended {}

export interface Context<Config = any> {
  readonly id: string;
  readonly type: string;
  readonly time: string;
  readonly tenant: string;
  readonly program?: string;
  readonly webhook: string;
  /** from 1 */
  readonly attempt: number;
  /** The plugin's configuration; null when there is none. */
  readonly config: Config | null;

  /** The relay refuses reserved headers, line breaks and other hosts: then these throw. */
  header(name: string, value: string | number): void;
  query(name: string, value: string | number): void;
  method(method: "POST" | "PUT" | "PATCH" | "DELETE" | "GET"): void;
  path(path: string): void;
  contentType(type: string): void;

  /** Does not send the event: a decision, not a failure. */
  drop(reason?: string): Ended;
  /** Fails the event for good. */
  fail(reason?: string): Ended;
  /** Fails this attempt: it is made again, by the webhook's schedule. */
  retry(reason?: string): Ended;

  xml(value: unknown, root?: string): Body;
  form(value: object): Body;
  json(value: unknown): Body;
  text(value: unknown): Body;

  debug(...what: unknown[]): void;
  log(...what: unknown[]): void;
  info(...what: unknown[]): void;
  warn(...what: unknown[]): void;
  error(...what: unknown[]): void;
}

export type Result = object | string | Body | Ended | void;

export type Transform<Data = any, Config = any> = (event: Event<Data>, ctx: Context<Config>) => Result | Promise<Result>;
