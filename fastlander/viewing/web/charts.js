// Two SVG charts without a library: the learning curve and the distribution of returns. `curve` and `histogram` in
// viewing/report_page.py write their data. Colours come from the style sheets, in a light and a dark scheme.
"use strict";

const MARGIN = { top: 12, right: 16, bottom: 40, left: 56 };

function element(name, attributes = {}, text = null) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  return made;
}

// At most `count` round numbers that lie in [low, high].
function ticks(low, high, count) {
  const raw = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const first = Math.ceil(low / step), last = Math.floor(high / step);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

// The short form of a number, 1200 is 1.2k, with as many digits as tell it from another one `step` away.
function short(value, step = 0) {
  const size = Math.abs(value);
  const digits = Math.max(3, step ? Math.floor(Math.log10(size || 1)) - Math.floor(Math.log10(step)) + 1 : 0);
  const rounded = (x) => Number(x.toPrecision(Math.min(digits, 15)));
  if (size >= 1e6) return `${rounded(value / 1e6)}M`;
  return size >= 1e3 ? `${rounded(value / 1e3)}k` : `${rounded(value)}`;
}

class Chart {
  // host: a <figure>. options: label, xTitle, yTitle, x: [low, high], y: [low, high]; xTicks: [[x, text], ...], if the
  // numbers of the x axis are not those of x.
  constructor(host, options) {
    Object.assign(this, options);
    this.host = host;
    this.svg = element("svg", { role: "img", "aria-label": options.label });
    this.tip = document.createElement("output");
    this.tip.className = "tip";
    this.tip.hidden = true;
    host.prepend(this.svg, this.tip);
    this.svg.addEventListener("pointermove", (event) => this.hover(event));
    this.svg.addEventListener("pointerleave", () => { this.tip.hidden = true; this.mark?.remove(); });
    new ResizeObserver(() => this.redraw()).observe(host);
    this.redraw();
  }

  redraw() {
    const { paddingLeft, paddingRight } = getComputedStyle(this.host);
    const inner = this.host.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
    const width = Math.max(inner, 240), height = Math.min(Math.max(width * 0.45, 220), 380);
    if (width === this.width) return;
    Object.assign(this, { width, height });
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("height", height);
    this.axes();
    this.draw();
  }

  px(x) { return MARGIN.left + ((x - this.x[0]) / (this.x[1] - this.x[0] || 1)) * (this.width - MARGIN.left - MARGIN.right); }
  py(y) { return this.height - MARGIN.bottom - ((y - this.y[0]) / (this.y[1] - this.y[0] || 1)) * (this.height - MARGIN.top - MARGIN.bottom); }

  add(name, attributes, text) { const made = element(name, attributes, text); this.svg.append(made); return made; }

  axes() {
    const bottom = this.height - MARGIN.bottom, right = this.width - MARGIN.right;
    const step = (list) => (list.length > 1 ? list[1] - list[0] : 0);
    const ys = ticks(...this.y, 6), xs = ticks(...this.x, this.width < 480 ? 4 : 8);
    for (const y of ys) {
      this.add("line", { class: "grid", x1: MARGIN.left, x2: right, y1: this.py(y), y2: this.py(y) });
      this.add("text", { class: "tick", x: MARGIN.left - 8, y: this.py(y) + 4, "text-anchor": "end" }, short(y, step(ys)));
    }
    for (const [x, text] of this.xTicks ?? xs.map((x) => [x, short(x, step(xs))])) {
      this.add("text", { class: "tick", x: this.px(x), y: bottom + 18, "text-anchor": "middle" }, text);
    }
    this.add("line", { class: "axis", x1: MARGIN.left, x2: right, y1: bottom, y2: bottom });
    this.add("text", { class: "title", x: (MARGIN.left + right) / 2, y: this.height - 4, "text-anchor": "middle" }, this.xTitle);
    const middle = (MARGIN.top + bottom) / 2;
    this.add("text", { class: "title", x: 14, y: middle, "text-anchor": "middle", transform: `rotate(-90 14 ${middle})` }, this.yTitle);
  }

  path(xs, ys) { return xs.map((x, i) => `${i ? "L" : "M"}${this.px(x).toFixed(1)} ${this.py(ys[i]).toFixed(1)}`).join(""); }

  showTip(x, lines) {
    this.tip.textContent = lines.join("\n");
    this.tip.hidden = false;
    const left = Math.min(Math.max(x - this.tip.offsetWidth / 2, 0), this.width - this.tip.offsetWidth);
    this.tip.style.left = `${left}px`;
    this.mark?.remove();
    this.mark = this.add("line", { class: "mark", x1: x, x2: x, y1: MARGIN.top, y2: this.height - MARGIN.bottom });
  }

  pointer(event) { return event.clientX - this.svg.getBoundingClientRect().left; }
}

class LearningCurve extends Chart {
  draw() {
    const { episodes, training, greedy, solved } = this.data;
    // Scores below the range of the y axis are drawn on its lower edge.
    const dots = episodes.timesteps.map((x, i) => `M${this.px(x).toFixed(1)} ${this.py(Math.max(episodes.score[i], this.y[0])).toFixed(1)}h0`).join("");
    this.add("path", { class: "episodes", d: dots });
    if (solved !== null) this.add("line", { class: "solved", x1: MARGIN.left, x2: this.width - MARGIN.right, y1: this.py(solved), y2: this.py(solved) });
    if (training.timesteps.length) {
      const back = training.timesteps.toReversed();
      const band = this.path(training.timesteps, training.high) + this.path(back, training.low.toReversed()).replace("M", "L");
      this.add("path", { class: "training band", d: `${band}Z` });
      this.add("path", { class: "training line", d: this.path(training.timesteps, training.mean) });
    }
    greedy.timesteps.forEach((x, i) => {
      const at = this.px(x);
      this.add("line", { class: "greedy bar", x1: at, x2: at, y1: this.py(greedy.low[i]), y2: this.py(greedy.high[i]) });
      this.add("circle", { class: "greedy dot", cx: at, cy: this.py(greedy.mean[i]), r: 4 });
    });
  }

  hover(event) {
    const { training, greedy } = this.data, at = this.pointer(event);
    const nearest = (xs) => xs.reduce((best, x, i) => (Math.abs(this.px(x) - at) < Math.abs(this.px(xs[best]) - at) ? i : best), 0);
    const told = (name, s, i) => `${name} ${s.mean[i].toFixed(1)} (${s.low[i].toFixed(1)} to ${s.high[i].toFixed(1)})`;
    const lines = [];
    let x = at;
    if (training.timesteps.length) {
      const i = nearest(training.timesteps);
      x = this.px(training.timesteps[i]);
      lines.push(`${training.timesteps[i].toLocaleString("en")} steps`, told("training", training, i));
    }
    if (greedy.timesteps.length) {
      const i = nearest(greedy.timesteps);
      if (Math.abs(this.px(greedy.timesteps[i]) - at) < 24) lines.push(told("greedy", greedy, i));
    }
    if (lines.length) this.showTip(x, lines);
  }
}

class Histogram extends Chart {
  draw() {
    const { edges, counts } = this.data;
    counts.forEach((count, i) => {
      const x = this.px(edges[i]), width = Math.max(this.px(edges[i + 1]) - x - 1, 1);
      this.add("rect", { class: "returns", x, width, y: this.py(count), height: this.py(0) - this.py(count) });
    });
  }

  hover(event) {
    const { edges, counts } = this.data, at = this.pointer(event);
    const i = counts.findIndex((_, k) => at < this.px(edges[k + 1]));
    if (i < 0 || at < this.px(edges[0])) return;
    const episodes = counts[i] === 1 ? "1 episode" : `${counts[i]} episodes`;
    const width = edges[1] - edges[0];
    this.showTip((this.px(edges[i]) + this.px(edges[i + 1])) / 2, [`${short(edges[i], width)} to ${short(edges[i + 1], width)}`, episodes]);
  }
}
