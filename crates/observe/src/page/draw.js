// The picture: a lane for the launcher, a band for each rank, arrows between them once there is room.

const COLOURS = {
  send: ['#6ea0e6', '#4f86d9'], receive: ['#6cc3cd', '#2f95a3'], wait: ['#eba53c', '#d99a3a'],
  collective: ['#b6a6ec', '#6f5bb5'], checkpoint: ['#2f9e6b', '#40b981'], restore: ['#7aa617', '#9cc93a'],
  recovery: ['#e06a3c', '#ee7d4f'], failure: ['#d22f27', '#ff5a50'], finish: ['#7d8590', '#8f98a4'],
  life: ['#c9d1d9', '#39424e'], entry: ['#aebccb', '#4a5768'], step: ['#a9c1da', '#40597a'], odd: ['#c3d5e6', '#4d6a8f'],
  epoch: ['#a9b4c2', '#4b596b'], note: ['#7d8590', '#8f98a4'], output: ['#7d8590', '#8f98a4'], up: ['#2f9e6b', '#40b981'],
};
const LEGEND = [['computing', 'own'], ['send', 'send'], ['receive', 'receive'], ['collective', 'collective'], ['wait', 'wait'],
  ['checkpoint', 'checkpoint'], ['restore', 'restore'], ['recovery', 'recovery'], ['failure', 'failure']];
const LABELS = 84, RIGHT = 62, RULER = 24;

const isDark = () => document.documentElement.dataset.theme === 'dark';
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colour = (category) => (COLOURS[category] || COLOURS.note)[isDark() ? 1 : 0];
const own = () => (isDark() ? '#2c3d33' : '#dcebdf');

// A canvas of the size that it is shown at, and its pen.
function prepare(canvas) {
  const ratio = window.devicePixelRatio || 1, { clientWidth: w, clientHeight: h } = canvas;
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
    canvas.width = Math.round(w * ratio);
    canvas.height = Math.round(h * ratio);
  }
  const pen = canvas.getContext('2d');
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, w, h);
  return { pen, w, h };
}

// Where everything stands: one entry a strip of rows, from the top.
function lay(view, height) {
  const { lanes, ranks, launcher } = view;
  const strips = [];
  let y = RULER + 4;
  for (const lane of launcher) {
    const h = 17 * Math.max(1, lane.rows.length);
    strips.push({ lane, y, h, label: lane.thread, rows: lane.rows.map((row, d) => ({ row, y: y + 17 * d, h: 15 })) });
    y += h + 2;
  }
  y += 6;
  view.top = y;
  const most = Math.max(1, ...ranks.map(({ calls }) => (calls ? calls.rows.length : 1)));
  const room = (height - y - 4) / Math.max(1, ranks.length);
  const least = 3 * (most + 1);
  const band = Math.max(least, Math.min(room, 26 + 24 * most));
  const lifeRow = Math.max(3, Math.min(17, band * 0.2));
  const gap = band > 40 ? 6 : 2;
  const callRow = (band - lifeRow - gap) / most;
  view.scrollMax = Math.max(0, band * ranks.length - (height - y));
  view.scroll = Math.min(Math.max(0, view.scroll), view.scrollMax);
  let at = y - view.scroll;
  for (const { rank, life, calls, known } of ranks) {
    const rows = [];
    // Of a life its steps are shown where there are any, else the entry, else that it lives.
    if (life) life.rows.forEach((row, d) => rows.push({ row, y: at, h: lifeRow - 1, life: true, within: life.rows[d + 1] }));
    if (calls) calls.rows.forEach((row, d) => rows.push({ row, y: at + lifeRow + callRow * d, h: Math.max(1.5, callRow - (callRow > 8 ? 1 : 0)) }));
    strips.push({ rank, life, calls, known, y: at, h: band - gap, label: `rank ${rank}`, rows, callsAt: at + lifeRow, lifeRow });
    at += band;
  }
  view.strips = strips;
  void lanes;
}

function drawRow({ data, view, pen, w }, { row, y, h, life, within }) {
  const { start, duration, name, names } = data, { spans } = row;
  const { t0, t1 } = view, each = (t1 - t0) / w, x = (t) => LABELS + (t - t0) / each;
  let i = firstFrom(spans, (e) => start[e], t0);
  while (i > 0 && start[spans[i - 1]] + duration[spans[i - 1]] > t0) i--;
  // The name of an entry would stand under those of its steps.
  const inner = life && within && taken(data, within, t0, t1) > 0;
  let run = null;
  const flush = () => {
    if (!run) return;
    pen.globalAlpha = run.alpha;
    pen.fillStyle = colour(run.category);
    pen.fillRect(run.x, y, run.w, h);
    pen.globalAlpha = 1;
    run = null;
  };
  while (i < spans.length && start[spans[i]] < t1) {
    const e = spans[i], category = names[name[e]][0];
    if (duration[e] >= 2 * each) {
      flush();
      const a = Math.max(LABELS, x(start[e])), b = Math.min(LABELS + w, x(start[e] + duration[e]));
      pen.fillStyle = colour(life && category === 'step' && arg(data, e, 'step') % 2 ? 'odd' : category);
      pen.fillRect(a, y, Math.max(0.75, b - a - (b - a > 4 ? 0.75 : 0)), h);
      if (h >= 11 && b - a > 30 && !inner) label(pen, data, e, a, y, b - a, h);
      i++;
      continue;
    }
    // All that begins in this pixel: how much of it is taken, and mostly by what.
    const px = Math.max(0, Math.floor((start[e] - t0) / each));
    const until = t0 + (px + 1) * each;
    let j = i + 1, step = 1;
    while (j < spans.length && start[spans[j]] < until && duration[spans[j]] < 2 * each) { j += step; step *= 2; }
    if (step > 1) {
      let low = j - step / 2, high = Math.min(j, spans.length);
      while (low < high) {
        const middle = (low + high) >> 1;
        if (start[spans[middle]] < until) low = middle + 1; else high = middle;
      }
      j = Math.max(i + 1, low);
    }
    let best = i;
    for (let k = i, by = Math.max(1, (j - i) >> 3); k < j; k += by) if (duration[spans[k]] > duration[spans[best]]) best = k;
    const share = Math.min(1, (row.taken[j] - row.taken[i]) / each);
    const alpha = Math.max(0.25, Math.ceil(share * 5) / 5), of = names[name[spans[best]]][0];
    if (run && run.category === of && run.alpha === alpha && run.x + run.w >= LABELS + px - 0.01) run.w = LABELS + px + 1 - run.x;
    else { flush(); run = { x: LABELS + px, w: 1, category: of, alpha }; }
    i = j;
  }
  flush();
}

// What a span is called where there is room.
function title(data, e) {
  const [category, name] = data.names[data.name[e]], of = (key) => arg(data, e, key);
  switch (category) {
    case 'step': return `step ${of('step')}`;
    case 'entry': return `entry, epoch ${of('epoch')}`;
    case 'life': return `incarnation ${of('incarnation')}`;
    case 'epoch': return `epoch ${of('epoch')}: ${of('reason')}`;
    case 'send': return `send to ${of('to')}, ${bytes(of('bytes'))}`;
    case 'receive': return `receive from ${of('from')}, ${bytes(of('bytes'))}`;
    case 'checkpoint': return `${name} v${of('version')}`;
    case 'restore': return of('version') === undefined ? name : `restore v${of('version')}`;
    case 'wait': return of('peer') === undefined ? name : `${name}, rank ${of('peer')}`;
    default: return name;
  }
}

function label(pen, data, e, x, y, w, h) {
  const text = title(data, e), room = Math.floor((w - 8) / 6.1);
  if (room < 4) return;
  pen.fillStyle = isDark() ? '#f4f6f8' : ['recovery', 'checkpoint', 'failure'].includes(data.names[data.name[e]][0]) ? '#fff' : '#1d232b';
  pen.font = '10.5px system-ui, "DejaVu Sans", sans-serif';
  pen.textBaseline = 'middle';
  pen.fillText(text.length > room ? `${text.slice(0, room - 1)}…` : text, x + 4, y + h / 2 + 0.5);
}

function ruler({ view, pen, w, h }) {
  const { t0, t1 } = view, raw = (t1 - t0) / Math.max(2, w / 110), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  pen.font = '11px system-ui, "DejaVu Sans", sans-serif';
  pen.textBaseline = 'middle';
  pen.strokeStyle = css('--line');
  pen.fillStyle = css('--faint');
  pen.beginPath();
  // Times from a round one when zoomed in so far that those since the start would all look alike.
  const base = step < t0 / 200 ? Math.ceil(t0 / step) * step : 0;
  for (let t = Math.ceil(t0 / step) * step; t <= t1; t += step) {
    const x = LABELS + (t - t0) / (t1 - t0) * w;
    pen.moveTo(x + 0.5, RULER);
    pen.lineTo(x + 0.5, h);
    const text = !base ? (t ? time(t) : '0') : t - base < step / 2 ? exact(base) : `+ ${time(t - base)}`;
    if (x + 45 < LABELS + w) pen.fillText(text, x + 3, 13);
  }
  pen.stroke();
}

// Where nothing lives: before a rank is up and from its death to its next incarnation.
function hatch({ data, view, pen, w }, strip) {
  const { t0, t1 } = view, x = (t) => LABELS + Math.min(1, Math.max(0, (t - t0) / (t1 - t0))) * w;
  const lives = strip.life && strip.life.rows[0] ? strip.life.rows[0].spans : [];
  pen.fillStyle = own();
  for (const e of lives) {
    const a = x(data.start[e]), b = x(data.start[e] + data.duration[e]);
    pen.fillRect(a, strip.callsAt, b - a, strip.y + strip.h - strip.callsAt);
  }
  if (strip.known > t0) {
    // Records of this time were overwritten: nothing is known of it.
    pen.fillStyle = css('--band');
    pen.fillRect(LABELS, strip.y, x(strip.known) - LABELS, strip.h);
    pen.save();
    pen.beginPath();
    pen.rect(LABELS, strip.y, x(strip.known) - LABELS, strip.h);
    pen.clip();
    pen.beginPath();
    for (let at = LABELS - strip.h; at < x(strip.known); at += 8) {
      pen.moveTo(at, strip.y + strip.h);
      pen.lineTo(at + strip.h, strip.y);
    }
    pen.strokeStyle = css('--line');
    pen.stroke();
    pen.restore();
  }
  pen.fillStyle = isDark() ? 'rgba(255,90,80,.20)' : 'rgba(210,47,39,.16)';
  for (let i = 0; i + 1 < lives.length; i++) {
    const a = x(data.start[lives[i]] + data.duration[lives[i]]), b = x(data.start[lives[i + 1]]);
    if (b > a) pen.fillRect(a, strip.y, Math.max(1, b - a), strip.h);
  }
}

const SHAPES = { failure: '✕', up: '▲', target: '◇', committed: '◆', published: '◼', restored: '▲', note: '●', acknowledge: '┃', stdout: '•', stderr: '•' };

function moments({ data, view, pen, w }, lane, y, h) {
  const { t0, t1 } = view;
  let last = -9;
  pen.textBaseline = 'middle';
  pen.textAlign = 'center';
  for (let i = firstFrom(lane.moments, (e) => data.start[e], t0); i < lane.moments.length; i++) {
    const e = lane.moments[i], [category, name] = data.names[data.name[e]];
    if (data.start[e] > t1) break;
    if (name === 'target' || name === 'published') continue;
    const x = LABELS + (data.start[e] - t0) / (t1 - t0) * w;
    if (x - last < 3 && category !== 'failure') continue;
    last = x;
    pen.fillStyle = colour(category);
    const size = category === 'failure' ? Math.min(19, Math.max(12, h)) : Math.min(11, Math.max(7, h - 4));
    pen.font = `${category === 'failure' ? 'bold ' : ''}${size}px system-ui, "DejaVu Sans", sans-serif`;
    pen.fillText(SHAPES[name] || '●', x, y + h / 2 + 0.5);
  }
  pen.textAlign = 'left';
}

// The y of what a lane does at a time: its deepest span then.
function depthAt(data, strip, t) {
  const { calls } = strip;
  for (let d = calls.rows.length - 1; d >= 0; d--) {
    const { spans } = calls.rows[d], i = firstFrom(spans, (e) => data.start[e], t + 1e-3) - 1;
    if (i >= 0 && data.start[spans[i]] + data.duration[spans[i]] >= t - 1e-3) {
      const row = strip.rows.find((one) => one.row === calls.rows[d]);
      return row.y + row.h / 2;
    }
  }
  return strip.callsAt + 2;
}

const ARROWS_MAX = 1500;

function arrows({ data, view, pen, w }) {
  const { t0, t1 } = view, { order, longest } = view.arrows;
  const first = firstFrom(order, (a) => data.from[a], t0 - Math.min(longest, t1 - t0));
  const last = firstFrom(order, (a) => data.from[a], t1);
  view.arrowsInSight = last - first;
  if (last - first > ARROWS_MAX) return;
  const strips = new Map(view.strips.filter((s) => s.calls).map((s) => [s.calls.i, s]));
  const x = (t) => LABELS + (t - t0) / (t1 - t0) * w;
  const few = last - first < 300;
  pen.lineWidth = few ? 1.2 : 0.8;
  for (let i = first; i < last; i++) {
    const a = order[i], from = strips.get(data.fromLane[a]), to = strips.get(data.toLane[a]);
    if (!from || !to || data.to[a] < t0) continue;
    const x0 = x(data.from[a]), x1 = x(data.to[a]), y0 = depthAt(data, from, data.from[a]), y1 = depthAt(data, to, data.to[a]);
    const lit = view.hover && (view.hover.arrow === a);
    pen.strokeStyle = pen.fillStyle = lit ? css('--ink') : isDark() ? 'rgba(230,234,240,.62)' : 'rgba(30,40,55,.55)';
    pen.beginPath();
    pen.moveTo(x0, y0);
    pen.lineTo(x1, y1);
    pen.stroke();
    const angle = Math.atan2(y1 - y0, x1 - x0), size = few ? 6 : 4;
    pen.beginPath();
    pen.moveTo(x1, y1);
    pen.lineTo(x1 - size * Math.cos(angle - 0.4), y1 - size * Math.sin(angle - 0.4));
    pen.lineTo(x1 - size * Math.cos(angle + 0.4), y1 - size * Math.sin(angle + 0.4));
    pen.fill();
  }
  pen.lineWidth = 1;
}

function marks({ data, view, pen, w, h }) {
  const { t0, t1 } = view, x = (t) => LABELS + (t - t0) / (t1 - t0) * w;
  for (const { at, category } of view.marks) {
    if (at < t0 || at > t1) continue;
    pen.strokeStyle = colour(category);
    pen.globalAlpha = category === 'failure' ? 0.9 : 0.45;
    pen.setLineDash(category === 'failure' ? [] : [2, 4]);
    pen.beginPath();
    pen.moveTo(x(at), RULER);
    pen.lineTo(x(at), h);
    pen.stroke();
  }
  pen.setLineDash([]);
  pen.globalAlpha = 0.08;
  pen.fillStyle = colour('recovery');
  for (const e of view.recoveries) {
    const a = Math.max(LABELS, x(data.start[e])), b = Math.min(LABELS + w, x(data.start[e] + data.duration[e]));
    if (b > a) pen.fillRect(a, RULER, b - a, h);
  }
  pen.globalAlpha = 1;
}

function draw(view) {
  const { data } = view, { pen, w: width, h } = prepare(view.canvas);
  const w = width - LABELS - RIGHT, sheet = { data, view, pen, w, h };
  view.width = w;
  lay(view, h);
  ruler(sheet);
  pen.save();
  pen.beginPath();
  pen.rect(LABELS, RULER, w, h);
  pen.clip();
  const seen = view.strips.filter((s) => s.y < h && s.y + s.h > (s.calls || s.life ? view.top - s.h : 0));
  for (const strip of seen) {
    if (strip.rank !== undefined) hatch(sheet, strip);
  }
  marks(sheet);
  for (const strip of seen) {
    for (const row of strip.rows) drawRow(sheet, row);
    if (strip.lane && strip.label !== 'recovery') moments(sheet, strip.lane, strip.y, 15);
    if (strip.life) moments(sheet, strip.life, strip.y, strip.lifeRow);
    if (strip.calls) moments(sheet, strip.calls, strip.callsAt, strip.h - strip.lifeRow);
  }
  arrows(sheet);
  if (view.hover && view.hover.box) {
    const [x, y, bw, bh] = view.hover.box;
    pen.strokeStyle = css('--ink');
    pen.strokeRect(Math.max(LABELS, x) + 0.5, y + 0.5, Math.max(1, Math.min(bw, LABELS + w - x) - 1), Math.max(1, bh - 1));
  }
  if (view.select) {
    const [a, b] = view.select;
    pen.fillStyle = isDark() ? 'rgba(255,255,255,.14)' : 'rgba(20,30,60,.12)';
    pen.fillRect(Math.min(a, b), RULER, Math.abs(b - a), h);
  }
  pen.restore();
  sides(sheet, seen);
}

// Names on the left; on the right how much of the time in sight each rank computed.
function sides({ data, view, pen, w, h }, seen) {
  pen.save();
  pen.beginPath();
  pen.rect(0, RULER, LABELS + w + RIGHT, h);
  pen.clip();
  let last = -99;
  for (const strip of seen) {
    const big = strip.h >= 15, middle = strip.lane ? strip.y + 8 : strip.y + strip.h / 2;
    if (middle - last < 11) continue;
    last = middle;
    pen.font = `${strip.lane ? '' : '600 '}${big ? 12 : 10}px system-ui, "DejaVu Sans", sans-serif`;
    pen.textBaseline = 'middle';
    pen.textAlign = 'right';
    pen.fillStyle = strip.lane ? css('--faint') : css('--ink');
    pen.fillText(strip.label, LABELS - 9, middle);
    if (strip.life) {
      const from = Math.max(view.t0, Math.min(strip.known, view.t1));
      const alive = taken(data, strip.life.rows[0], from, view.t1);
      const called = strip.calls ? taken(data, strip.calls.rows[0], from, view.t1) : 0;
      if (alive > 0) {
        pen.fillStyle = css('--faint');
        pen.font = '11px system-ui, "DejaVu Sans", sans-serif';
        pen.fillText(`${Math.round(100 * Math.max(0, alive - called) / alive)} %`, LABELS + w + RIGHT - 10, middle);
      }
    }
  }
  pen.textAlign = 'left';
  pen.restore();
  pen.fillStyle = css('--faint');
  pen.font = '11px system-ui, "DejaVu Sans", sans-serif';
  pen.textAlign = 'right';
  pen.fillText('own work', LABELS + w + RIGHT - 6, 13);
  pen.textAlign = 'left';
}

// The whole run in a strip: what all ranks together did, and what is in sight below.
function overview(view) {
  const { data } = view, { pen, w: width, h } = prepare(view.small), w = width - LABELS - RIGHT;
  const top = 6, tall = h - 14;
  view.shares ??= shares(view, 600);
  view.shares.forEach((share, i) => {
    const x = LABELS + i / 600 * w, each = w / 600 + 0.6;
    let y = top;
    for (const [part, paint] of [['own', isDark() ? '#3f7a58' : '#9fd0ad'], ['call', colour('collective')], ['wait', colour('wait')]]) {
      const part_h = share[part] * tall;
      pen.fillStyle = paint;
      pen.fillRect(x, y, each, part_h);
      y += part_h;
    }
  });
  const x = (t) => LABELS + t / view.end * w;
  for (const { at, category } of view.marks) {
    if (category !== 'failure') continue;
    pen.fillStyle = colour(category);
    pen.fillRect(x(at) - 0.75, 2, 1.5, h - 6);
  }
  pen.fillStyle = isDark() ? 'rgba(20,22,26,.66)' : 'rgba(251,251,250,.7)';
  pen.fillRect(LABELS, 0, x(view.t0) - LABELS, h);
  pen.fillRect(x(view.t1), 0, LABELS + w - x(view.t1), h);
  pen.strokeStyle = css('--ink');
  pen.strokeRect(x(view.t0) + 0.5, 2.5, Math.max(2, x(view.t1) - x(view.t0) - 1), h - 8);
  pen.fillStyle = css('--faint');
  pen.font = '11px system-ui, "DejaVu Sans", sans-serif';
  pen.textBaseline = 'middle';
  pen.textAlign = 'right';
  pen.fillText('all ranks', LABELS - 9, h / 2 - 2);
  pen.textAlign = 'left';
  void data;
}

function shares(view, count) {
  const { data, ranks, end } = view, all = [];
  for (let i = 0; i < count; i++) {
    const a = end * i / count, b = end * (i + 1) / count, sum = { own: 0, call: 0, wait: 0 };
    for (const { life, calls, known } of ranks) {
      if (known > a) continue;
      const alive = life ? taken(data, life.rows[0], a, b) : 0;
      const called = calls ? Math.min(alive, taken(data, calls.rows[0], a, b)) : 0;
      const waited = calls ? Math.min(called, taken(data, calls.waits, a, b)) : 0;
      sum.own += alive - called;
      sum.call += called - waited;
      sum.wait += waited;
    }
    const whole = (b - a) * Math.max(1, ranks.length);
    all.push({ own: sum.own / whole, call: sum.call / whole, wait: sum.wait / whole });
  }
  return all;
}
