// What a JavaScript transform finds around it. Evaluated by the host before the script, in the same realm; the value of this file is a
// function that takes the host's one function and returns the one that the host calls. Everything here runs inside the sandbox.
(function (host) {
  "use strict";

  // What the host's function does; the same numbers are in jshost.go.
  const LOG = 0, SET = 1, END = 2, FAILED = 3, OUTPUT = 4;
  const DROP = 1, FAIL = 2, RETRY = 3; // actions

  const config = { value: null };
  let registered = null; // by addHandler
  let handler = null; // (event, ctx) => result
  let random = [1, 2, 3, 4];

  // ---- logging: lines of text, objects as JSON

  function show(x) {
    if (typeof x === "string") return x;
    if (x instanceof Error) return String(x);
    try {
      const s = JSON.stringify(x);
      return s === undefined ? String(x) : s;
    } catch (e) {
      return String(x);
    }
  }

  function logger(level) {
    return function (...args) { host(LOG, level, args.map(show).join(" ")); };
  }

  const log = logger(1);
  const levels = { debug: logger(0), log, info: log, warn: logger(2), error: logger(3) };
  globalThis.console = { ...levels, trace: levels.debug };

  // ---- what is random follows from the event (sfc32)

  Math.random = function () {
    let [a, b, c, d] = random;
    const t = (a + b + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t | 0;
    random = [a, b, c, d];
    return (t >>> 0) / 4294967296;
  };

  // ---- bodies that are not JSON

  class Body {
    constructor(type, text) { this.type = type; this.text = text; }
  }

  const startOfName = "A-Za-z_\\u00C0-\\u00D6\\u00D8-\\u00F6\\u00F8-\\u0131\\u0134-\\u013E\\u0141-\\u0148\\u014A-\\u017E\\u0388-\\u038A" +
    "\\u038E-\\u03A1\\u03A3-\\u03CE\\u0401-\\u040C\\u040E-\\u044F\\u0451-\\u045C\\u045E-\\u0481\\u05D0-\\u05EA\\u0621-\\u063A\\u0641-\\u064A" +
    "\\u3041-\\u3094\\u30A1-\\u30FA\\u4E00-\\u9FA5\\uAC00-\\uD7A3";
  const validName = new RegExp(`^(?![xX][mM][lL])[${startOfName}][${startOfName}0-9.-]*$`);
  const badFirst = new RegExp(`^(?=[0-9.-]|[xX][mM][lL])`);
  const badOthers = new RegExp(`[^${startOfName}0-9.-]`, "gu");
  const entities = { "<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;", "'": "&apos;", "\r": "&#13;", "\t": "&#9;", "\n": "&#10;" };

  function xmlText(s, attribute) {
    const pattern = attribute ? /[<>&"'\r\t\n\x00-\x1f\ufffe\uffff]/g : /[<>&"'\r\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g;
    return s.toWellFormed().replace(pattern, (c) => entities[c] || "\ufffd");
  }

  function xmlElement(key, v) {
    if (v === undefined || typeof v === "function") return "";
    if (Array.isArray(v)) return v.map((item) => xmlSingle(key, item)).join("");
    return xmlSingle(key, v);
  }

  function xmlSingle(key, v) {
    let name = key, open = key;
    if (!validName.test(key)) {
      name = key.replace(badFirst, "_").replace(badOthers, "_") || "_";
      open = `${name} name="${xmlText(key, true)}"`;
    }
    if (v === null || v === undefined) return `<${open} nil="true"/>`;
    return `<${open}>${xmlContent(v)}</${name}>`;
  }

  function xmlContent(v) {
    if (Array.isArray(v)) return xmlElement("item", v);
    if (typeof v === "object") return Object.keys(v).map((k) => xmlElement(k, v[k])).join("");
    return xmlText(String(v), false);
  }

  // plain turns a value into what JSON can say: dates become texts, functions go.
  function plain(v) {
    const s = JSON.stringify(v);
    if (s === undefined) throw new TypeError("there is nothing that JSON could say of " + typeof v);
    return JSON.parse(s);
  }

  function formText(s) {
    return encodeURIComponent(s.toWellFormed()).replace(/[!'()~]|%20/g, (c) => c === "%20" ? "+" : "%" + c.charCodeAt(0).toString(16).toUpperCase());
  }

  function formPairs(pairs, name, v) {
    if (Array.isArray(v)) {
      for (const item of v) formPairs(pairs, name + "%5B%5D", item);
    } else if (v !== null && typeof v === "object") {
      for (const k of Object.keys(v)) formPairs(pairs, name === "" ? formText(k) : `${name}%5B${formText(k)}%5D`, v[k]);
    } else {
      pairs.push(`${name}=${v === null ? "" : formText(String(v))}`);
    }
    return pairs;
  }

  // ---- ctx

  function set(key, value) {
    const code = host(SET, key, String(value));
    if (code === 0) return;
    const why = { "-1": "does not exist", "-2": "is refused", "-3": "is too large, or there are too many" }[code];
    throw new TypeError(`${key} = ${JSON.stringify(String(value)).slice(0, 100)} ${why}`);
  }

  // Ended is what drop, fail and retry return: what the function returns then does not matter.
  class Ended {}

  class Context {
    constructor(meta) { Object.assign(this, meta); this.config = config.value; }
    header(name, value) { set("header:" + name, value); }
    query(name, value) { set("query:" + name, value); }
    method(value) { set("method", value); }
    path(value) { set("path", value); }
    contentType(value) { set("content-type", value); }
    drop(reason) { return this.#end(DROP, reason); }
    fail(reason) { return this.#end(FAIL, reason); }
    retry(reason) { return this.#end(RETRY, reason); }
    xml(value, root = "event") {
      const v = plain(value);
      const document = Array.isArray(v) ? `<${root}>${xmlContent(v)}</${root}>` : xmlElement(root, v);
      return new Body("application/xml; charset=utf-8", '<?xml version="1.0" encoding="UTF-8"?>' + document);
    }
    form(value) {
      const v = plain(value);
      if (v === null || typeof v !== "object" || Array.isArray(v)) throw new TypeError("a form is made of an object");
      return new Body("application/x-www-form-urlencoded", formPairs([], "", v).join("&"));
    }
    json(value) { return new Body("application/json", JSON.stringify(plain(value))); }
    text(value) { return new Body("text/plain; charset=utf-8", String(value)); }
    #end(action, reason) {
      host(END, action, reason === undefined ? "" : show(reason));
      return new Ended();
    }
  }
  Object.assign(Context.prototype, levels);

  // ---- handlers of other services: they see the data of the event as their payload

  globalThis.addHandler = function (name, f) {
    if (name !== "transform") throw new TypeError(`addHandler(${JSON.stringify(name)}): only "transform" is called`);
    registered = f;
  };

  function payloadOf(event) {
    return event !== null && typeof event === "object" && "data" in event ? event.data : event;
  }

  function then(value, f) {
    return value !== null && typeof value === "object" && typeof value.then === "function" ? value.then(f) : f(value);
  }

  // Svix: handler(webhook) returns the webhook; cancel drops it.
  function likeSvix(f) {
    return function (event, ctx) {
      const webhook = { method: "POST", url: "", payload: payloadOf(event), eventType: ctx.type, headers: {}, cancel: false };
      return then(f(webhook), (w) => {
        if (w === null || typeof w !== "object") throw new TypeError("handler(webhook) must return the webhook");
        if (w.cancel) return ctx.drop("cancelled by the handler");
        if (w.method !== "POST") ctx.method(w.method);
        if (typeof w.url === "string" && w.url.startsWith("/")) ctx.path(w.url);
        else if (w.url !== "") throw new TypeError("webhook.url: a transform can set a path that begins with a slash, the host is the webhook's own");
        for (const k of Object.keys(w.headers || {})) ctx.header(k, w.headers[k]);
        return w.payload;
      });
    };
  }

  // Hookdeck: addHandler("transform", (request, context) => request).
  function likeHookdeck(f) {
    return function (event, ctx) {
      const headers = { "content-type": "application/json" };
      const request = { headers: { ...headers }, body: payloadOf(event), query: "", parsed_query: {}, path: "" };
      return then(f(request, ctx), (r) => {
        if (r === null || typeof r !== "object") throw new TypeError("the handler must return the request");
        for (const k of Object.keys(r.headers || {})) {
          if (k.toLowerCase() !== "content-type") ctx.header(k, r.headers[k]);
          else if (r.headers[k] !== headers["content-type"]) ctx.contentType(r.headers[k]);
        }
        for (const pair of String(r.query || "").replace(/^\?/, "").split("&").filter(Boolean)) {
          const [k, v = ""] = pair.split("=").map((s) => decodeURIComponent(s.replace(/\+/g, " ")));
          ctx.query(k, v);
        }
        for (const k of Object.keys(r.parsed_query || {})) ctx.query(k, r.parsed_query[k]);
        if (r.path) ctx.path(r.path);
        return r.body;
      });
    };
  }

  // Convoy: transform(payload) returns the payload.
  function likeConvoy(f) {
    return (event) => f(payloadOf(event));
  }

  function choose(exports) {
    const scope = exports || {};
    const find = (name) => [scope[name], globalThis[name]].find((f) => typeof f === "function");
    if (typeof scope.default === "function") return scope.default;
    if (registered !== null) return likeHookdeck(registered);
    if (find("handler")) return likeSvix(find("handler"));
    if (find("transform")) return likeConvoy(find("transform"));
    throw new TypeError("the script exports no function: write export default function (event, ctx) { … }");
  }

  // ---- one event

  function finish(result) {
    if (result === undefined || result instanceof Ended) return host(OUTPUT);
    if (result === null) {
      throw new TypeError("the transform returned null: return an object or a text, nothing to send the event as it is, or ctx.drop() to drop it");
    }
    let body = result;
    if (typeof result === "string") body = new Body("text/plain; charset=utf-8", result);
    else if (!(result instanceof Body)) {
      const json = JSON.stringify(result);
      if (json === undefined) throw new TypeError(`the transform returned a ${typeof result}`);
      body = new Body("application/json", json);
    }
    host(OUTPUT, body.type, body.text);
  }

  function failed(e) {
    if (e instanceof Error) host(FAILED, String(e), String(e.stack || ""));
    else host(FAILED, show(e), "");
  }

  function run(text, meta) {
    try {
      const { seed, ...about } = JSON.parse(meta);
      random = seed;
      let event = text;
      try {
        event = JSON.parse(text);
      } catch (e) {
        // the output of another transform, which need not be JSON
      }
      const result = handler(event, new Context(about));
      if (result !== null && typeof result === "object" && typeof result.then === "function") result.then(finish).catch(failed);
      else finish(result);
    } catch (e) {
      failed(e);
    }
  }

  function start(exports, text) {
    config.value = text === "" ? null : JSON.parse(text);
    handler = choose(exports);
  }

  return function (op, a, b) {
    switch (op) {
      case "run": return run(a, b);
      case "start": return start(a, b);
      case "failed": return failed(a);
    }
  };
})
