"use strict";
// The interactive figures: a LIF unit, and its gradient through time (Gerum & Schilling).
// DATA, of the page, has what Python gives: initial values of the controls, and a row of an image.

const THRESHOLD = 1;
const LONGEST = 1000; // steps in which a unit must fire for its rate to be other than 0

// V_t = w_input x_t + (1 - w_leak) V_{t-1} Θ(threshold - V_{t-1}),  y_t = Θ(V_t - threshold)
function lif(inputs, wInput, wLeak) {
  const potentials = [], spikes = [];
  let potential = 0;
  for (const x of inputs) {
    const kept = potential < THRESHOLD ? potential : 0;
    potential = wInput * x + (1 - wLeak) * kept;
    potentials.push(potential);
    spikes.push(potential > THRESHOLD ? 1 : 0);
  }
  return { potentials, spikes };
}

// dy_t / dx_k for all k (Eq. 19), where dy_t / dV_t is `slope`
function gradient(potentials, wInput, wLeak, step, slope) {
  const found = potentials.map(() => 0);
  let factor = slope * wInput;
  for (let k = step; k >= 0; k--) {
    found[k] = factor;
    factor *= k > 0 && potentials[k - 1] < THRESHOLD ? 1 - wLeak : 0;
  }
  return found;
}

// spikes per step under a constant input
function constantRate(input, wInput, wLeak) {
  let potential = 0;
  for (let n = 1; n <= LONGEST; n++) {
    potential = wInput * input + (1 - wLeak) * potential;
    if (potential > THRESHOLD) return 1 / n;
    if (potential === THRESHOLD) potential = 0; // reset without a spike
  }
  return 0;
}

const SHAPES = {
  constant: () => 1,
  pulses: (t) => (t % 20 < 10 ? 1 : 0),
  sine: (t) => 0.5 + 0.5 * Math.sin((2 * Math.PI * t) / 25),
  image: (t) => DATA.row[t % DATA.row.length],
};

const element = (id) => document.getElementById(id);
const value = (id) => Number(element(id).value);
const range = (n) => Array.from({ length: n }, (_, k) => k);
const say = (id, text) => { element(id).textContent = text; };

function unitInputs() {
  const shape = SHAPES[element("unit-shape").value];
  return range(DATA.steps).map((t) => value("unit-input") * shape(t));
}

function drawUnit() {
  const [wInput, wLeak] = [value("unit-w-input"), value("unit-w-leak")];
  const inputs = unitInputs();
  const { potentials, spikes } = lif(inputs, wInput, wLeak);
  const at = range(DATA.steps).filter((t) => spikes[t]);
  const mean = inputs.reduce((sum, x) => sum + x, 0) / inputs.length;
  const rate = at.length / DATA.steps;
  const grid = range(200).map((k) => ((k + 0.5) * DATA.largest) / 200);
  const rates = grid.map((x) => constantRate(x, wInput, wLeak));
  Plotly.restyle("unit", {
    x: [range(DATA.steps), range(DATA.steps), at, grid, [mean]],
    y: [inputs, potentials, at.map(() => 0), rates, [rate]],
  });
  say("unit-rate", `${at.length} spikes in ${DATA.steps} steps: rate ${rate.toFixed(3)}`);
  const least = wInput > 0 ? ((THRESHOLD * wLeak) / wInput).toFixed(3) : "∞";
  say("unit-threshold", `constant inputs up to ${least} (Eq. 31) never make it fire`);
  window.unitState = { inputs, potentials, spikes, rate };
}

function drawGradient() {
  const [wInput, wLeak, step] = ["gradient-w-input", "gradient-w-leak", "gradient-step"].map(value);
  const slope = element("gradient-silent").checked ? 0 : 1;
  const { potentials, spikes } = lif(DATA.inputs, wInput, wLeak);
  const reached = gradient(potentials, wInput, wLeak, step, slope);
  const rows = [reached, spikes, potentials, DATA.inputs];
  const steps = range(DATA.inputs.length);
  Plotly.restyle("gradient", { x: rows.map(() => steps), z: rows.map((row) => [row]) });
  const frame = { x0: step - 0.5, x1: step + 0.5 };
  Plotly.relayout("gradient", { "shapes[0].x0": frame.x0, "shapes[0].x1": frame.x1 });
  const n = reached.filter((g) => g !== 0).length;
  say("gradient-reach", `the gradient of y at step ${step} reaches ${n} input${n === 1 ? "" : "s"}`);
  window.gradientState = { potentials, spikes, reached, step };
}

function connect(prefix, draw) {
  for (const control of document.querySelectorAll(`[id^="${prefix}-"].control`)) {
    const shown = element(`${control.id}-value`);
    const refresh = () => {
      if (shown) shown.textContent = control.value;
      draw();
    };
    control.addEventListener("input", refresh);
    if (shown) shown.textContent = control.value;
  }
  draw();
}

connect("unit", drawUnit);
connect("gradient", drawGradient);
element("gradient").on("plotly_click", (event) => {
  element("gradient-step").value = event.points[0].x;
  element("gradient-step").dispatchEvent(new Event("input"));
});
