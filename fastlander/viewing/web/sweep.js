// The values of the trials of a sweep: over their numbers, and over the values of each setting. `sweeps/page.py` writes
// the data.
"use strict";

class Trials extends Chart {
  // Values beyond the range of the y axis are drawn on its edge.
  edge(y) { return this.py(Math.min(Math.max(y, this.y[0]), this.y[1])); }

  draw() {
    const { points, best } = this.data;
    if (best.x.length) this.add("path", { class: "greedy step", d: this.path(best.x, best.y.map((y) => Math.min(Math.max(y, this.y[0]), this.y[1]))) });
    for (const point of points) {
      const at = this.px(point.x), kind = point.complete ? "greedy" : "training";
      if (point.complete && best.x.length) {
        this.add("line", { class: "greedy bar", x1: at, x2: at, y1: this.edge(point.low), y2: this.edge(point.high) });
      }
      this.add("circle", { class: `${kind} dot`, cx: at, cy: this.edge(point.y), r: point.complete ? 4 : 3 });
    }
  }

  hover(event) {
    const box = this.svg.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    const away = (point) => (this.px(point.x) - x) ** 2 + (this.edge(point.y) - y) ** 2;
    const near = this.data.points.reduce((one, point) => (one === null || away(point) < away(one) ? point : one), null);
    if (near && away(near) < 900) this.showTip(this.px(near.x), near.told);
  }
}

const page = JSON.parse(document.getElementById("data").textContent);
new Trials(document.getElementById("trials"), page.trials);
page.settings.forEach((one, k) => { new Trials(document.getElementById(`setting${k}`), one); });
