// The flame graph: root on top, children left to right by cost, drawn on a canvas that covers only what is scrolled
// into view. Subtrees narrower than a pixel are not walked, so the work per frame hangs on the window, not the profile.

const ROW = 21, GAP = 1, LEAST_WIDTH = 0.7, LABEL_WIDTH = 26, PADDING = 5, ZOOM_MS = 220, FADED = 0.3;
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

function isInside(node, ancestor) {
  while (profile.depth[node] > profile.depth[ancestor]) node = profile.parent[node];
  return node === ancestor;
}

class Chart {
  constructor(host, onChange) {
    this.host = host;
    this.sheet = host.querySelector("#sheet");
    this.canvas = host.querySelector("#canvas");
    this.spoken = host.querySelector("#spoken");
    this.pen = this.canvas.getContext("2d");
    this.onChange = onChange;
    this.zoom = this.focus = 0;
    this.hover = -1;
    this.matches = null;
    this.rows = [];
    this.widths = new Map();
    this.colours = new Map();
    new ResizeObserver(() => this.draw()).observe(host);
    host.addEventListener("scroll", () => this.redraw());
    host.addEventListener("keydown", (event) => this.onKey(event));
    this.canvas.addEventListener("pointermove", (event) => this.setHover(this.nodeAt(event)));
    this.canvas.addEventListener("pointerleave", () => this.setHover(-1));
    this.canvas.addEventListener("click", (event) => {
      const node = this.nodeAt(event);
      if (node >= 0) this.zoomTo(node);
    });
  }

  show(costs) {
    this.costs = costs;
    this.colours.clear();
    if (!costs.weight[this.zoom]) this.zoom = 0;
    if (!costs.weight[this.focus]) this.focus = this.zoom;
    this.animation = null;
    this.view = this.target();
    this.update();
  }

  setMatches(flags) {
    this.matches = flags;
    this.redraw();
  }

  recolour() {
    this.colours.clear();
    this.redraw();
  }

  target() {
    const { x, weight } = this.costs;
    return [x[this.zoom], x[this.zoom] + weight[this.zoom]];
  }

  zoomTo(node, focus = node) {
    this.zoom = node;
    this.focusOn(focus);
    const from = this.view, to = this.target(), start = performance.now();
    const animation = this.animation = (now) => {
      if (animation !== this.animation) return;
      const part = stillness.matches ? 1 : Math.min(1, Math.max(0, (now - start) / ZOOM_MS));
      const eased = 1 - (1 - part) ** 3;
      this.view = [0, 1].map((side) => from[side] + (to[side] - from[side]) * eased);
      this.draw();
      if (part < 1) requestAnimationFrame(animation);
    };
    animation(start);
  }

  reset() {
    this.zoom = 0;
    let seen = this.focus;
    while (!this.isWide(seen)) seen = profile.parent[seen];
    this.zoomTo(0, seen);
  }

  focusOn(node) {
    this.focus = node;
    if (!this.isWide(node)) return this.zoomTo(node);
    const top = profile.depth[node] * ROW, { scrollTop, clientHeight } = this.host;
    if (top < scrollTop + ROW) this.host.scrollTop = top - ROW;
    else if (top + 3 * ROW > scrollTop + clientHeight) this.host.scrollTop = top + 3 * ROW - clientHeight;
    this.update();
  }

  update() {
    this.speak();
    this.onChange();
    this.redraw();
  }

  // Wide enough to see once the zoom has settled?
  isWide(node) {
    const { x, weight } = this.costs, [from, to] = this.target();
    const seen = Math.min(x[node] + weight[node], to) - Math.max(x[node], from);
    return node === this.zoom || seen * this.host.clientWidth >= 3 * (to - from);
  }

  setHover(node) {
    this.canvas.style.cursor = node >= 0 ? "pointer" : "";
    if (node === this.hover) return;
    this.hover = node;
    this.onChange();
    this.ring("#hovered", node);
  }

  // Canvas has no accessibility tree: one tree item stands for the focused frame and is replaced as focus moves.
  speak() {
    const node = this.focus, { kidsStart, depth, parent } = profile;
    const item = document.createElement("div");
    item.id = `node-${node}`;
    item.setAttribute("role", "treeitem");
    item.setAttribute("aria-selected", "true");
    item.setAttribute("aria-level", depth[node] + 1);
    if (kidsStart[node + 1] > kidsStart[node]) item.setAttribute("aria-expanded", "true");
    if (node > 0) {
      const siblings = this.kidsOf(parent[node]);
      item.setAttribute("aria-posinset", siblings.indexOf(node) + 1);
      item.setAttribute("aria-setsize", siblings.length);
    }
    item.textContent = describe(this.costs, node).spoken;
    this.spoken.replaceChildren(item);
    this.host.setAttribute("aria-activedescendant", item.id);
  }

  kidsOf(node) {
    return this.costs.kids.subarray(profile.kidsStart[node], profile.kidsStart[node + 1]);
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const row = this.rows[profile.depth[this.focus]] ?? [];
    const place = row.findIndex((box) => box.node === this.focus);
    const widest = this.kidsOf(this.focus)[0];
    const moves = {
      ArrowUp: profile.parent[this.focus], ArrowDown: this.costs.weight[widest] ? widest : -1,
      ArrowLeft: row[place - 1]?.node ?? -1, ArrowRight: row[place + 1]?.node ?? -1, Home: 0,
    };
    if (event.key in moves) {
      if (moves[event.key] >= 0) this.focusOn(moves[event.key]);
    } else if (event.key === "Enter" || event.key === " ") this.zoomTo(this.focus);
    else return;
    event.preventDefault();
  }

  nodeAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const across = event.clientX - box.left;
    const row = this.rows[Math.floor((event.clientY - box.top + this.host.scrollTop) / ROW)] ?? [];
    return row.find(({ x, width }) => across >= x && across < x + width)?.node ?? -1;
  }

  redraw() {
    this.pending ??= requestAnimationFrame(() => this.draw());
  }

  // Lays out every frame that is wide enough, row by row, and paints the rows in sight.
  draw() {
    if (this.pending) cancelAnimationFrame(this.pending);
    this.pending = undefined;
    if (!this.costs || !this.host.clientWidth) return;
    const { clientWidth: width, clientHeight: height } = this.host;
    this.resize(width, height);
    const { pen, costs, view, zoom } = this;
    const scale = width / Math.max(view[1] - view[0], 1e-9);
    this.rows = [];
    pen.clearRect(0, 0, width, height);
    const stack = [0];
    while (stack.length) {
      const node = stack.pop();
      const from = Math.max((costs.x[node] - view[0]) * scale, 0);
      const to = Math.min((costs.x[node] + costs.weight[node] - view[0]) * scale, width);
      if (to <= from) continue;
      this.box(node, from, to - from, node !== zoom && isInside(zoom, node) ? 0.6 : 1);
      const kids = this.kidsOf(node);
      let shown = 0;
      while (shown < kids.length && costs.weight[kids[shown]] * scale >= LEAST_WIDTH) stack.push(kids[shown++]);
      if (shown < kids.length) this.rest(kids, shown, scale, width);
    }
    for (const row of this.rows) row?.sort((a, b) => a.x - b.x);
    this.sheet.style.height = `${Math.max(this.rows.length * ROW, height)}px`;
    this.sheet.classList.toggle("at-root", this.focus === 0);
    this.ring("#focused", this.focus);
    this.ring("#hovered", this.hover);
  }

  // Rings are elements above the canvas: to move one costs nothing, however many frames are drawn.
  ring(name, node) {
    const box = this.rows[profile.depth[node]]?.find((other) => other.node === node);
    const { style } = this.sheet.querySelector(name);
    style.display = box ? "" : "none";
    if (!box) return;
    style.left = `${box.x}px`;
    style.top = `${profile.depth[node] * ROW}px`;
    style.width = `${Math.max(box.width - GAP, 2)}px`;
    style.height = `${ROW - GAP}px`;
  }

  resize(width, height) {
    const ratio = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.width = `${width}px`;
      this.canvas.style.height = `${height}px`;
    }
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.pen.font = `12.5px ${getComputedStyle(document.body).fontFamily}`;
    this.pen.textBaseline = "middle";
    this.pen.direction = "ltr";
  }

  top(depth) {
    const top = depth * ROW - this.host.scrollTop;
    return top + ROW < 0 || top > this.host.clientHeight ? NaN : top;
  }

  box(node, x, width, alpha) {
    const { pen } = this, depth = profile.depth[node], y = this.top(depth);
    (this.rows[depth] ??= []).push({ node, x, width });
    if (Number.isNaN(y)) return;
    const isMatch = this.matches?.[profile.frame[node]] && node > 0;
    pen.globalAlpha = this.matches && !isMatch ? alpha * FADED : alpha;
    const colour = isMatch ? matchColour() : this.colourOf(node);
    pen.fillStyle = colour.fill;
    pen.beginPath();
    if (width > 8) pen.roundRect(x, y, width - GAP, ROW - GAP, 3);
    else pen.rect(x, y, width > 2 ? width - GAP : width, ROW - GAP);
    pen.fill();
    if (width >= LABEL_WIDTH) {
      pen.fillStyle = colour.ink;
      this.label(node, x + PADDING, y + ROW / 2, width - GAP - 2 * PADDING);
    }
    pen.globalAlpha = 1;
  }

  // Children too narrow to draw lie at the right end, sorted by cost: one quiet block stands for them all.
  rest(kids, shown, scale, width) {
    const { costs, view, pen } = this, last = kids[kids.length - 1], y = this.top(profile.depth[last]);
    const from = Math.max((costs.x[kids[shown]] - view[0]) * scale, 0);
    const to = Math.min((costs.x[last] + costs.weight[last] - view[0]) * scale, width);
    if (to - from < 1 || Number.isNaN(y)) return;
    pen.globalAlpha = this.matches ? FADED : 1;
    pen.fillStyle = restColour();
    pen.fillRect(from, y, to - from, ROW - GAP);
    pen.globalAlpha = 1;
  }

  colourOf(node) {
    const frame = profile.frames[profile.frame[node]];
    if (profile.isDiff) return diffColour(this.costs.cum[node] / this.costs.weight[node]);
    if (node === 0) return groupColour(["", "root", 0]);
    let colour = this.colours.get(frame);
    if (!colour) this.colours.set(frame, colour = groupColour(frame.group, shadeOf(frame.name)));
    return colour;
  }

  // The module goes first when space is short: what tells frames apart is the end of the name.
  label(node, x, y, space) {
    const { pen } = this, frame = profile.frames[profile.frame[node]];
    const parts = node === 0 ? ["", `all ${this.costs.name}`, `  ${human(this.costs.cum[0], this.costs.unit)}`] : [frame.prefix, frame.short, frame.suffix];
    const [prefix, short, suffix] = parts.map((part) => this.widthOf(part));
    const alpha = pen.globalAlpha;
    let at = x;
    const write = (text, wide, strength) => {
      pen.globalAlpha = alpha * strength;
      pen.fillText(text, at, y);
      at += wide;
    };
    if (prefix + short + suffix <= space) write(parts[0], prefix, 0.72);
    if (short + suffix <= space) {
      write(parts[1], short, 1);
      write(parts[2], suffix, 0.72);
    } else if (short <= space) write(parts[1], short, 1);
    else write(this.cut(parts[1], short, space), 0, 1);
  }

  cut(text, wide, space) {
    let length = Math.floor(text.length * space / wide);
    while (length > 0 && this.pen.measureText(`${text.slice(0, length)}\u2026`).width > space) length--;
    return length > 1 ? `${text.slice(0, length)}\u2026` : "";
  }

  widthOf(text) {
    let width = this.widths.get(text);
    if (width === undefined) this.widths.set(text, width = this.pen.measureText(text).width);
    return width;
  }
}
