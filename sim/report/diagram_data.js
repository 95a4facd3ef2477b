const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const picture = byId("picture"), overview = byId("overview"), tip = byId("tip");
const OVERVIEW_HEIGHT = 64, LABEL_WIDTH = 74, AXIS_HEIGHT = 22, ARROWS_MAX = 4000, HEADS_MAX = 1200, WORDS_MAX = 45;

// -- the events, as columns ---------------------------------------------------------------------

const { kinds, groups, lanes, strings, bands } = data;
const count = data.at.length;
const at = new Float64Array(count), until = new Float64Array(count), latest = new Float64Array(count);
const { kind, lane, group, term, index, say, to } = data;
for (let i = 0, now = 0; i < count; i++) {
  at[i] = now += data.at[i];
  until[i] = data.lasts[i] < 0 ? -1 : now + data.lasts[i];
}
const K = Object.fromEntries(kinds.map((name, number) => [name, number]));
const isMessage = kinds.map((name) => data.messages.includes(name));
const isClient = (number) => number > data.nodes;
const end = Math.max(data.ended, count ? at[count - 1] : 0);

function firstAtOrAfter(column, moment) {
  let low = 0, high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (column[middle] < moment) low = middle + 1; else high = middle;
  }
  return low;
}

const nextCall = new Float64Array(count);
(function findNextCalls() {
  const next = lanes.map(() => end);
  for (let i = count - 1; i >= 0; i--) if (kind[i] === K.call) { nextCall[i] = next[lane[i]]; next[lane[i]] = at[i]; }
  for (let i = 0, most = 0; i < count; i++) {
    const last = until[i] < 0 && kind[i] === K.call ? nextCall[i] : until[i];
    latest[i] = most = Math.max(most, last, at[i]);
  }
})();

const stays = [];
(function findStays() {
  const open = new Map();
  const close = (key, moment) => { if (open.has(key)) { open.get(key).until = moment; open.delete(key); } };
  for (let i = 0; i < count; i++) {
    if (kind[i] === K.role) {
      const key = lane[i] + "/" + group[i], words = strings[say[i]];
      close(key, at[i]);
      const rank = words === "leads" ? 2 : /candidate/.test(words) ? 1 : 0;
      const stay = { lane: lane[i], group: group[i], at: at[i], until: end, term: term[i], rank, event: i };
      open.set(key, stay);
      stays.push(stay);
    } else if (kind[i] === K.life && /killed|power|stops/.test(strings[say[i]])) {
      for (const key of [...open.keys()]) if (key.startsWith(lane[i] + "/")) close(key, at[i]);
    }
  }
})();

// -- what is shown -------------------------------------------------------------------------------

const LAST_US = 1.5e6;  // so much before the violation is shown at first
const shown = {
  from: data.broken ? Math.max(0, end - LAST_US) : 0,
  to: data.broken ? end + 0.03 * Math.min(end, LAST_US) : end * 1.01,
  groups: groups.map((name) => name === "" || !data.focus || name === data.focus),
  kinds: kinds.map((name) => !["node", "log", "apply"].includes(name)),
};
let picked = -1, hovered = -1, size = { width: 0, height: 0 }, tops = [], heights = [], dirty = false;
let hits = [], colours = {}, slots = [];

function readHash() {
  const wants = new URLSearchParams(location.hash.slice(1));
  if (wants.has("from")) shown.from = 1e6 * wants.get("from");
  if (wants.has("to")) shown.to = 1e6 * wants.get("to");
  for (const what of ["groups", "kinds"]) {
    if (!wants.has(what)) continue;
    const names = wants.get(what).split(",");
    shown[what] = (what === "groups" ? groups : kinds).map((name) => name === "" || names.includes(name));
  }
}

function writeHash() {
  const names = (all, on) => all.filter((name, number) => name !== "" && on[number]).join(",");
  const says = `from=${(shown.from / 1e6).toFixed(6)}&to=${(shown.to / 1e6).toFixed(6)}` +
    `&groups=${names(groups, shown.groups)}&kinds=${names(kinds, shown.kinds)}`;
  try { history.replaceState(null, "", "#" + says); } catch (error) { /* some browsers forbid it on files */ }
}

const isShown = (i) => shown.kinds[kind[i]] && shown.groups[group[i]];
const hue = (number) => (number * 137.508) % 360;
const isDark = matchMedia("(prefers-color-scheme: dark)");
const termColour = (number, alpha = 1) =>
  number ? `hsl(${hue(number)} 70% ${isDark.matches ? 62 : 42}% / ${alpha})` : (alpha < 1 ? colours.faint : colours.dim);
const seconds = (us, digits = 6) => (us / 1e6).toFixed(digits) + " s";

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["back", "panel", "line", "ink", "dim", "bad", "down", "still", "network", "disk", "accent"])
    colours[name] = style.getPropertyValue("--" + name).trim();
  colours.faint = colours.dim + "70";
}

function fit() {
  const box = picture.parentElement.getBoundingClientRect(), ratio = devicePixelRatio || 1;
  if (box.width <= LABEL_WIDTH) return;  // nobody sees it
  size = { width: box.width, height: Math.max(120, box.height - OVERVIEW_HEIGHT) };
  for (const [canvas, height, often] of [[picture, size.height, false], [overview, OVERVIEW_HEIGHT, true]]) {
    canvas.width = Math.round(size.width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = size.width + "px";
    canvas.style.height = height + "px";
    canvas.getContext("2d", { willReadFrequently: often }).setTransform(ratio, 0, 0, ratio, 0, 0);
  }
  const shares = lanes.map((_, number) => (number === 0 ? 0.4 : isClient(number) ? 0.45 : 1));
  const unit = (size.height - AXIS_HEIGHT) / shares.reduce((a, b) => a + b, 0);
  let top = AXIS_HEIGHT;
  tops = []; heights = [];
  for (const share of shares) { tops.push(top); heights.push(unit * share); top += unit * share; }
  slots = [];
  drawOverview();
  draw();  // at once: a canvas that was resized is empty
}

const xOf = (moment) => LABEL_WIDTH + (moment - shown.from) / (shown.to - shown.from) * (size.width - LABEL_WIDTH);
const momentOf = (x) => shown.from + (x - LABEL_WIDTH) / (size.width - LABEL_WIDTH) * (shown.to - shown.from);
const yOf = (number) => tops[number] + heights[number] * (number && !isClient(number) ? 0.62 : 0.5);

function refresh(whole = false) {
  if (whole) { drawOverview(); }
  if (!dirty) { dirty = true; requestAnimationFrame(() => { dirty = false; draw(); }); }
}

function show(from, to) {
  const least = 20, span = Math.min(Math.max(to - from, least), end * 1.02 + least);
  const middle = (from + to) / 2;
  shown.from = Math.min(Math.max(middle - span / 2, -0.02 * end), Math.max(0, end * 1.02 - span));
  shown.to = shown.from + span;
  refresh();
  clearTimeout(show.later);
  show.later = setTimeout(writeHash, 300);
}
