// Shows a landing again: draws its trace on a canvas, with play, pause, slider and speeds. `Trace.to_json` in
// viewing/trace.py writes the trace.
"use strict";

const WORLD = { width: 20, height: 400 / 30 }; // m, Gymnasium's viewport of 600 x 400 pixels at 30 pixels per metre
const PAD = { left: 8, right: 12, y: 400 / 30 / 4 }; // m, where the flags stand
const HULL = [[-14, 17], [-17, 0], [-17, -10], [17, -10], [17, 0], [14, 17]].map(([x, y]) => [x / 30, y / 30]);
const LEG = { halfWidth: 2 / 30, halfHeight: 8 / 30 };
const SPEEDS = [0.25, 0.5, 1, 2, 4];
const ACTIONS = ["engines off", "left engine", "main engine", "right engine"];

function decode(base64, Type) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  return new Type(bytes.buffer);
}

class Replay {
  // host: the element to build in. trace: the record that Trace.to_json gave.
  constructor(host, trace) {
    this.trace = trace;
    this.poses = decode(trace.poses, Int16Array); // 9 per frame: x, y in mm and angle in mrad of hull, leg, leg
    this.events = decode(trace.events, Uint8Array); // per frame: the next action, + 4 and + 8 for each leg on the ground
    this.scores = decode(trace.scores, Float32Array); // per frame: sum of the rewards so far
    this.last = this.events.length - 1;
    this.frame = 0; // fractional while it plays
    this.playing = false;
    this.speed = 1;
    this.build(host);
    new ResizeObserver(() => this.fit()).observe(this.canvas);
    this.seek(this.firstWhole());
    this.fit();
  }

  build(host) {
    host.classList.add("replay");
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `Replay of seed ${this.trace.seed}: ${this.trace.outcome}, return ${this.trace.score.toFixed(1)}`);
    const controls = document.createElement("div");
    controls.className = "controls";
    this.button = document.createElement("button");
    this.button.type = "button";
    this.slider = document.createElement("input");
    Object.assign(this.slider, { type: "range", min: 0, max: this.last, step: 1, value: 0 });
    this.slider.setAttribute("aria-label", "Step");
    this.select = document.createElement("select");
    this.select.setAttribute("aria-label", "Speed");
    for (const speed of SPEEDS) this.select.add(new Option(`${speed}×`, speed, speed === 1, speed === 1));
    controls.append(this.button, this.slider, this.select);
    this.readout = document.createElement("p");
    this.readout.className = "readout";
    host.append(this.canvas, controls, this.readout);
    this.button.onclick = () => this.toggle();
    this.canvas.onclick = () => this.toggle();
    this.slider.oninput = () => { this.pause(); this.seek(Number(this.slider.value)); };
    this.select.onchange = () => { this.speed = Number(this.select.value); };
    this.canvas.onkeydown = (event) => this.key(event);
    this.pause();
  }

  key(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (event.key === " ") this.toggle();
    else if (event.key in moves) { this.pause(); this.seek(Math.round(this.frame) + moves[event.key]); }
    else return;
    event.preventDefault();
  }

  toggle() { if (this.playing) this.pause(); else this.play(); }

  play() {
    if (this.frame >= this.last) this.frame = 0;
    this.playing = true;
    this.label("Pause", "❚❚");
    let before = null;
    const tick = (now) => {
      if (!this.playing) return;
      if (before !== null) this.seek(this.frame + ((now - before) / 1000) * this.trace.fps * this.speed);
      before = now;
      if (this.frame >= this.last) this.pause();
      else requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  pause() { this.playing = false; this.label("Play", "▶"); }

  label(name, sign) { this.button.textContent = sign; this.button.setAttribute("aria-label", name); this.button.title = name; }

  seek(frame) {
    this.frame = Math.min(Math.max(frame, 0), this.last);
    this.slider.value = Math.floor(this.frame);
    this.draw();
  }

  fit() {
    const width = this.canvas.clientWidth || 300;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round((width * ratio * WORLD.height) / WORLD.width);
    this.draw();
  }

  // The first frame with the whole lander in the picture: an episode begins at its upper edge.
  firstWhole() {
    for (let k = 0; k <= this.last; k++) if (this.body(k, 0).y + HULL[0][1] < WORLD.height) return k;
    return 0;
  }

  body(k, index) {
    const at = 9 * k + 3 * index;
    return { x: this.poses[at] / 1000, y: this.poses[at + 1] / 1000, angle: this.poses[at + 2] / 1000 };
  }

  draw() {
    const k = Math.floor(this.frame), context = this.canvas.getContext("2d"), scale = this.canvas.width / WORLD.width;
    // Metres, y upwards, from here on.
    context.setTransform(scale, 0, 0, -scale, 0, this.canvas.height);
    this.drawMoon(context);
    this.drawTrail(context, k);
    const action = this.events[k] & 3;
    if (k < this.last) this.drawFlames(context, k, action);
    for (const leg of [1, 2]) this.drawLeg(context, k, leg, (this.events[k] >> (1 + leg)) & 1);
    this.drawHull(context, k);
    this.drawFlags(context);
    const doing = k === this.last ? this.trace.outcome : ACTIONS[action];
    this.readout.textContent = `step ${k} of ${this.last} · ${(k / this.trace.fps).toFixed(2)} s · return ${this.scores[k].toFixed(1)} · ${doing}`;
  }

  drawMoon(context) {
    const ground = this.trace.ground, gap = WORLD.width / (ground.length - 1);
    context.fillStyle = "#0b1020";
    context.fillRect(0, 0, WORLD.width, WORLD.height);
    context.fillStyle = "#c9cdd6";
    context.beginPath();
    context.moveTo(0, 0);
    ground.forEach((height, i) => context.lineTo(i * gap, height));
    context.lineTo(WORLD.width, 0);
    context.fill();
  }

  drawTrail(context, k) {
    for (const [from, to, colour] of [[0, k, "#7dd3fc"], [k, this.last, "#7dd3fc99"]]) {
      context.strokeStyle = colour;
      context.lineWidth = 0.06;
      context.beginPath();
      for (let i = from; i <= to; i++) {
        const { x, y } = this.body(i, 0);
        if (i === from) context.moveTo(x, y); else context.lineTo(x, y);
      }
      context.stroke();
    }
  }

  at(context, body, draw) {
    context.save();
    context.translate(body.x, body.y);
    context.rotate(body.angle);
    draw();
    context.restore();
  }

  drawHull(context, k) {
    this.at(context, this.body(k, 0), () => {
      context.fillStyle = "#8066e6";
      context.strokeStyle = "#d6ccff";
      context.lineWidth = 0.05;
      context.beginPath();
      HULL.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.closePath();
      context.fill();
      context.stroke();
    });
  }

  drawLeg(context, k, leg, touches) {
    this.at(context, this.body(k, leg), () => {
      context.fillStyle = touches ? "#4ade80" : "#a78bfa";
      context.fillRect(-LEG.halfWidth, -LEG.halfHeight, 2 * LEG.halfWidth, 2 * LEG.halfHeight);
    });
  }

  drawFlames(context, k, action) {
    if (action === 0) return;
    const flicker = 0.75 + 0.25 * ((k * 7) % 5) / 4;
    const flame = (points, colour) => {
      context.fillStyle = colour;
      context.beginPath();
      points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.fill();
    };
    this.at(context, this.body(k, 0), () => {
      if (action === 2) {
        flame([[-0.25, -0.33], [0.25, -0.33], [0, -0.4 - 1.1 * flicker]], "#fb923c");
        flame([[-0.12, -0.33], [0.12, -0.33], [0, -0.36 - 0.6 * flicker]], "#fef08a");
      } else {
        // Action 1 pushes the lander to the left, so it blows to the right.
        const side = action === 1 ? 1 : -1;
        flame([[side * 0.57, 0.5], [side * 0.57, 0.36], [side * (0.6 + 0.5 * flicker), 0.43]], "#fb923c");
      }
    });
  }

  drawFlags(context) {
    for (const x of [PAD.left, PAD.right]) {
      context.strokeStyle = "#ffffff";
      context.lineWidth = 0.05;
      context.beginPath();
      context.moveTo(x, PAD.y);
      context.lineTo(x, PAD.y + 50 / 30);
      context.stroke();
      context.fillStyle = "#facc15";
      context.beginPath();
      context.moveTo(x, PAD.y + 50 / 30);
      context.lineTo(x + 25 / 30, PAD.y + 45 / 30);
      context.lineTo(x, PAD.y + 40 / 30);
      context.fill();
    }
  }
}
