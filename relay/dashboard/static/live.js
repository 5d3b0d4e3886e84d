// Attempts as they happen, from the relay's stream. Rows are made of texts.
const most = 200;

for (const section of document.querySelectorAll('[data-live]')) watch(section);

function watch(section) {
  const state = section.querySelector('[data-live-state]'), toggle = section.querySelector('[data-live-toggle]'), empty = section.querySelector('[data-live-empty]');
  let body = section.querySelector('[data-attempts]'), source, seen = 0, missed = 0;
  const say = text => { state.textContent = text; };

  function start() {
    source = new EventSource(section.dataset.live);
    source.addEventListener('open', () => say('Watching'));
    source.addEventListener('error', () => say(source.readyState === EventSource.CLOSED ? 'Not available' : 'Connecting again'));
    source.addEventListener('attempt', event => add(JSON.parse(event.data)));
    source.addEventListener('dropped', event => { missed += JSON.parse(event.data).count; say(`Watching, ${missed} left out`); });
    toggle.textContent = 'Stop';
  }
  function stop() {
    source.close();
    source = null;
    say('Stopped');
    toggle.textContent = 'Watch live';
  }
  function cell(row, name, ...children) {
    const td = document.createElement('td');
    td.className = name;
    td.append(...children);
    row.append(td);
  }
  function span(name, text) {
    const el = document.createElement('span');
    el.className = name;
    el.textContent = text;
    return el;
  }
  function add(a) {
    if (!body) { location.reload(); return; }
    if (empty) empty.hidden = true;
    const ok = a.status === 'delivered' || a.status === 'dropped';
    const row = document.createElement('tr'), link = document.createElement('a'), time = document.createElement('time');
    link.className = 'main';
    link.href = `${section.dataset.base}/deliveries/${encodeURIComponent(a.delivery)}`;
    link.textContent = a.type;
    time.dateTime = a.at;
    time.title = a.at;
    time.textContent = 'just now';
    cell(row, '', link, span('sub', `${a.webhook_name || a.webhook}${a.number > 1 ? ` · attempt ${a.number}` : ''}${a.mark ? ` · ${a.mark}` : ''}`));
    cell(row, 'full', span(`badge ${ok ? 'ok' : a.status === 'dead' ? 'dead' : 'retrying'}`, a.http_status || a.reason || a.status), ' ', span('muted', ok ? '' : a.detail || ''));
    cell(row, 'num off', a.duration_ms < 1 ? `${a.duration_ms.toFixed(2)} ms` : `${a.duration_ms.toFixed(1)} ms`);
    cell(row, 'tight muted', time);
    body.prepend(row);
    if (body.childElementCount > most) body.lastElementChild.remove();
    say(`Watching, ${++seen} seen`);
  }
  toggle.hidden = false;
  toggle.addEventListener('click', () => source ? stop() : start());
  if ('autoStart' in section.dataset) start(); else say('');
  window.addEventListener('pagehide', () => source?.close());
}
