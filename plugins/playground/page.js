"use strict";
const $ = (id) => document.getElementById(id);
const api = (path) => "api/" + path;
let saved = "", file = "", sending = 0, first = true;

function text(node, value, kind) {
  node.textContent = value;
  node.className = kind || "";
}

// lines shows text line by line, in the colour of what a line begins with.
function lines(node, value) {
  node.replaceChildren(...value.split("\n").map((line) => {
    const span = document.createElement("span");
    text(span, line + "\n", line.startsWith("+") ? "good" : line.startsWith("-") ? "bad" : "");
    return span;
  }));
}

async function ask(path, options) {
  const r = await fetch(api(path), options);
  if (!r.ok) throw new Error(await r.text());
  return r.json();
}

function fill(select, names, chosen) {
  if (names.join("\n") === [...select.options].map((o) => o.value).join("\n")) return;
  select.replaceChildren(...names.map((n) => new Option(n, n, n === chosen, n === chosen)));
}

async function open(name) {
  const f = await ask("file?name=" + encodeURIComponent(name));
  file = name;
  saved = $("source").value = f.text;
  text($("saved"), "");
}

async function save() {
  const now = $("source").value;
  if (!file || now === saved) return;
  try {
    await ask("file?name=" + encodeURIComponent(file), { method: "PUT", body: now });
    saved = now;
    text($("saved"), "saved", "soft");
  } catch (e) {
    text($("saved"), String(e.message), "bad");
  }
}

// reload takes over what another editor has written, unless something unsaved is here.
async function reload() {
  if (!file || $("source").value !== saved) return;
  const f = await ask("file?name=" + encodeURIComponent(file)).catch(() => null);
  if (f && f.text !== saved && $("source").value === saved) saved = $("source").value = f.text;
}

function later(wait, fn) {
  let timer;
  return () => { clearTimeout(timer); timer = setTimeout(fn, wait); };
}

async function choose(byName) {
  const body = { name: $("sample").value, event: byName ? "" : $("event").value, config: $("config").value };
  const mine = ++sending;
  try {
    const state = await ask("run", { method: "POST", body: JSON.stringify(body) });
    if (mine === sending) show(state, byName);
  } catch (e) {
    text($("problem"), e.message, "bad");
    $("problem").hidden = false;
  }
}

function show(s, withInput) {
  document.title = (s.plugin || "plugin") + " – plugin dev";
  text($("plugin"), s.plugin ? s.plugin + " " + s.version : "plugin");
  const run = s.run, o = run && run.outcome, t = s.tests, parts = [];
  if (s.built) parts.push("built in " + Math.round(s.built.seconds * 1000) + " ms");
  if (o) parts.push(o.action + ", " + Math.round(o.micros) + " µs, " + o.fuel.toLocaleString("en") + " fuel, " + Math.ceil(o.memory / 1024).toLocaleString("en") + " KiB");
  if (t) parts.push("tests: " + t.passed + " passed, " + t.failed + " failed");
  if (s.ms_after_edit) parts.push(Math.round(s.ms_after_edit) + " ms after the edit");
  text($("summary"), parts.join(" · "), s.problem || (t && t.failed) ? "bad" : "good");
  const problem = [s.problem, s.compiler].filter(Boolean).join("\n");
  text($("problem"), problem, "bad");
  $("problem").hidden = !problem;
  fill($("sample"), s.events, run && run.event);
  if (o) {
    const q = run.request;
    if (q) text($("request"), q.method + " " + q.url + "\n" + (q.headers || []).map((h) => h.name + ": " + h.value).join("\n") + "\n\n" + pretty(q.body));
    else text($("request"), o.action + (o.reason ? ": " + o.reason : "") + (o.message ? ": " + o.message : ""), o.action === "drop" ? "" : "bad");
    lines($("diff"), run.diff || "");
    const log = (o.log || []).map((l) => l.level + ": " + l.text).concat((o.trace || []).map((l) => "at " + l));
    for (const c of run.undeclared || []) log.push("it needs the capability " + c + ", which plugin.yaml does not list");
    text($("log"), log.join("\n"));
    if (withInput || first) {
      $("event").value = pretty(run.input);
      if (first) $("config").value = run.config || "";
      first = false;
    }
  }
  $("tests").replaceChildren(...((t && t.cases) || []).map(testRow));
}

function testRow(c) {
  const row = document.createElement("tr");
  const cell = (value, kind) => {
    const td = document.createElement("td");
    text(td, value, kind);
    row.append(td);
    return td;
  };
  cell(c.passed ? "ok" : "FAIL", c.passed ? "good" : "bad");
  const name = cell(c.name);
  for (const p of c.problems || []) name.append(Object.assign(document.createElement("div"), { textContent: p, className: "bad" }));
  if (c.diff) {
    const pre = document.createElement("pre");
    lines(pre, c.diff);
    name.append(pre);
  }
  cell(c.outcome.fuel.toLocaleString("en") + " fuel", "number");
  return row;
}

function pretty(body) {
  try {
    return /^\s*[[{]/.test(body) && body.length < 100000 && !/[0-9]{16}/.test(body) ? JSON.stringify(JSON.parse(body), null, 2) : body;
  } catch {
    return body;
  }
}

$("file").onchange = async () => { await save(); await open($("file").value); };
$("save").onclick = save;
$("source").addEventListener("input", later(250, () => $("live").checked && save()));
$("source").addEventListener("keydown", (e) => {
  if (e.key === "s" && (e.ctrlKey || e.metaKey)) {
    e.preventDefault();
    save();
  }
});
$("sample").onchange = () => choose(true);
$("event").addEventListener("input", later(150, () => choose(false)));
$("config").addEventListener("input", later(150, () => choose(false)));
$("fetch").onclick = async () => {
  try {
    $("event").value = (await ask("delivery?id=" + encodeURIComponent($("delivery").value.trim()))).event;
    await choose(false);
  } catch (e) {
    text($("problem"), e.message, "bad");
    $("problem").hidden = false;
  }
};

(async () => {
  const list = await ask("files");
  $("relay").hidden = !list.relay;
  const source = list.files.find((f) => /^(index\.[jt]s|main\.go|plugin\.c|src\/lib\.rs|assembly\/index\.ts)$/.test(f)) || list.files[0];
  fill($("file"), list.files, source);
  if (source) await open(source);
  new EventSource(api("stream")).onmessage = (m) => {
    show(JSON.parse(m.data), false);
    reload();
  };
})();
