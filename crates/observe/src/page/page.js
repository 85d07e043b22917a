// What a person does with it: mouse, keys, details, and the words around the picture.

const $ = (id) => document.getElementById(id);

function words({ about, data, ranks, marks }) {
  const command = (about.command || []).join(' ');
  $('title').textContent = command || 'A run of Mainstay';
  document.title = `${command || 'a run'} · Mainstay`;
  const failures = marks.filter((mark) => mark.category === 'failure').length;
  const plural = (count, one) => `${count.toLocaleString('en')} ${one}${count === 1 ? '' : 's'}`;
  $('facts').textContent = [
    plural(ranks.length, 'rank'), time(about.end_us), `policy ${about.policy}`, `exit ${about.exit}`, plural(failures, 'failure'),
    `${time(about.lost_us)} lost`, plural(data.n, 'event'), plural(data.arrows, 'message'), `job ${about.job}`,
  ].join(' · ');
  const sum = (key) => (about.ranks || []).reduce((total, rank) => total + rank[key], 0);
  const lost = [];
  if (sum('overwritten')) lost.push(`the oldest ${sum('overwritten').toLocaleString('en')} records were overwritten by newer ones (--trace-records)`);
  if (sum('damaged')) lost.push(plural(sum('damaged'), 'damaged record'));
  if (about.left_out) lost.push(`${plural(about.left_out, 'event')} of the launcher left out`);
  $('lost').hidden = !lost.length;
  $('lost').textContent = `Not in this picture: ${lost.join('; ')}.`;
}

function legend() {
  $('legend').replaceChildren(...LEGEND.map(([text, category]) => {
    const item = document.createElement('span'), box = document.createElement('i');
    box.style.background = category === 'own' ? (isDark() ? '#3f7a58' : '#9fd0ad') : colour(category);
    item.append(box, text);
    return item;
  }));
}

// The event under the mouse.
function find(view, mx, my) {
  const { data, t0, t1, width } = view, each = (t1 - t0) / width, t = t0 + (mx - LABELS) * each;
  if (mx < LABELS || mx > LABELS + width) return null;
  for (const strip of view.strips) {
    if (my < strip.y - 1 || my > strip.y + strip.h || (strip.rank !== undefined && my < view.top)) continue;
    for (const lane of [strip.lane, strip.life, strip.calls]) {
      if (!lane || (lane === strip.life && my > strip.y + strip.lifeRow + 2)) continue;
      const near = firstFrom(lane.moments, (e) => data.start[e], t - 5 * each);
      const e = lane.moments[near];
      if (e !== undefined && Math.abs(data.start[e] - t) <= 5 * each && lane !== strip.calls) return { e, strip };
    }
    for (const row of [...strip.rows].reverse()) {
      if (my < row.y - 1 || my > row.y + row.h + 1) continue;
      const { spans } = row.row;
      let best;
      for (let i = firstFrom(spans, (e) => data.start[e], t + each) - 1, tries = 0; i >= 0 && tries < 64; i--, tries++) {
        const e = spans[i];
        if (data.start[e] + data.duration[e] < t - each) break;
        if (best === undefined || data.duration[e] > data.duration[best]) best = e;
      }
      if (best !== undefined) {
        const box = [LABELS + (data.start[best] - t0) / each, row.y, data.duration[best] / each, row.h];
        return { e: best, strip, box, arrow: arrowOf(view, best, strip) };
      }
    }
  }
  return null;
}

// The message that a span sends or receives.
function arrowOf(view, e, strip) {
  const { data } = view, [category] = data.names[data.name[e]];
  if (category !== 'send' && category !== 'receive') return undefined;
  const sends = category === 'send';
  const { order, byEnd } = view.arrows, list = sends ? order : byEnd, at = (a) => (sends ? data.from[a] : data.to[a]);
  const lane = sends ? data.fromLane : data.toLane;
  for (let i = firstFrom(list, at, data.start[e] - 1e-3); i < list.length && at(list[i]) <= data.start[e] + data.duration[e] + 2e-3; i++) {
    if (lane[list[i]] === strip.calls.i) return list[i];
  }
  return undefined;
}

function tell(view, found, mx, my) {
  const tip = $('tip'), { data } = view;
  tip.hidden = !found;
  if (!found) return;
  const { e } = found, name = document.createElement('b'), table = document.createElement('table');
  name.textContent = title(data, e);
  const row = (key, value) => {
    const line = table.insertRow();
    line.insertCell().textContent = key;
    line.insertCell().textContent = value;
  };
  row('where', found.strip.lane ? `launcher, ${found.strip.label}` : found.strip.label);
  row('at', exact(data.start[e]));
  if (data.duration[e] >= 0) row('lasted', time(data.duration[e]));
  if (found.arrow !== undefined) row('under way', time(data.to[found.arrow] - data.from[found.arrow]));
  for (const [key, value] of args(data, e)) {
    row(key.replace(/_ns$/, '').replace(/_/g, ' '), key.endsWith('_ns') ? time(value / 1e3)
      : typeof value === 'number' ? (key === 'bytes' && value > 1023 ? `${value.toLocaleString('en')} (${bytes(value)})` : value.toLocaleString('en')) : value);
  }
  tip.replaceChildren(name, table);
  const { innerWidth: w, innerHeight: h } = window;
  tip.style.left = `${Math.min(mx + 14, w - tip.offsetWidth - 8)}px`;
  tip.style.top = `${my + 18 + tip.offsetHeight > h ? Math.max(8, my - tip.offsetHeight - 12) : my + 18}px`;
}

function show(view, t0, t1) {
  const least = 0.05, span = Math.min(view.end, Math.max(least, t1 - t0));
  const from = Math.min(Math.max(0, t0 + (t1 - t0 - span) / 2), view.end - span);
  [view.t0, view.t1] = [from, from + span];
  redraw(view);
}

function redraw(view) {
  if (view.pending) return;
  view.pending = true;
  requestAnimationFrame(() => {
    view.pending = false;
    draw(view);
    overview(view);
    const { t0, t1, arrowsInSight: count } = view;
    const far = count > ARROWS_MAX ? ` · ${count.toLocaleString('en')} messages in sight: zoom in to see them` : '';
    $('status').textContent = `${exact(t0)} + ${time(t1 - t0)}${far}`;
  });
}

function zoom(view, factor, at = 0.5) {
  const t = view.t0 + (view.t1 - view.t0) * at, span = (view.t1 - view.t0) * factor;
  show(view, t - span * at, t + span * (1 - at));
}

function nextFailure(view) {
  const failures = view.marks.filter((mark) => mark.category === 'failure');
  if (!failures.length) return;
  const middle = (view.t0 + view.t1) / 2;
  const next = failures.find((mark) => mark.at > middle + 1e-3) || failures[0];
  const around = view.recoveries.find((e) => view.data.start[e] <= next.at + 1 && view.data.start[e] + view.data.duration[e] >= next.at);
  const span = around === undefined ? view.end / 50 : Math.max(view.data.duration[around] * 1.3, 200);
  show(view, next.at - span / 2, next.at + span / 2);
}

function keys(view, event) {
  const span = view.t1 - view.t0, move = (share) => show(view, view.t0 + span * share, view.t1 + span * share);
  const acts = {
    ArrowLeft: () => move(-0.15), a: () => move(-0.15), ArrowRight: () => move(0.15), d: () => move(0.15),
    '+': () => zoom(view, 1 / 1.5), '=': () => zoom(view, 1 / 1.5), w: () => zoom(view, 1 / 1.5), '-': () => zoom(view, 1.5), s: () => zoom(view, 1.5),
    ArrowUp: () => { view.scroll -= 60; redraw(view); }, ArrowDown: () => { view.scroll += 60; redraw(view); },
    f: () => show(view, 0, view.end), '0': () => show(view, 0, view.end), n: () => nextFailure(view), t: () => theme(view),
    Home: () => show(view, 0, span), End: () => show(view, view.end - span, view.end), Escape: () => { view.kept = false; $('tip').hidden = true; },
  };
  const act = acts[event.key] || acts[event.key.toLowerCase()];
  if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act();
}

function theme(view) {
  document.documentElement.dataset.theme = isDark() ? 'light' : 'dark';
  legend();
  redraw(view);
}

function mouse(view) {
  const { canvas } = view;
  let drag = null;
  canvas.addEventListener('wheel', (event) => {
    event.preventDefault();
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const by = (event.deltaX || event.deltaY) / view.width * (view.t1 - view.t0);
      return show(view, view.t0 + by, view.t1 + by);
    }
    const at = Math.min(1, Math.max(0, (event.offsetX - LABELS) / view.width));
    if (event.offsetX < LABELS) { view.scroll += event.deltaY; return redraw(view); }
    return zoom(view, Math.exp(Math.min(60, Math.max(-60, event.deltaY)) / 150), at);
  }, { passive: false });
  canvas.addEventListener('pointerdown', (event) => {
    drag = { x: event.offsetX, y: event.offsetY, t0: view.t0, t1: view.t1, scroll: view.scroll, select: event.shiftKey, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', (event) => {
    if (drag) {
      drag.moved ||= Math.abs(event.offsetX - drag.x) + Math.abs(event.offsetY - drag.y) > 3;
      if (!drag.moved) return;
      if (drag.select) { view.select = [drag.x, event.offsetX]; return redraw(view); }
      canvas.classList.add('moving');
      view.scroll = drag.scroll - (event.offsetY - drag.y);
      const by = (drag.x - event.offsetX) / view.width * (drag.t1 - drag.t0);
      return show(view, drag.t0 + by, drag.t1 + by);
    }
    if (view.kept) return;
    view.hover = find(view, event.offsetX, event.offsetY);
    tell(view, view.hover, event.clientX, event.clientY);
    redraw(view);
  });
  canvas.addEventListener('pointerup', (event) => {
    canvas.classList.remove('moving');
    if (drag && drag.moved && drag.select && view.select) {
      const at = (x) => view.t0 + (x - LABELS) / view.width * (view.t1 - view.t0), [a, b] = view.select;
      view.select = null;
      show(view, at(Math.min(a, b)), at(Math.max(a, b)));
    } else if (drag && !drag.moved) {
      view.hover = find(view, event.offsetX, event.offsetY);
      view.kept = !!view.hover;
      $('tip').classList.toggle('kept', view.kept);
      tell(view, view.hover, event.clientX, event.clientY);
    }
    drag = null;
    redraw(view);
  });
  canvas.addEventListener('pointerleave', () => { if (!view.kept) { view.hover = null; $('tip').hidden = true; redraw(view); } });
  canvas.addEventListener('dblclick', (event) => {
    const found = find(view, event.offsetX, event.offsetY);
    if (!found || view.data.duration[found.e] < 0) return;
    const a = view.data.start[found.e], lasted = Math.max(0.1, view.data.duration[found.e]);
    show(view, a - lasted * 0.15, a + lasted * 1.15);
  });
  let began = null;
  const at = (x) => Math.min(1, Math.max(0, (x - LABELS) / (view.small.clientWidth - LABELS - RIGHT))) * view.end;
  view.small.addEventListener('pointerdown', (event) => { began = event.offsetX; view.small.setPointerCapture(event.pointerId); });
  view.small.addEventListener('pointermove', (event) => {
    if (began !== null && Math.abs(event.offsetX - began) > 3) show(view, at(Math.min(began, event.offsetX)), at(Math.max(began, event.offsetX)));
  });
  view.small.addEventListener('pointerup', (event) => {
    if (began !== null && Math.abs(event.offsetX - began) <= 3) {
      const half = (view.t1 - view.t0) / 2;
      show(view, at(event.offsetX) - half, at(event.offsetX) + half);
    }
    began = null;
  });
}

async function begin() {
  const dark = window.matchMedia && window.matchMedia('(prefers-color-scheme: dark)').matches;
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
  if (!window.DecompressionStream) {
    $('facts').textContent = 'This browser is too old for this page: it cannot decompress. Any of the last years can.';
    return;
  }
  const data = await unpack(), lanes = arrange(data);
  const launcher = lanes.filter((lane) => lane.pid === 0 && (lane.rows.length || lane.moments.length)).sort((a, b) => a.tid - b.tid);
  const pids = [...new Set(lanes.map((lane) => lane.pid))].filter((pid) => pid > 0).sort((a, b) => a - b);
  const of = (pid, tid) => lanes.find((lane) => lane.pid === pid && lane.tid === tid);
  const ranks = pids.map((pid) => ({ rank: pid - 1, life: of(pid, 1), calls: of(pid, 2), known: 0 }));
  for (const rank of ranks) {
    const told = (data.about.ranks || [])[rank.rank], first = rank.calls && rank.calls.rows[0] && rank.calls.rows[0].spans[0];
    if (told && told.overwritten && first !== undefined) rank.known = data.start[first];
  }
  const recovery = of(0, 1), versions = launcher.filter((lane) => lane.thread === 'versions');
  const marks = [];
  for (const lane of [recovery, ...versions]) {
    for (const e of lane ? lane.moments : []) {
      const [category, name] = data.names[data.name[e]];
      if (category === 'failure' || name === 'committed') marks.push({ at: data.start[e], category });
    }
  }
  marks.sort((a, b) => a.at - b.at);
  const recoveries = recovery && recovery.rows[0] ? recovery.rows[0].spans : [];
  const order = Uint32Array.from(data.from.keys()).sort((a, b) => data.from[a] - data.from[b]);
  const byEnd = Uint32Array.from(data.to.keys()).sort((a, b) => data.to[a] - data.to[b]);
  let longest = 0;
  for (let a = 0; a < data.arrows; a++) longest = Math.max(longest, data.to[a] - data.from[a]);
  const end = Math.max(data.about.end_us || 0, 1);
  const view = {
    data, lanes, launcher, ranks, marks, recoveries, end, about: data.about, arrows: { order, byEnd, longest },
    canvas: $('picture'), small: $('overview'), t0: 0, t1: end, scroll: 0, hover: null, kept: false, strips: [],
  };
  window.picture = view;
  words(view);
  legend();
  mouse(view);
  window.addEventListener('keydown', (event) => keys(view, event));
  window.addEventListener('resize', () => redraw(view));
  $('fit').onclick = () => show(view, 0, view.end);
  $('fault').onclick = () => nextFailure(view);
  $('fault').disabled = !marks.some((mark) => mark.category === 'failure');
  $('theme').onclick = () => theme(view);
  const asked = /^#(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$/.exec(window.location.hash);
  if (asked) show(view, Number(asked[1]), Number(asked[2])); else redraw(view);
}

begin().catch((error) => { $('facts').textContent = `This page is damaged: ${error.message}`; });
