// The form of a webhook: finds event types, shows what would be sent while one types, and makes a form of a plugin's schema. Texts only, never HTML.

const form = document.getElementById('hook');

// Find an event type.
for (const box of form.querySelectorAll('input.choose')) {
  box.hidden = false;
  const labels = [...document.getElementById(box.dataset.for).querySelectorAll('label')];
  box.addEventListener('input', () => {
    const text = box.value.trim().toLowerCase();
    for (const label of labels) label.hidden = !label.textContent.toLowerCase().includes(text);
  });
  box.addEventListener('keydown', event => { if (event.key === 'Enter') event.preventDefault(); });
}

// A secret of 256 bits, made here, so that it can be copied before it is saved.
const secret = document.getElementById('secret'), generate = document.getElementById('generate');
if (!secret.disabled) {
  generate.hidden = false;
  generate.addEventListener('click', () => {
    const bytes = crypto.getRandomValues(new Uint8Array(32));
    secret.value = 'whsec_' + btoa(String.fromCharCode(...bytes));
    form.querySelector('input[name=secret_mode][value=own]').checked = true;
  });
  secret.addEventListener('input', () => { form.querySelector('input[name=secret_mode][value=own]').checked = true; });
}
form.elements.authorization.addEventListener('change', event => { form.elements.use_authorization.checked = event.target.value !== ''; });

// The address, as soon as it was typed.
const url = document.getElementById('url'), hint = document.getElementById('url-hint'), usual = hint.textContent;
function checkURL() {
  const text = url.value.trim().replace(/\{\{.*?\}\}/g, 'x');
  let message = '', kind = '';
  if (text) {
    const parsed = URL.canParse(text) && new URL(text);
    if (!parsed || !/^https?:$/.test(parsed.protocol)) { message = 'This is not an http or https address.'; kind = 'fault'; }
    else if (parsed.protocol === 'http:') { message = 'Without https, anybody on the way can read the events.'; kind = 'fault'; }
  }
  hint.textContent = message || usual;
  hint.className = kind;
}
url.addEventListener('input', checkURL);
if (url.value) checkURL();

// A plugin's configuration as fields, by its JSON Schema. What the schema does not say in simple words stays JSON.
function fieldOf(name, schema, value, changed) {
  const wrap = document.createElement('div'), label = document.createElement('label');
  wrap.className = 'field';
  label.append(schema.title || name);
  let input;
  if (schema.enum) {
    input = document.createElement('select');
    for (const option of ['', ...schema.enum]) input.append(new Option(option === '' ? '–' : option, option));
    input.value = value ?? '';
  } else if (schema.type === 'boolean') {
    input = document.createElement('select');
    for (const [text, v] of [['–', ''], ['yes', 'true'], ['no', 'false']]) input.append(new Option(text, v));
    input.value = value === undefined ? '' : String(value);
  } else if (schema.type === 'string' || schema.type === 'integer' || schema.type === 'number' || (schema.type === 'array' && schema.items?.type === 'string')) {
    input = document.createElement('input');
    input.value = Array.isArray(value) ? value.join(', ') : value ?? '';
    if (schema.default !== undefined) input.placeholder = String(schema.default);
  } else return null;
  label.append(input);
  wrap.append(label);
  if (schema.description) {
    const small = document.createElement('small');
    small.textContent = schema.description;
    wrap.append(small);
  }
  input.addEventListener('input', () => {
    const text = input.value.trim();
    let v = text;
    if (text === '') v = undefined;
    else if (schema.type === 'boolean') v = text === 'true';
    else if (schema.type === 'integer' || schema.type === 'number') v = Number(text);
    else if (schema.type === 'array') v = text.split(',').map(s => s.trim()).filter(Boolean);
    changed(name, v);
  });
  return wrap;
}

function showStep(step) {
  const select = step.querySelector('[data-plugin]'), option = select.selectedOptions[0];
  const raw = step.querySelector('textarea[name=transform_config]'), typed = step.querySelector('.typed');
  step.querySelector('small[data-about]').textContent = option?.dataset.about || '';
  typed.replaceChildren();
  let schema = {}, config = {};
  try {
    schema = JSON.parse(option?.dataset.schema || '{}');
    config = raw.value.trim() ? JSON.parse(raw.value) : {};
  } catch { typed.hidden = true; return; }
  const changed = (name, value) => {
    let now = {};
    try { now = raw.value.trim() ? JSON.parse(raw.value) : {}; } catch { return; }
    if (value === undefined) delete now[name]; else now[name] = value;
    raw.value = Object.keys(now).length ? JSON.stringify(now, null, 2) : '';
    raw.dispatchEvent(new Event('input', { bubbles: true }));
  };
  for (const [name, part] of Object.entries(schema.properties || {})) {
    const field = fieldOf(name, part, config[name], changed);
    if (field) typed.append(field);
  }
  typed.hidden = !typed.childElementCount;
}

function watchStep(step) {
  showStep(step);
  step.querySelector('[data-plugin]').addEventListener('change', () => {
    step.querySelector('[name=transform_wasm]').value = '';
    showStep(step);
    const steps = [...form.querySelectorAll('[data-step]')];
    if (steps.at(-1).querySelector('[data-plugin]').value) addStep(steps.at(-1));
  });
}

function addStep(last) {
  const step = last.cloneNode(true);
  for (const field of step.querySelectorAll('select, textarea, input')) field.value = field.name === 'transform_on_error' ? 'retry' : '';
  const label = step.querySelector('[data-plugin]').parentElement;
  label.firstChild.textContent = `Step ${form.querySelectorAll('[data-step]').length + 1}`;
  last.after(step);
  watchStep(step);
}
for (const step of form.querySelectorAll('[data-step]')) watchStep(step);

// The request that would be sent, while one types.
const box = document.getElementById('preview');
let timer, running;
async function preview() {
  if (!form.elements.url.value.trim()) return;
  running?.abort();
  running = new AbortController();
  let answer;
  try {
    const response = await fetch(form.dataset.preview, { method: 'POST', body: new URLSearchParams(new FormData(form)), signal: running.signal });
    if (!response.ok) return;
    answer = await response.json();
  } catch { return; }
  const note = document.createElement('p'), request = document.createElement('pre');
  const faults = Object.entries(answer.faults || {}).map(([field, text]) => `${field ? field + ': ' : ''}${text}`);
  note.textContent = faults.join('\n') || answer.note;
  note.className = faults.length ? 'fault' : 'help';
  note.hidden = !note.textContent;
  request.textContent = answer.request;
  request.hidden = !answer.request;
  request.dataset.request = '';
  request.tabIndex = 0;
  box.replaceChildren(note, request);
}
form.addEventListener('input', event => {
  if (event.target.classList.contains('choose')) return;
  clearTimeout(timer);
  timer = setTimeout(preview, 400);
});
if (!box.querySelector('[data-trial]')) preview();
