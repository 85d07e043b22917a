'use strict';
// The data: columns out of the compressed block, and from them one row of spans for each lane and depth.

async function unpack() {
  const text = document.getElementById('data').textContent;
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('gzip'));
  const buffer = await new Response(stream).arrayBuffer();
  const aboutBytes = new DataView(buffer).getUint32(0, true);
  const about = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, aboutBytes)));
  let at = 4 + aboutBytes;
  const column = (Type, count) => {
    const values = new Type(buffer, at, count);
    at += values.byteLength;
    return values;
  };
  const { events: n, values: v, arrows: a } = about;
  return {
    ...about, n,
    start: column(Float64Array, n), duration: column(Float64Array, n), values: column(Float64Array, v),
    from: column(Float64Array, a), to: column(Float64Array, a),
    valuesAt: column(Uint32Array, n),
    lane: column(Uint16Array, n), name: column(Uint16Array, n), shape: column(Uint16Array, n),
    fromLane: column(Uint16Array, a), toLane: column(Uint16Array, a),
  };
}

// The first place in `list` of which `at(place)` is not below `value`.
function firstFrom(list, at, value) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (at(list[middle]) < value) low = middle + 1; else high = middle;
  }
  return low;
}

// Lanes with their rows: row d holds the spans that d others are around, in order, and how much time
// they take up to each.
function arrange(data) {
  const lanes = data.lanes.map((lane, i) => ({ ...lane, i, all: [], moments: [], rows: [] }));
  for (let e = 0; e < data.n; e++) {
    const lane = lanes[data.lane[e]];
    (data.duration[e] < 0 ? lane.moments : lane.all).push(e);
  }
  const { start, duration } = data;
  const order = (a, b) => start[a] - start[b] || duration[b] - duration[a];
  const sorted = (list) => {
    for (let i = 1; i < list.length; i++) if (order(list[i - 1], list[i]) > 0) return list.sort(order);
    return list;
  };
  for (const lane of lanes) {
    sorted(lane.moments);
    const around = [];
    for (const e of sorted(lane.all)) {
      const end = start[e] + duration[e];
      // Half a nanosecond for what the numbers were rounded by.
      while (around.length && around[around.length - 1] <= start[e] + 5e-4) around.pop();
      const depth = around.length;
      around.push(end);
      (lane.rows[depth] ??= { spans: [] }).spans.push(e);
    }
    for (const row of lane.rows) {
      row.taken = new Float64Array(row.spans.length + 1);
      row.spans.forEach((e, i) => { row.taken[i + 1] = row.taken[i] + duration[e]; });
    }
    lane.waits = { spans: lane.all.filter((e) => data.names[data.name[e]][0] === 'wait') };
    lane.waits.taken = new Float64Array(lane.waits.spans.length + 1);
    lane.waits.spans.forEach((e, i) => { lane.waits.taken[i + 1] = lane.waits.taken[i] + duration[e]; });
    delete lane.all;
  }
  return lanes;
}

// How much of [a, b) the spans of a row take.
function taken(data, row, a, b) {
  if (!row || !row.spans.length) return 0;
  const upTo = (t) => {
    const i = firstFrom(row.spans, (e) => data.start[e], t);
    if (!i) return 0;
    const last = row.spans[i - 1];
    return row.taken[i - 1] + Math.min(data.duration[last], t - data.start[last]);
  };
  return Math.max(0, upTo(b) - upTo(a));
}

// The arguments of an event, as [key, value] pairs.
function args(data, e) {
  const keys = data.shapes[data.shape[e]];
  return keys.map((key, i) => {
    const value = data.values[data.valuesAt[e] + i];
    return [key, value < 0 ? data.texts[-1 - value] : value];
  });
}

function arg(data, e, wanted) {
  const found = args(data, e).find(([key]) => key === wanted);
  return found && found[1];
}

// A time in microseconds for people.
function time(us) {
  const size = Math.abs(us);
  const digits = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
  if (size < 1) return `${Math.round(us * 1000)} ns`;
  if (size < 1e3) return `${digits(us)} µs`;
  if (size < 1e6) return `${digits(us / 1e3)} ms`;
  return `${digits(us / 1e6)} s`;
}

// A time to the nanosecond.
const exact = (us) => `${(us / 1e6).toFixed(9).replace(/(\d{3})(\d{3})$/, ' $1 $2')} s`;

function bytes(count) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (count >= 1024 && unit < 4) { count /= 1024; unit++; }
  return `${unit ? count.toPrecision(3) : count} ${units[unit]}`;
}
