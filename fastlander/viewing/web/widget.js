// One replay in a notebook's output cell.
"use strict";

new Replay(document.getElementById("replay"), JSON.parse(document.getElementById("data").textContent));
