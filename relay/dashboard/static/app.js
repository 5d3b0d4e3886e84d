// What every page gets: menus that close, times that stay true, buttons that copy, forms that are sent once. Everything works without it.

const units = [[60, 1, 's'], [3600, 60, 'min'], [172800, 3600, 'h'], [Infinity, 86400, 'days']];

export function ago(then, now) {
  const seconds = (now - then) / 1000, abs = Math.abs(seconds);
  if (seconds >= 0 && abs < 5) return 'just now';
  const [, by, unit] = units.find(([limit]) => abs < limit);
  const text = `${Math.floor(abs / by)} ${unit}`;
  return seconds >= 0 ? `${text} ago` : `in ${text}`;
}

function refreshTimes() {
  const now = Date.now();
  for (const el of document.querySelectorAll('time[datetime]')) {
    const text = ago(Date.parse(el.dateTime), now);
    if (el.textContent !== text) el.textContent = text;
  }
}
setInterval(refreshTimes, 10_000);

// Menus: one open at a time; a click elsewhere and Escape close them.
document.addEventListener('click', event => {
  for (const menu of document.querySelectorAll('details.menu[open]')) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener('keydown', event => {
  if (event.key !== 'Escape') return;
  for (const menu of document.querySelectorAll('details.menu[open]')) {
    menu.open = false;
    menu.querySelector('summary').focus();
  }
});

// Copy buttons take a text, or the value of another element (data-copy-from).
function enableCopies(root) {
  for (const button of root.querySelectorAll('button.copy')) button.hidden = !navigator.clipboard;
}
enableCopies(document);
document.addEventListener('click', async event => {
  const button = event.target.closest('button.copy');
  if (!button) return;
  const from = button.dataset.copyFrom && document.getElementById(button.dataset.copyFrom);
  const text = from ? (from.value ?? from.textContent) : button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = 'Copied';
  } catch {
    button.textContent = 'Not allowed';
  }
  setTimeout(() => { button.textContent = 'Copy'; }, 1500);
});

// A form is sent once, and says that it is under way.
document.addEventListener('submit', event => {
  const form = event.target;
  if (form.dataset.sent) { event.preventDefault(); return; }
  if (form.method !== 'post' || form.target || event.defaultPrevented) return;
  form.dataset.sent = '1';
  if (event.submitter?.classList.contains('btn')) event.submitter.setAttribute('aria-busy', 'true');
});
window.addEventListener('pageshow', () => {
  for (const form of document.querySelectorAll('form[data-sent]')) delete form.dataset.sent;
  for (const button of document.querySelectorAll('[aria-busy]')) button.removeAttribute('aria-busy');
});

// Filters apply when a choice is made; the button is for browsers without scripts.
for (const form of document.querySelectorAll('form[data-auto]')) {
  for (const select of form.querySelectorAll('select')) select.addEventListener('change', () => form.requestSubmit());
}

// "/" goes to the page's search.
document.addEventListener('keydown', event => {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select')) return;
  const search = document.querySelector('input[type=search]');
  if (search) { event.preventDefault(); search.focus(); }
});
