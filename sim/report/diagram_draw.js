// -- drawing -------------------------------------------------------------------------------------

function draw() {
  const pen = picture.getContext("2d");
  pen.clearRect(0, 0, size.width, size.height);
  hits = [];
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  drawAxis(pen);
  pen.save();
  pen.beginPath();
  pen.rect(LABEL_WIDTH, 0, size.width - LABEL_WIDTH, size.height);
  pen.clip();
  drawBands(pen);
  drawLanes(pen);
  const seen = drawMessages(pen);
  drawStays(pen);
  const marks = drawMarks(pen);
  drawEnd(pen);
  for (const one of [hovered, picked]) if (one >= 0) highlight(pen, one);
  pen.restore();
  drawLabels(pen);
  const thinned = seen.drawn < seen.all ? `${seen.drawn} of ${seen.all} messages drawn: zoom in for all` :
    `${seen.all} messages`;
  byId("status").textContent = `${thinned}, ${marks} marks, ${seconds(shown.to - shown.from, 3)} of ${seconds(end, 1)}`;
  drawOverviewWindow();
}

function drawAxis(pen) {
  const span = shown.to - shown.from, wanted = span / Math.max(2, size.width / 130);
  const power = 10 ** Math.floor(Math.log10(wanted));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= wanted);
  const digits = Math.max(0, 6 - Math.floor(Math.log10(step)));
  pen.strokeStyle = colours.line; pen.fillStyle = colours.dim; pen.lineWidth = 1; pen.textAlign = "center";
  pen.beginPath();
  for (let moment = Math.ceil(shown.from / step) * step; moment <= shown.to; moment += step) {
    const x = Math.round(xOf(moment)) + 0.5;
    if (x < LABEL_WIDTH) continue;
    pen.moveTo(x, AXIS_HEIGHT - 5); pen.lineTo(x, size.height);
    pen.fillText(seconds(moment, digits), x, 9);
  }
  pen.globalAlpha = 0.5; pen.stroke(); pen.globalAlpha = 1;
}

function drawBands(pen) {
  const rows = lanes.map(() => []);
  for (const [number, sort, from, to, words] of bands) {
    if (to < shown.from || from > shown.to) continue;
    const x = xOf(from), width = Math.max(2, xOf(to) - x);
    pen.fillStyle = colours[sort];
    pen.fillRect(x, tops[number] + 1, width, heights[number] - 2);
    drawBandWords(pen, rows[number], number, words, Math.max(x, LABEL_WIDTH), Math.min(x + width, size.width));
    hits.push({ band: words, from, to, x1: x, y1: tops[number], x2: x + width, y2: tops[number] + heights[number] });
  }
}

const WORDS_HEIGHT = 13, WORDS_LEAST = 40;

// In rows below the lane's line, each where nothing else stands; what finds no room is told by the mouse only.
function drawBandWords(pen, rows, number, words, left, right) {
  const room = Math.floor((tops[number] + heights[number] - yOf(number) - 8) / WORDS_HEIGHT);
  const wide = pen.measureText(words).width, last = Math.min(left + 4 + wide, right);
  if (last - left < Math.min(WORDS_LEAST, wide)) return;
  let row = 0;
  const isTaken = ([from, to]) => from < last + 6 && left < to + 6;
  while (row < room && (rows[row] ??= []).some(isTaken)) row++;
  if (row >= room) return;
  rows[row].push([left, last]);
  pen.save();
  pen.beginPath(); pen.rect(left, tops[number], right - left, heights[number]); pen.clip();
  pen.fillStyle = colours.dim; pen.textAlign = "left";
  pen.fillText(words, left + 4, tops[number] + heights[number] - 8 - WORDS_HEIGHT * row);
  pen.restore();
}

function drawLanes(pen) {
  pen.strokeStyle = colours.dim; pen.lineWidth = 1; pen.globalAlpha = 0.55;
  pen.beginPath();
  lanes.forEach((_, number) => {
    const y = Math.round(yOf(number)) + 0.5;
    pen.moveTo(LABEL_WIDTH, y); pen.lineTo(size.width, y);
  });
  pen.stroke(); pen.globalAlpha = 1;
  pen.strokeStyle = colours.line;
  pen.beginPath();
  tops.forEach((top) => { pen.moveTo(0, Math.round(top) + 0.5); pen.lineTo(size.width, Math.round(top) + 0.5); });
  pen.stroke();
}

function drawStays(pen) {
  if (!slots.length) slots = groups.map(() => 0);
  let used = 0;
  groups.forEach((name, number) => { slots[number] = name !== "" && shown.groups[number] ? used++ : -1; });
  if (!shown.kinds[K.role]) return;
  const strip = Math.min(14, 0.45 * Math.min(...heights.slice(1, 1 + data.nodes)) / Math.max(1, used));
  for (const stay of stays) {
    if (slots[stay.group] < 0 || stay.until < shown.from || stay.at > shown.to) continue;
    const x = Math.max(xOf(stay.at), LABEL_WIDTH), right = Math.min(xOf(stay.until), size.width);
    const top = tops[stay.lane] + 3 + slots[stay.group] * strip, share = [0.25, 0.55, 1][stay.rank];
    pen.fillStyle = termColour(stay.term, stay.rank === 2 ? 0.9 : 0.55);
    pen.fillRect(x, top + (strip - 2) * (1 - share), Math.max(1, right - x), (strip - 2) * share);
    const words = `${stay.rank === 2 ? "leads " : ""}t${stay.term}`;
    if (strip > 9 && right - x > (stay.rank === 2 ? 60 : 26)) {
      pen.fillStyle = stay.rank === 2 ? colours.back : termColour(stay.term); pen.textAlign = "left";
      if (stay.rank === 2) pen.fillText((used > 1 ? groups[stay.group] + " " : "") + words, x + 3, top + strip / 2 - 1);
    }
    hits.push({ event: stay.event, x1: x, y1: top, x2: right, y2: top + strip, isStay: true });
  }
}

const STYLES = {
  append: [1.2, [], 0.85], heartbeat: [0.8, [], 0.4], vote: [1.6, [5, 3], 1], snapshot: [3, [], 0.8],
  client: [1, [2, 2], 0.8], node: [0.7, [1, 3], 0.8],
};

function arrowOf(i) {
  const x1 = xOf(at[i]), y1 = yOf(lane[i]), y2 = yOf(to[i]);
  if (until[i] >= 0) return [x1, y1, xOf(until[i]), y2];
  return [x1, y1, x1 + 14, y1 + (y2 - y1) * 0.35];
}

function drawMessages(pen) {
  const chosen = [], last = firstAtOrAfter(at, shown.to);
  let all = 0;
  for (let i = firstAtOrAfter(latest, shown.from); i < last; i++)
    if (isMessage[kind[i]] && isShown(i) && Math.max(until[i], at[i]) >= shown.from) { chosen.push(i); all++; }
  let drawn = chosen;
  if (all > ARROWS_MAX) {
    const stride = Math.ceil(all / ARROWS_MAX), taken = new Set();
    drawn = chosen.filter((i) => {
      if (kind[i] !== K.vote && kind[i] !== K.snapshot && i % stride) return false;
      const key = (Math.round(xOf(at[i])) * 64 + lane[i]) * 64 + to[i];
      return !taken.has(key) && taken.add(key);
    });
  }
  const batches = new Map(), lost = [];
  for (const i of drawn) {
    const key = kind[i] * 1e6 + term[i];
    if (!batches.has(key)) batches.set(key, []);
    const [x1, y1, x2, y2] = arrowOf(i);
    batches.get(key).push(x1, y1, x2, y2);
    if (until[i] < 0) lost.push(x2, y2);
    hits.push({ event: i, x1, y1, x2, y2, isLine: true });
  }
  for (const [key, lines] of batches) strokeLines(pen, kinds[Math.floor(key / 1e6)], key % 1e6, lines, drawn.length);
  pen.setLineDash([]);
  pen.strokeStyle = colours.bad; pen.lineWidth = 1.3;
  pen.beginPath();
  for (let p = 0; p < lost.length; p += 2) {
    pen.moveTo(lost[p] - 3, lost[p + 1] - 3); pen.lineTo(lost[p] + 3, lost[p + 1] + 3);
    pen.moveTo(lost[p] - 3, lost[p + 1] + 3); pen.lineTo(lost[p] + 3, lost[p + 1] - 3);
  }
  pen.stroke();
  if (drawn.length <= WORDS_MAX) {
    const taken = [];
    for (const i of drawn) drawWords(pen, i, taken);
  }
  return { all, drawn: drawn.length };
}

function strokeLines(pen, name, number, lines, total) {
  const [width, dash, alpha] = STYLES[name];
  const crowd = total > 1500 ? 0.5 : 1;
  pen.lineWidth = width; pen.setLineDash(total > 1500 ? [] : dash);
  pen.strokeStyle = pen.fillStyle = termColour(number, alpha * crowd);
  for (let start = 0; start < lines.length; start += 800) {
    pen.beginPath();
    for (let p = start; p < Math.min(start + 800, lines.length); p += 4) {
      pen.moveTo(lines[p], lines[p + 1]); pen.lineTo(lines[p + 2], lines[p + 3]);
    }
    pen.stroke();
  }
  if (total > HEADS_MAX) return;
  pen.beginPath();
  for (let p = 0; p < lines.length; p += 4) {
    const angle = Math.atan2(lines[p + 3] - lines[p + 1], lines[p + 2] - lines[p]), x = lines[p + 2], y = lines[p + 3];
    pen.moveTo(x, y);
    pen.lineTo(x - 8 * Math.cos(angle - 0.35), y - 8 * Math.sin(angle - 0.35));
    pen.lineTo(x - 8 * Math.cos(angle + 0.35), y - 8 * Math.sin(angle + 0.35));
  }
  pen.fill();
}

function drawWords(pen, i, taken) {
  const [x1, y1, x2, y2] = arrowOf(i);
  let angle = Math.atan2(y2 - y1, x2 - x1);
  const long = Math.hypot(x2 - x1, y2 - y1);
  const x = (x1 + x2) / 2, y = (y1 + y2) / 2, away = 13 / Math.max(0.15, Math.abs(Math.sin(angle)));
  if (long < 90 || taken.some((other) => Math.abs(other.y - y) < 150 && Math.abs(other.x - x) < away)) return;
  taken.push({ x, y });
  if (Math.abs(angle) > Math.PI / 2) angle += Math.PI;
  const words = strings[say[i]], room = Math.floor((long - 24) / 5.5);
  pen.save();
  pen.translate(x, y);
  pen.rotate(angle);
  pen.textAlign = "center"; pen.fillStyle = termColour(term[i]);
  pen.strokeStyle = colours.back; pen.lineWidth = 3;
  const shortened = words.length > room ? words.slice(0, room - 1) + "…" : words;
  pen.strokeText(shortened, 0, -7); pen.fillText(shortened, 0, -7);
  pen.restore();
}

function drawMarks(pen) {
  const taken = new Set(), last = firstAtOrAfter(at, shown.to + (shown.to - shown.from) * 0.01);
  let drawn = 0;
  for (let i = firstAtOrAfter(latest, shown.from); i < last; i++) {
    if (isMessage[kind[i]] || kind[i] === K.role || !isShown(i)) continue;
    if (kind[i] !== K.call && at[i] < shown.from) continue;
    const x = xOf(at[i]), key = (Math.round(x) * 64 + lane[i]) * 32 + kind[i];
    if (taken.has(key)) continue;
    taken.add(key);
    drawn++;
    mark(pen, i, x, yOf(lane[i]));
  }
  return drawn;
}

function mark(pen, i, x, y) {
  const name = kinds[kind[i]];
  pen.fillStyle = termColour(term[i]);
  let reach = 5;
  if (name === "commit") {
    pen.beginPath(); pen.moveTo(x, y + 2); pen.lineTo(x - 4, y + 9); pen.lineTo(x + 4, y + 9); pen.fill();
    y += 5;
  } else if (name === "apply") {
    pen.beginPath(); pen.arc(x, y + 14, 2.5, 0, 7); pen.fill();
    y += 14;
  } else if (name === "disk") {
    pen.fillRect(x - 2.5, y - 8, 5, 5);
    y -= 6;
  } else if (name === "call") {
    const right = xOf(until[i] < 0 ? nextCall[i] : until[i]);
    pen.fillStyle = until[i] < 0 ? colours.down : colours.accent + "66";
    pen.fillRect(x, y - 5, Math.max(1.5, right - x), 10);
    hits.push({ event: i, x1: x, y1: y - 6, x2: Math.max(x + 3, right), y2: y + 6, isStay: true });
    return;
  } else if (name === "log") {
    pen.fillStyle = colours.dim; pen.fillRect(x - 0.5, y - 4, 1, 8);
  } else {
    pen.fillStyle = colours.bad; reach = 6;
    pen.beginPath(); pen.moveTo(x, y - 6); pen.lineTo(x + 5, y); pen.lineTo(x, y + 6); pen.lineTo(x - 5, y); pen.fill();
  }
  hits.push({ event: i, x1: x - reach, y1: y - reach, x2: x + reach, y2: y + reach });
}

function drawEnd(pen) {
  if (!data.broken) return;
  const x = xOf(data.ended);
  pen.strokeStyle = pen.fillStyle = colours.bad; pen.lineWidth = 2;
  pen.beginPath(); pen.moveTo(x, AXIS_HEIGHT - 6); pen.lineTo(x, size.height); pen.stroke();
  pen.textAlign = "right"; pen.fillText("broken here", x - 5, AXIS_HEIGHT + 8);
}

function highlight(pen, i) {
  pen.strokeStyle = colours.accent; pen.lineWidth = 3; pen.setLineDash([]);
  pen.beginPath();
  if (isMessage[kind[i]]) {
    const [x1, y1, x2, y2] = arrowOf(i);
    pen.moveTo(x1, y1); pen.lineTo(x2, y2);
  } else {
    pen.arc(xOf(at[i]), yOf(lane[i]), 11, 0, 7);
  }
  pen.stroke();
}

function drawLabels(pen) {
  pen.fillStyle = colours.panel; pen.fillRect(0, AXIS_HEIGHT, LABEL_WIDTH, size.height);
  pen.textAlign = "right"; pen.fillStyle = colours.ink;
  lanes.forEach((name, number) => {
    pen.font = number && !isClient(number) ? "bold 14px system-ui, sans-serif" : "12px system-ui, sans-serif";
    pen.fillText(name || "world", LABEL_WIDTH - 10, yOf(number));
  });
  pen.font = "11px system-ui, sans-serif";
}

let overviewPicture = null;
function drawOverview() {
  const width = Math.max(1, Math.floor(size.width - LABEL_WIDTH)), bars = new Float64Array(width);
  const votes = new Uint8Array(width);
  for (let i = 0; i < count; i++) {
    if (!isShown(i)) continue;
    const x = Math.min(width - 1, Math.floor(at[i] / (end || 1) * width));
    if (isMessage[kind[i]]) bars[x]++;
    if (kind[i] === K.vote) votes[x] = 1;
  }
  const pen = overview.getContext("2d", { willReadFrequently: true }), most = bars.reduce((a, b) => Math.max(a, b), 1);
  pen.clearRect(0, 0, size.width, OVERVIEW_HEIGHT);
  for (const [, sort, from, to] of bands) {
    pen.fillStyle = colours[sort];
    pen.fillRect(LABEL_WIDTH + from / end * width, 0, Math.max(1, (to - from) / end * width), OVERVIEW_HEIGHT);
  }
  for (let x = 0; x < width; x++) {
    pen.fillStyle = votes[x] ? colours.bad : colours.accent;
    const tall = Math.sqrt(bars[x] / most) * (OVERVIEW_HEIGHT - 8);
    pen.fillRect(LABEL_WIDTH + x, OVERVIEW_HEIGHT - tall, 1, tall);
  }
  pen.fillStyle = colours.dim; pen.textAlign = "right"; pen.textBaseline = "middle";
  pen.font = "11px system-ui, sans-serif";
  pen.fillText("all", LABEL_WIDTH - 10, OVERVIEW_HEIGHT / 2);
  overviewPicture = pen.getImageData(0, 0, overview.width, overview.height);
}

function drawOverviewWindow() {
  const pen = overview.getContext("2d", { willReadFrequently: true }), width = size.width - LABEL_WIDTH;
  pen.putImageData(overviewPicture, 0, 0);
  const x1 = LABEL_WIDTH + Math.max(0, shown.from / end * width), x2 = LABEL_WIDTH + Math.min(1, shown.to / end) * width;
  pen.strokeStyle = colours.ink; pen.lineWidth = 1.5;
  pen.strokeRect(x1, 1, Math.max(3, x2 - x1 - 1), OVERVIEW_HEIGHT - 2);
}
