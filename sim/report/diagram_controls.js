// -- what the mouse is on ------------------------------------------------------------------------

function distance(hit, x, y) {
  if (hit.isLine) {
    const dx = hit.x2 - hit.x1, dy = hit.y2 - hit.y1, long = dx * dx + dy * dy;
    const share = long ? Math.min(1, Math.max(0, ((x - hit.x1) * dx + (y - hit.y1) * dy) / long)) : 0;
    return Math.hypot(x - hit.x1 - share * dx, y - hit.y1 - share * dy);
  }
  const isIn = x >= hit.x1 && x <= hit.x2 && y >= hit.y1 && y <= hit.y2;
  return isIn ? (hit.band ? 5.5 : hit.isStay ? 4 : 0) : Infinity;
}

function nearest(x, y) {
  let best = null, least = 6;
  for (const hit of hits) {
    const away = distance(hit, x, y);
    if (away < least) { best = hit; least = away; }
  }
  return best;
}

function facts(i) {
  const rows = [["at", seconds(at[i])], ["what", kinds[kind[i]]]];
  const where = lanes[lane[i]];
  if (where) rows.push([isMessage[kind[i]] ? "from" : "node", where]);
  if (isMessage[kind[i]]) {
    rows.push(["to", lanes[to[i]]]);
    rows.push(["arrives", until[i] < 0 ? "not before the end" : `${seconds(until[i])} (${((until[i] - at[i]) / 1000).toFixed(3)} ms)`]);
  } else if (kind[i] === K.call) {
    rows.push(["answered", until[i] < 0 ? "the outcome is not known" : `${seconds(until[i])} (${((until[i] - at[i]) / 1000).toFixed(3)} ms)`]);
  }
  if (groups[group[i]]) rows.push(["group", groups[group[i]]]);
  if (term[i]) rows.push(["term", term[i]]);
  if (index[i]) rows.push(["index", index[i]]);
  rows.push(["says", strings[say[i]]]);
  return rows;
}

function hover(event) {
  const box = picture.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  const hit = x > LABEL_WIDTH ? nearest(x, y) : null;
  const now = hit && hit.event !== undefined ? hit.event : -1;
  if (hit) {
    tip.textContent = hit.band ? `${hit.band}\n${seconds(hit.from, 3)} - ${seconds(hit.to, 3)}` :
      facts(hit.event).map(([name, value]) => (name === "says" ? value : `${name} ${value}`)).join("\n");
    tip.style.display = "block";
    tip.style.left = Math.min(x + 14, size.width - tip.offsetWidth - 6) + "px";
    tip.style.top = Math.min(y + 14, size.height - tip.offsetHeight - 6) + "px";
  } else tip.style.display = "none";
  if (now !== hovered) { hovered = now; refresh(); }
}

function pick(i) {
  picked = i;
  const list = document.createElement("dl");
  for (const [name, value] of facts(i)) {
    list.append(Object.assign(document.createElement("dt"), { textContent: name }));
    list.append(Object.assign(document.createElement("dd"), { textContent: value }));
  }
  const before = button("before", () => step(-1)), after = button("after", () => step(1));
  byId("picked").replaceChildren(list, before, " ", after);
  const width = shown.to - shown.from;
  if (at[i] < shown.from || at[i] > shown.to) show(at[i] - width / 2, at[i] + width / 2); else refresh();
}

function step(by) {
  for (let i = picked + by; i >= 0 && i < count; i += by)
    if (isShown(i) && (lane[i] === lane[picked] || to[i] === lane[picked])) return pick(i);
}

function button(words, act) {
  const made = Object.assign(document.createElement("button"), { type: "button", textContent: words });
  made.addEventListener("click", act);
  return made;
}

// -- controls ------------------------------------------------------------------------------------

function zoom(share, x) {
  const middle = momentOf(x), left = (middle - shown.from) * share;
  show(middle - left, middle - left + (shown.to - shown.from) * share);
}

picture.addEventListener("wheel", (event) => {
  event.preventDefault();
  if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    const by = event.deltaX / size.width * (shown.to - shown.from);
    show(shown.from + by, shown.to + by);
  } else zoom(Math.exp(Math.max(-200, Math.min(200, event.deltaY)) / 300), Math.max(LABEL_WIDTH, event.offsetX));
}, { passive: false });

let drag = null;
picture.addEventListener("pointerdown", (event) => {
  drag = { x: event.clientX, from: shown.from, to: shown.to, moved: false };
  picture.setPointerCapture(event.pointerId);
});
picture.addEventListener("pointermove", (event) => {
  if (!drag) return hover(event);
  const by = (drag.x - event.clientX) / (size.width - LABEL_WIDTH) * (drag.to - drag.from);
  drag.moved = drag.moved || Math.abs(drag.x - event.clientX) > 3;
  picture.classList.toggle("drags", drag.moved);
  if (drag.moved) { tip.style.display = "none"; show(drag.from + by, drag.to + by); }
});
picture.addEventListener("pointerup", (event) => {
  const wasClick = drag && !drag.moved;
  drag = null;
  picture.classList.remove("drags");
  if (!wasClick) return;
  hover(event);
  if (hovered >= 0) pick(hovered);
});
picture.addEventListener("pointerleave", () => { tip.style.display = "none"; hovered = -1; refresh(); });
picture.addEventListener("dblclick", (event) => zoom(0.25, event.offsetX));

function toOverview(event) {
  if (event.type === "pointermove" && !(event.buttons & 1)) return;
  const moment = (event.offsetX - LABEL_WIDTH) / (size.width - LABEL_WIDTH) * end, half = (shown.to - shown.from) / 2;
  if (event.type === "pointerdown") overview.setPointerCapture(event.pointerId);
  show(moment - half, moment + half);
}
overview.addEventListener("pointerdown", toOverview);
overview.addEventListener("pointermove", toOverview);

addEventListener("keydown", (event) => {
  const span = shown.to - shown.from, middle = (LABEL_WIDTH + size.width) / 2;
  const acts = {
    "+": () => zoom(0.5, middle), "=": () => zoom(0.5, middle), "-": () => zoom(2, middle),
    ArrowLeft: () => show(shown.from - span / 5, shown.to - span / 5),
    ArrowRight: () => show(shown.from + span / 5, shown.to + span / 5),
    Home: () => show(0, span), End: () => show(end - span, end), 0: () => show(0, end),
  };
  if (acts[event.key] && !event.ctrlKey && !event.metaKey) { event.preventDefault(); acts[event.key](); }
});

function addFilters(title, names, on) {
  const heading = Object.assign(document.createElement("b"), { textContent: title });
  byId("filters").append(heading);
  names.forEach((name, number) => {
    if (name === "") return;
    const made = button(name, () => {
      on[number] = !on[number];
      made.setAttribute("aria-pressed", on[number]);
      refresh(true);
      writeHash();
    });
    made.setAttribute("aria-pressed", on[number]);
    byId("filters").append(made);
  });
}

function addMoments(list, moments) {
  for (const [moment, words] of moments) {
    const line = Object.assign(document.createElement("li"), { textContent: words });
    line.dataset.at = moment;
    line.addEventListener("click", () => show(moment - 2e5, moment + 8e5));
    byId(list).append(line);
  }
  if (!moments.length) byId(list).textContent = "nothing";
}

readHash();
readColours();
addFilters("groups", groups, shown.groups);
addFilters("kinds", kinds, shown.kinds);
addMoments("faults", data.faults);
addMoments("marks", data.marks);
isDark.addEventListener("change", () => { readColours(); refresh(true); });
new ResizeObserver(fit).observe(picture.parentElement);
fit();
window.diagram = { show, draw, end, count };
