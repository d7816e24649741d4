// What is shown, and the rows that charts and tables draw. Nothing here touches the page.

const SLOTS = 8; // as many models stand out as there are colours

const read = (id) => JSON.parse(document.getElementById(id).textContent);

// Columns to rows: a column is a list, or distinct values and a code for each row.
function rowsOf(columns) {
  const names = Object.keys(columns);
  const lists = names.map((name) => {
    const column = columns[name];
    return Array.isArray(column) ? column : column.codes.map((code) => column.values[code]);
  });
  const length = lists.length ? lists[0].length : 0;
  return Array.from({ length }, (_, at) =>
    Object.fromEntries(names.map((name, column) => [name, lists[column][at]])));
}

const data = read("data");
const summary = rowsOf(data.summary);
const concepts = rowsOf(data.concepts);
const unique = (values) => [...new Set(values)];
const places = data.places;
const orderOf = (place) => places.indexOf(place);
const axes = read("axes-data");
const meansOfAxes = rowsOf(axes.means);
const axisOf = (place) => axes.of[place];
const placesOf = (axis) => places.filter((place) => axisOf(place) === axis);
const axesThere = axes.names.filter((axis) => placesOf(axis).length > 0);
const levelPlaces = places.filter((place) => /^L\d+$/.test(place));
const shotsOrder = (shots) => (shots === "all" ? Infinity : Number(shots));
const setupOf = (row) => `${row.probe} · ${row.solver}`;
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

const state = {
  setup: null, shots: "all", unit: "accuracy", baseline: null, search: "", hidden: new Set(),
  least: -Infinity, greatest: Infinity, slots: Array(SLOTS).fill(null),
  closed: new Set(), fewPlace: null, costKind: "seconds", first: null, second: "", trialModel: null, trialPlace: null,
};

// The rows of the summary with the probe and the shots chosen, by model.
function chosenRows(anyShots = false) {
  return summary.filter((row) => setupOf(row) === state.setup
    && (anyShots || String(row.shots) === state.shots));
}

// One entry for each model of the chosen rows, with what filters, table and costs need.
function modelsOf(rows) {
  const means = new Map(meansOfAxes
    .filter((row) => setupOf(row) === state.setup && String(row.shots) === state.shots)
    .map((row) => [row.model, row]));
  return [...byModel(rows)].map(([model, own]) => {
    const by = new Map(own.map((row) => [row.place, row]));
    const whole = levelPlaces.length > 0 && levelPlaces.every((place) => by.has(place));
    const seen = by.get("IN-1K");
    const last = by.get(levelPlaces.at(-1));
    return {
      model, by, means: means.get(model) ?? null, family: own[0].family, parameters: own[0].parameters, more: own[0].more,
      complete: own.every((row) => row.complete),
      levels: whole ? mean(levelPlaces.map((place) => by.get(place).value)) : null,
      drop: seen && last ? seen.value - last.value : null,
      seconds: total(own, "seconds"), feature_bytes: total(own, "feature_bytes"),
    };
  });
}

function byModel(rows) {
  const groups = new Map();
  for (const row of rows) {
    if (!groups.has(row.model)) groups.set(row.model, []);
    groups.get(row.model).push(row);
  }
  return groups;
}

const total = (rows, name) => rows.every((row) => row[name] !== null)
  ? rows.reduce((sum, row) => sum + row[name], 0) : null;

// The search, the family and the size decide whether a model is shown. One of unknown size is
// shown as long as no bound is given.
function isShown(one) {
  const bounded = state.least > -Infinity || state.greatest < Infinity;
  const millions = one.parameters === null ? null : one.parameters / 1e6;
  return one.model.toLowerCase().includes(state.search.toLowerCase())
    && !state.hidden.has(one.family ?? "")
    && (millions === null ? !bounded : millions >= state.least && millions <= state.greatest);
}

const slotOf = (model) => state.slots.indexOf(model) + 1;

// Models that stand out come last, so that they are drawn above the others.
const crowdFirst = (rows) => rows.sort((a, b) => a.slot - b.slot || a.order - b.order);

// Percentages stay half a test image away from 0 and 100, where odds are not finite; as in cog/results/differences.py.
const clipped = (row) => Math.min(Math.max(row.value, 50 / row.n_test), 100 - 50 / row.n_test);
const logOdds = (row) => Math.log(clipped(row) / (100 - clipped(row)));

// What a line shows: the accuracy, or its difference to the baseline's. The interval is that of two
// independent means; for log-odds the slope of the logit at each scales the errors.
function inUnit(row, base) {
  if (state.unit === "accuracy") return { value: row.value, low: row.low, high: row.high };
  if (!base) return null;
  const odds = state.unit === "odds";
  const slope = odds ? (one) => 100 / (clipped(one) * (100 - clipped(one))) : () => 1;
  const value = odds ? logOdds(row) - logOdds(base) : row.value - base.value;
  const known = row.error !== null && base.error !== null && row.model !== base.model;
  const reach = known ? data.z95 * Math.hypot(row.error * slope(row), base.error * slope(base)) : null;
  return { value, low: known ? value - reach : null, high: known ? value + reach : null };
}

// The rows of all datasets; of those of some axes.
const axisRows = (models, ...names) =>
  levelRows(models).filter((row) => names.includes(axisOf(row.place)));

function levelRows(models) {
  const base = state.unit === "accuracy" ? null
    : new Map(chosenRows().filter((row) => row.model === state.baseline).map((row) => [row.place, row]));
  const made = [];
  for (const one of models) {
    for (const row of one.by.values()) {
      const value = inUnit(row, base?.get(row.place));
      if (value) made.push({ model: one.model, slot: slotOf(one.model), place: row.place, order: orderOf(row.place), ...value });
    }
  }
  return crowdFirst(made);
}

// The same values over how near the dataset is to the seen concepts, where that is known.
function distanceRows(models) {
  const near = new Map(summary.map((row) => [row.place, row.near]));
  return levelRows(models).map((row) => ({
    ...row, near: near.get(row.place), joined: row.place === "IN-1K" || levelPlaces.includes(row.place),
  })).filter((row) => row.near !== null);
}

function rankRows(models) {
  return crowdFirst(models.flatMap((one) => [...one.by.values()]
    .filter((row) => row.rank !== null)
    .map((row) => ({
      model: one.model, slot: slotOf(one.model), place: row.place, order: orderOf(row.place), value: row.rank,
    }))));
}

function fewRows(models) {
  const shown = new Set(models.map((one) => one.model));
  return crowdFirst(chosenRows(true)
    .filter((row) => row.place === state.fewPlace && shown.has(row.model))
    .map((row) => ({
      model: row.model, slot: slotOf(row.model), shots: String(row.shots), pictures: row.pictures,
      order: row.pictures, value: row.value, low: row.low, high: row.high,
    })));
}

function costRows(models) {
  return crowdFirst(models
    .filter((one) => one[state.costKind] > 0 && one.levels !== null)
    .map((one) => ({
      model: one.model, slot: slotOf(one.model), order: 0, value: one.levels,
      cost: state.costKind === "feature_bytes" ? one.feature_bytes / 1e9 : one[state.costKind],
    })));
}

// One or two models. Each keeps its slot of the other charts; without one it gets a free slot from
// the end.
function conceptSlots(names) {
  const taken = names.map(slotOf);
  return names.map((_, at) => taken[at] || (taken.includes(SLOTS - at) ? SLOTS - 2 : SLOTS - at));
}

function conceptRows() {
  const names = unique([state.first, state.second].filter(Boolean));
  const slots = conceptSlots(names);
  return names.flatMap((model, index) => {
    const own = data.classes.find((one) => one.model === model && setupOf(one) === state.setup);
    const slot = slots[index];
    return (own?.top1 ?? []).map((top1, at) => ({
      model, slot, top1, concept: concepts[at].name, wnid: concepts[at].wnid,
      place: `L${concepts[at].level}`, similarity: concepts[at].similarity,
      nearest: concepts[at].nearest_name, lcs: concepts[at].lcs_name,
    })).filter((row) => row.top1 !== null);
  });
}

function trialsOf(model, place) {
  return data.trials.find((one) => one.model === model && one.place === place
    && setupOf(one) === state.setup);
}

function trialRows() {
  const own = trialsOf(state.trialModel, state.trialPlace);
  return (own?.lr ?? []).map((lr, at) => ({
    lr, wd: own.wd[at], top1: own.top1[at], seed: String(own.seed[at]),
    chosen: own.chosen[at] ? "yes" : "no",
  })).filter((row) => row.lr > 0 && row.wd > 0);
}
