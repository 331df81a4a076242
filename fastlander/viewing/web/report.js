// Puts the landings and the charts into the page. The rest of the page needs no script.
"use strict";

const report = JSON.parse(document.getElementById("data").textContent);
document.querySelectorAll("[data-trace]").forEach((host) => { new Replay(host, report.traces[host.dataset.trace]); });
new LearningCurve(document.getElementById("curve"), report.curve);
new Histogram(document.getElementById("returns"), report.returns);
