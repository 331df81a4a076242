// The widget of `replay` in a notebook's output cell: one landing.
"use strict";

new Replay(document.getElementById("replay"), JSON.parse(document.getElementById("data").textContent));
