// The page: its controls change the state, and everything is drawn again from it.

const get = (id) => document.getElementById(id);

function fill(select, choices, chosen) {
  select.replaceChildren(...choices.map((choice) => {
    const [value, text] = Array.isArray(choice) ? choice : [choice, choice];
    return new Option(text, value, false, value === chosen);
  }));
}

// Make a model stand out, or no longer. It gets the first free slot and keeps it, so that colours do
// not jump; if none is free, it takes the last one.
function pick(model) {
  const slot = state.slots.indexOf(model);
  const free = state.slots.indexOf(null);
  if (slot >= 0) state.slots[slot] = null;
  else state.slots[free >= 0 ? free : SLOTS - 1] = model;
  draw();
}

function drawLegend(models) {
  const shown = new Map(models.map((one) => [one.model, one]));
  const chips = state.slots.map((model, at) => {
    if (model === null) return null;
    const chip = element("button", "", { type: "button", class: `chip series-${at + 1}`, "data-key": model });
    chip.setAttribute("aria-label", `Stop ${model} from standing out`);
    if (!shown.has(model)) chip.classList.add("away");
    chip.append(swatch(at), element("span", shown.has(model) ? titleOf(shown.get(model)) : model), element("span", "×", { class: "remove" }));
    chip.addEventListener("click", () => pick(model));
    return chip;
  });
  get("legend").replaceChildren(...chips.filter(Boolean));
}

const DASHES = ["", "7 3", "2 2", "9 3 2 3", "14 3", "4 4", "1 3", "9 2 2 2 2 2"]; // as in charts.py

function swatch(at) {
  const space = "http://www.w3.org/2000/svg";
  const image = document.createElementNS(space, "svg");
  const line = document.createElementNS(space, "line");
  const sizes = { width: 28, height: 10, "aria-hidden": "true" };
  for (const [name, value] of Object.entries(sizes)) image.setAttribute(name, value);
  const ends = { x1: 0, x2: 28, y1: 5, y2: 5, "stroke-width": 3, "stroke-dasharray": DASHES[at] };
  for (const [name, value] of Object.entries(ends)) line.setAttribute(name, value);
  image.append(line);
  return image;
}

// Retrieval asks each test image for the others of its class: a task without training.
const measured = () => (state.setup.startsWith("retrieval") ? "R@1 of retrieval" : "accuracy");
const UNITS = {
  accuracy: () => `${measured()} (%)`,
  difference: () => `${measured()} less that of ${state.baseline} (points)`,
  odds: () => `log-odds of being right, less those of ${state.baseline}`,
};
const COSTS = {
  seconds: ["Seconds to fit the probes, over all datasets (log scale)", "seconds"],
  feature_bytes: ["Gigabytes of features, over all datasets (log scale)", "GB"],
  parameters: ["Parameters of the network (log scale)", "parameters"],
};
const LINE = [["model", "Model"], ["place", "Dataset"], ["value", "Value"], ["low", "Low"], ["high", "High"]];

const FEWEST_RANKED = 3; // models; a chart of the ranks of fewer says nothing

const draw = () => keepFocus(drawAll);

function drawAll() {
  const all = modelsOf(chosenRows());
  const models = all.filter(isShown);
  get("shown").textContent = `${models.length} of ${all.length} models shown`;
  get("setting").textContent = `${models.length} of ${all.length} models; probe ${state.setup}; images a class: ${state.shots}`;
  showParts("ranks", unique(rankRows(all).map((row) => row.model)).length >= FEWEST_RANKED);
  drawLegend(models);
  drawTable(models, pick);
  drawMeans(models);
  drawGroups(draw);
  drawLevels(models);
  drawChart("ranks", rankRows(models), `Ranks of ${models.length} models on ${places.join(", ")}`, LINE.slice(0, 3));
  drawCost(models);
  drawFew(models);
  drawConcepts();
  drawTrials();
}

function drawLevels(models) {
  const unit = UNITS[state.unit]();
  const ranked = best(Infinity);
  const lead = models.filter((one) => one.complete && ranked.includes(one.model))
    .sort((a, b) => ranked.indexOf(a.model) - ranked.indexOf(b.model))[0];
  const note = lead?.levels == null ? "" : ` Best mean over levels: ${lead.model}, ${lead.levels.toFixed(1)} %.`;
  for (const [name, ...own] of [["levels", "concepts"], ["domains", "domains", "refits"], ["tasks", "tasks"]]) {
    const there = places.filter((place) => own.includes(axisOf(place)));
    get(`${name}-unit`).textContent = unit;
    drawChart(name, axisRows(models, ...own), `${unit} of ${models.length} models on ${there.join(", ")}.${name === "levels" ? note : ""}`, LINE);
  }
  if (get("distance").hidden) return;
  get("distance-unit").textContent = unit;
  drawChart("distance", distanceRows(models), `${unit} of ${models.length} models against the similarity of datasets to the seen concepts`,
    [...LINE.slice(0, 2), ["near", "Similarity"], ...LINE.slice(2)]);
}

function drawCost(models) {
  const [label, unit] = COSTS[state.costKind];
  get("cost-across").textContent = label;
  drawChart("cost", costRows(models), `Mean top-1 accuracy over levels against: ${label}`,
    [["model", "Model"], ["cost", unit], ["value", "Mean top-1 over levels"]]);
}

function drawFew(models) {
  if (get("few-shot").hidden) return;
  get("few_shot-unit").textContent = `on ${state.fewPlace}`;
  drawChart("few_shot", fewRows(models), `Accuracy on ${state.fewPlace} against images a class`,
    [["model", "Model"], ["shots", "Images a class"], ["value", "Top-1"], ["low", "Low"], ["high", "High"]]);
}

function drawConcepts() {
  const names = unique([state.first, state.second].filter(Boolean));
  const slots = conceptSlots(names);
  get("concepts-key")?.replaceChildren(...names.map((name, at) => {
    const key = element("span", "", { class: `key series-${slots[at]}` });
    key.append(swatch(slots[at] - 1), element("span", name));
    return key;
  }));
  drawChart("concepts", conceptRows(), `Accuracy of ${names.join(" and ")} on each concept against its similarity to the seen ones`,
    [["model", "Model"], ["concept", "Concept"], ["wnid", "wnid"], ["place", "Level"], ["similarity", "Similarity"],
      ["top1", "Top-1"], ["nearest", "Nearest seen"], ["lcs", "Lowest common subsumer"]]);
}

function drawTrials() {
  if (get("surface-unit")) get("surface-unit").textContent = `${state.trialModel} on ${state.trialPlace}`;
  drawChart("surface", trialRows(), `Validation accuracy of ${state.trialModel} on ${state.trialPlace} over learning rate and weight decay`,
    [["lr", "Learning rate"], ["wd", "Weight decay"], ["top1", "Validation top-1"], ["seed", "Seed"], ["chosen", "Chosen"]]);
}

// A control of one value, which goes to the state; then everything is drawn again.
function bind(id, name, after = () => {}) {
  const control = get(id);
  control?.addEventListener("input", () => {
    state[name] = control.value;
    after();
    draw();
  });
}

// Offer what the chosen probe has: shots, trials and concepts differ between probes.
function offer() {
  const rows = chosenRows(true);
  const shots = unique(rows.map((row) => String(row.shots))).sort((a, b) => shotsOrder(a) - shotsOrder(b));
  if (!shots.includes(state.shots)) state.shots = shots[shots.length - 1];
  fill(get("shots"), shots, state.shots);
  get("shots-label").hidden = shots.length < 2;
  showParts("few_shot", shots.length > 1);
  const names = unique(chosenRows().map((row) => row.model)).sort((a, b) => a.localeCompare(b));
  if (!names.includes(state.baseline)) state.baseline = best(1)[0] ?? names[0];
  fill(get("baseline"), names, state.baseline);
  offerConcepts();
  offerTrials();
}

// The best models by their mean over levels, those without all classes last. If no model has every
// level, by the mean over the datasets that it has.
function best(count) {
  const all = modelsOf(chosenRows());
  const whole = all.filter((one) => one.levels !== null);
  const value = (one) => whole.length ? one.levels : mean([...one.by.values()].map((row) => row.value));
  const ranked = whole.length ? whole : all;
  ranked.sort((a, b) => b.complete - a.complete || value(b) - value(a));
  return ranked.slice(0, count).map((one) => one.model);
}

function offerConcepts() {
  if (!get("first")) return;
  const names = data.classes.filter((one) => setupOf(one) === state.setup).map((one) => one.model).sort((a, b) => a.localeCompare(b));
  if (!names.includes(state.first)) state.first = best(names.length).find((name) => names.includes(name)) ?? names[0] ?? null;
  if (!names.includes(state.second)) state.second = "";
  fill(get("first"), names, state.first);
  fill(get("second"), [["", "none"], ...names.map((name) => [name, name])], state.second);
}

function offerTrials() {
  if (!get("trial-model")) return;
  const own = data.trials.filter((one) => setupOf(one) === state.setup);
  const names = unique(own.map((one) => one.model)).sort((a, b) => a.localeCompare(b));
  if (!names.includes(state.trialModel)) state.trialModel = best(names.length).find((name) => names.includes(name)) ?? names[0] ?? null;
  const there = places.filter((place) => trialsOf(state.trialModel, place));
  if (!there.includes(state.trialPlace)) state.trialPlace = there[0] ?? null;
  fill(get("trial-model"), names, state.trialModel);
  fill(get("trial-place"), there, state.trialPlace);
  get("surface").hidden = names.length === 0;
}

function readFilters() {
  state.search = get("search").value.trim();
  state.least = get("least").value === "" ? -Infinity : Number(get("least").value);
  state.greatest = get("greatest").value === "" ? Infinity : Number(get("greatest").value);
  const boxes = [...document.querySelectorAll("#families input")];
  state.hidden = new Set(boxes.filter((box) => !box.checked).map((box) => box.value));
  draw();
}

function wireFilters() {
  const families = unique(summary.map((row) => row.family ?? "")).sort();
  for (const family of families) {
    const label = element("label");
    const box = element("input", "", { type: "checkbox", value: family, checked: "" });
    label.append(box, ` ${family || "unknown"}`);
    get("families").append(label);
  }
  get("families-details").hidden = families.length < 2;
  for (const option of get("cost-kind").options) {
    option.disabled = summary.every((row) => row[option.value] === null);
  }
  get("sizes").hidden = summary.every((row) => row.parameters === null);
  for (const id of ["search", "families", "least", "greatest"]) get(id).addEventListener("input", readFilters);
  get("controls").addEventListener("submit", (event) => event.preventDefault());
  get("controls").addEventListener("reset", () => setTimeout(() => {
    fill(get("setup"), setups, state.setup);
    fill(get("shots"), [...get("shots").options].map((option) => option.value), state.shots);
    readFilters();
  }));
  for (const radio of document.querySelectorAll('[name="unit"]')) {
    radio.addEventListener("input", () => {
      state.unit = radio.value;
      get("baseline-label").hidden = state.unit === "accuracy";
      draw();
    });
  }
}

function download() {
  const names = Object.keys(read("results"));
  const rows = rowsOf(read("results"));
  const quoted = (value) => /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  const words = new Map([[null, ""], [true, "True"], [false, "False"]]); // as in results.csv
  const line = (values) => values.map((value) => quoted(words.get(value) ?? String(value))).join(",");
  const text = [line(names), ...rows.map((row) => line(Object.values(row)))].join("\n") + "\n";
  const link = element("a", "", { download: "results.csv", href: URL.createObjectURL(new Blob([text], { type: "text/csv" })) });
  link.click();
  URL.revokeObjectURL(link.href);
}

const setups = unique(summary.map(setupOf)).sort((a, b) => b.startsWith("logreg") - a.startsWith("logreg") || a.localeCompare(b));

// Only what there are datasets of is shown. Where there are many, tables begin with the means.
function showAxes() {
  const further = axesThere.some((axis) => axis !== "concepts");
  const shown = {
    axes: further, concepts: axesThere.includes("concepts"), tasks: axesThere.includes("tasks"),
    domains: axesThere.includes("domains") || axesThere.includes("refits"),
  };
  for (const [name, there] of Object.entries(shown)) showParts(name, there);
  const crowded = places.length > 16;
  for (const axis of axesThere) if (crowded && axis !== "concepts") state.closed.add(axis);
}

async function start() {
  [state.setup] = setups;
  state.baseline = data.baseline;
  fill(get("setup"), setups, state.setup);
  get("setup-label").hidden = setups.length < 2;
  state.fewPlace = places[places.length - 1];
  fill(get("few-place"), places, state.fewPlace);
  offer();
  best(4).forEach((model, at) => { state.slots[at] = model; });
  get("baseline-label").hidden = true;
  const known = unique(summary.filter((row) => row.near !== null).map((row) => row.place));
  showParts("distance", known.length > 1);
  showAxes();
  wireFilters();
  bind("setup", "setup", offer);
  bind("shots", "shots");
  bind("baseline", "baseline");
  bind("few-place", "fewPlace");
  bind("cost-kind", "costKind");
  bind("first", "first");
  bind("second", "second");
  bind("trial-model", "trialModel", offerTrials);
  bind("trial-place", "trialPlace");
  get("download").addEventListener("click", download);
  draw();
  await Promise.all(Object.keys(specifications).map((name) => makeView(name, pick)));
  // Ready when everything is on the screen, which is after the next frame.
  requestAnimationFrame(() => setTimeout(() => {
    document.body.dataset.ready = "yes";
  }));
}

start();
