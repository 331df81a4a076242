// Curves of several methods in one chart, each with its band. A box in the legend hides one of them.
"use strict";

class Curves extends Chart {
  draw() {
    const { series, levels } = this.data, colours = 8;
    for (const y of levels) this.add("line", { class: "solved", x1: MARGIN.left, x2: this.width - MARGIN.right, y1: this.py(y), y2: this.py(y) });
    this.drawn = series.map((one, k) => {
      if (!one.x.length) return [];
      const own = `series m${k % colours}${k >= colours ? " dashed" : ""}`, parts = [];
      if (one.band) {
        const edge = this.path(one.x, one.high) + this.path(one.x.toReversed(), one.low.toReversed()).replace("M", "L");
        parts.push(this.add("path", { class: `${own} band`, d: `${edge}Z` }));
      }
      parts.push(this.add("path", { class: `${own} line`, d: this.path(one.x, one.mean) }));
      return parts;
    });
    this.hide();
  }

  // Shows the methods whose box is ticked.
  hide() {
    this.drawn.forEach((parts, k) => parts.forEach((part) => part.setAttribute("visibility", this.hidden?.has(k) ? "hidden" : "visible")));
  }

  toggle(k, shown) {
    this.hidden ??= new Set();
    if (shown) this.hidden.delete(k); else this.hidden.add(k);
    this.hide();
  }

  hover(event) {
    const { series, digits } = this.data, at = this.pointer(event);
    const x = this.x[0] + ((at - MARGIN.left) / (this.width - MARGIN.left - MARGIN.right)) * (this.x[1] - this.x[0]);
    if (x < this.x[0] || x > this.x[1]) return;
    const lines = [`${this.xTitle} ${short(x, (this.x[1] - this.x[0]) / 100)}`];
    series.forEach((one, k) => {
      if (this.hidden?.has(k) || !one.x.length || x < one.x[0]) return;
      const after = one.x.findIndex((value) => value >= x), i = after < 0 ? one.x.length - 1 : after;
      const band = one.band ? ` (${one.low[i].toFixed(digits)} to ${one.high[i].toFixed(digits)})` : "";
      const still = one.training && after >= 0 ? `, ${one.training[i]} of ${one.seeds} still training` : one.training ? ", ended" : "";
      lines.push(`${compared.labels[k]} ${one.mean[i].toFixed(digits)}${band}${still}`);
    });
    if (lines.length > 1) this.showTip(at, lines);
  }
}

const compared = JSON.parse(document.getElementById("data").textContent);
compared.labels = [...document.querySelectorAll("[data-chart=curves]")].map((box) => box.parentElement.textContent.trim());
const charts = ["curves", "returns"].map((id) => new Curves(document.getElementById(id), compared[id]));
document.querySelectorAll("[data-series]").forEach((box) => box.addEventListener("change", () => {
  const k = Number(box.dataset.series);
  document.querySelectorAll(`[data-series="${k}"]`).forEach((same) => { same.checked = box.checked; });
  charts.forEach((chart) => chart.toggle(k, box.checked));
}));
