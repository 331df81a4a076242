// Puts the charts and the replays into the page; the rest of it is there without any script.
"use strict";

const report = JSON.parse(document.getElementById("data").textContent);
document.querySelectorAll("[data-replay]").forEach((host) => { new Replay(host, report.replays[host.dataset.replay]); });
new LearningCurve(document.getElementById("curve"), report.curve);
new Histogram(document.getElementById("returns"), report.returns);
