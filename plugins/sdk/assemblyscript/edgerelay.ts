// edgerelay.ts: transforms for edgerelay in AssemblyScript. One file, no dependency but the compiler.
//
//     import { meta, send, header } from "./edgerelay";
//     export { abort } from "./edgerelay";
//
//     export function transform(): i32 {
//       header("X-Type", meta("type"));
//       return send('{"text":"hello"}');
//     }
//
// Build: npx asc assembly/index.ts -o plugin.wasm -O --runtime incremental --use abort=assembly/edgerelay/abort
// (edgerelay plugin build does it). An event leaves nothing in memory for the next one. What runs at the top level runs once, before the
// first event: the place to read the configuration.

@external("edgerelay_v1", "input_read") declare function input_read(ptr: usize, capacity: i32): i32;
@external("edgerelay_v1", "output_write") declare function output_write(ptr: usize, length: i32): void;
@external("edgerelay_v1", "meta_get") declare function meta_get(key: usize, keyLength: i32, ptr: usize, capacity: i32): i32;
@external("edgerelay_v1", "config_read") declare function config_read(ptr: usize, capacity: i32): i32;
@external("edgerelay_v1", "set") declare function host_set(key: usize, keyLength: i32, value: usize, valueLength: i32): i32;
@external("edgerelay_v1", "log") declare function host_log(level: i32, ptr: usize, length: i32): void;
@external("edgerelay_v1", "reason") declare function host_reason(ptr: usize, length: i32): void;

// What transform returns.
export const SEND: i32 = 0;
export const DROP: i32 = 1;
export const FAIL: i32 = 2;
export const RETRY: i32 = 3;

// ---- what comes in ------------------------------------------------------------------------------------------------------------------

/** The event as JSON, {"id","type","time","data"}, or what the transform before this one wrote. */
export function input(): string {
  let b = new ArrayBuffer(4096);
  let n = input_read(changetype<usize>(b), b.byteLength);
  if (n > b.byteLength) {
    b = new ArrayBuffer(n);
    input_read(changetype<usize>(b), n);
  }
  return String.UTF8.decodeUnsafe(changetype<usize>(b), n);
}

/** The plugin's configuration as JSON; "" when there is none. */
export function config(): string {
  let b = new ArrayBuffer(4096);
  let n = config_read(changetype<usize>(b), b.byteLength);
  if (n > b.byteLength) {
    b = new ArrayBuffer(n);
    config_read(changetype<usize>(b), n);
  }
  return String.UTF8.decodeUnsafe(changetype<usize>(b), n);
}

/** id, type, time, tenant, program, webhook, attempt or content-type; "" when there is none. */
export function meta(key: string): string {
  const k = String.UTF8.encode(key);
  let b = new ArrayBuffer(256);
  let n = meta_get(changetype<usize>(k), k.byteLength, changetype<usize>(b), b.byteLength);
  if (n > b.byteLength) {
    b = new ArrayBuffer(n);
    n = meta_get(changetype<usize>(k), k.byteLength, changetype<usize>(b), n);
  }
  return n < 0 ? "" : String.UTF8.decodeUnsafe(changetype<usize>(b), n);
}

// ---- what goes out ------------------------------------------------------------------------------------------------------------------

/** Appends to the body. */
export function write(text: string): void {
  const b = String.UTF8.encode(text);
  output_write(changetype<usize>(b), b.byteLength);
}

/** Writes the body and ends a transform that worked: return send(…). */
export function send(text: string): i32 {
  write(text);
  return SEND;
}

/** Sets content-type, method, path, header:NAME or query:NAME. False: the relay refuses (reserved header, line break, another host). */
export function set(key: string, value: string): bool {
  const k = String.UTF8.encode(key);
  const v = String.UTF8.encode(value);
  return host_set(changetype<usize>(k), k.byteLength, changetype<usize>(v), v.byteLength) == 0;
}

export function header(name: string, value: string): bool {
  return set("header:" + name, value);
}

export function log(text: string): void {
  const b = String.UTF8.encode(text);
  host_log(1, changetype<usize>(b), b.byteLength);
}

/** Says why the event is dropped or failed. */
export function reason(why: string): void {
  const b = String.UTF8.encode(why);
  host_reason(changetype<usize>(b), b.byteLength);
}

/** Ends the event: it is not sent, by decision. */
export function drop(why: string): i32 {
  reason(why);
  return DROP;
}

/** Fails the event for good. */
export function fail(why: string): i32 {
  reason(why);
  return FAIL;
}

/** What the compiler calls on a failed assertion: the reason says where. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  reason((message ? message : "aborted") + " at " + (file ? file : "?") + ":" + line.toString() + ":" + column.toString());
  unreachable();
}

// ---- JSON ---------------------------------------------------------------------------------------------------------------------------
// A reader that copies nothing and builds nothing: it walks to a value and returns its text. The relay has checked that an event is JSON.

/** The raw JSON of the value at a path such as "data.items.0.name"; "" = there is none. */
export function get(json: string, path: string): string {
  let at = space(json, 0);
  const names = path.split(".");
  for (let n = 0; n < names.length; n++) {
    at = member(json, at, names[n]);
    if (at < 0) return "";
  }
  return json.substring(at, end(json, at));
}

/** The text at a path, without quotes and escapes; numbers and the like as they are written; "" for null and for none. */
export function text(json: string, path: string): string {
  const raw = get(json, path);
  if (raw == "null") return "";
  return raw.startsWith('"') ? unquote(raw) : raw;
}

function space(s: string, i: i32): i32 {
  while (i < s.length && s.charCodeAt(i) <= 32) i++;
  return i;
}

// end is where the value that begins at i ends.
function end(s: string, i: i32): i32 {
  let depth = 0;
  for (; i < s.length; i++) {
    const c = s.charCodeAt(i);
    if (c == 34) {
      i = textEnd(s, i) - 1;
    } else if (c == 123 || c == 91) {
      depth++;
    } else if (c == 125 || c == 93) {
      if (depth == 0) return i;
      depth--;
    } else if (depth == 0 && (c == 44 || c <= 32)) {
      return i;
    }
    if (depth == 0 && (c == 34 || c == 125 || c == 93)) return i + 1;
  }
  return i;
}

// textEnd is where the text ends whose opening quote is at i.
function textEnd(s: string, i: i32): i32 {
  for (i++; i < s.length; i++) {
    const c = s.charCodeAt(i);
    if (c == 92) i++;
    else if (c == 34) return i + 1;
  }
  return s.length;
}

// member is where the value of a key, or of an index, of the value at i begins; -1 = there is none.
function member(s: string, i: i32, name: string): i32 {
  const open = s.charCodeAt(i);
  if (open != 123 && open != 91) return -1;
  let found = -1;
  let index = 0;
  i = space(s, i + 1);
  while (i < s.length) {
    const c = s.charCodeAt(i);
    if (c == 125 || c == 93) break;
    let matches = index.toString() == name;
    if (open == 123) {
      const after = textEnd(s, i);
      matches = unquote(s.substring(i, after)) == name;
      i = space(s, space(s, after) + 1); // over the colon
    }
    if (matches) found = i; // of a key that is there twice, the last
    i = space(s, end(s, i));
    if (s.charCodeAt(i) == 44) i = space(s, i + 1);
    index++;
  }
  return found;
}

function unquote(raw: string): string {
  const inner = raw.substring(1, raw.length - 1);
  if (!inner.includes("\\")) return inner;
  let out = "";
  for (let i = 0; i < inner.length; i++) {
    if (inner.charCodeAt(i) != 92) {
      out += inner.charAt(i);
      continue;
    }
    const c = inner.charAt(++i);
    if (c == "u") {
      out += String.fromCharCode(<i32>parseInt(inner.substring(i + 1, i + 5), 16));
      i += 4;
    } else if (c == "n") out += "\n";
    else if (c == "t") out += "\t";
    else if (c == "r") out += "\r";
    else if (c == "b") out += "\b";
    else if (c == "f") out += "\f";
    else out += c;
  }
  return out;
}

/** A text as JSON, with quotes and escapes. */
export function quote(text: string): string {
  let out = '"';
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c == 34 || c == 92) out += "\\" + text.charAt(i);
    else if (c == 10) out += "\\n";
    else if (c < 32) out += "\\u00" + (c < 16 ? "0" : "") + c.toString(16);
    else out += text.charAt(i);
  }
  return out + '"';
}
