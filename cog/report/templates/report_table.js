// The table of all models: sorted by its headings, ticked to make a model stand out.

const order = { column: "levels", descending: true };

function tableColumns() {
  return [
    { name: "model", heading: "Model", value: (one) => one.model },
    { name: "family", heading: "Family", value: (one) => one.family },
    { name: "parameters", heading: "Parameters (M)", value: (one) => one.parameters === null ? null : one.parameters / 1e6, digits: 1 },
    ...axesThere.flatMap((axis) => [
      ...(state.closed.has(axis) ? [] : placesOf(axis).map((place) => ({
        name: place, heading: place, axis, value: (one) => one.by.get(place)?.value ?? null, digits: 2,
        error: (one) => one.by.get(place)?.se ?? null,
      }))),
      ...(axis === "concepts" ? conceptColumns() : [meanColumn(axis)]),
    ]),
  ].filter((column) => summary.some((row) => row[column.name]) || !["family", "parameters"].includes(column.name));
}

function conceptColumns() {
  return [
    { name: "levels", heading: "Mean of levels", axis: "concepts", value: (one) => one.levels, digits: 2 },
    { name: "drop", heading: `Drop to ${levelPlaces.at(-1) ?? "the levels"}`, axis: "concepts", value: (one) => one.drop, digits: 2 },
  ];
}

function meanColumn(axis) {
  return {
    name: `mean of ${axis}`, heading: "Mean", axis, value: (one) => one.means?.[axis] ?? null, digits: 2,
    error: (one) => one.means?.[`${axis}_error`] ?? null, marks: (one) => marksOf(one, axis),
  };
}

const hasFlag = (one, flag, axis) => (one.means?.[flag] ?? "").split(" ").includes(axis);
const marksOf = (one, axis) =>
  (hasFlag(one, "partial", axis) ? "‡" : "") + (hasFlag(one, "mixed", axis) ? "§" : "");

// Buttons that close and open the sets of an axis; their means stay.
function drawGroups(onChange) {
  document.getElementById("groups").replaceChildren(...axesThere.map((axis) => {
    const open = !state.closed.has(axis);
    const count = placesOf(axis).length;
    const text = `${AXIS_TITLES[axis]} (${count} ${count === 1 ? "set" : "sets"})`;
    const button = element("button", text, { type: "button", "aria-pressed": String(open), "data-key": `group ${axis}` });
    button.addEventListener("click", () => {
      if (open) state.closed.add(axis);
      else state.closed.delete(axis);
      onChange();
    });
    return button;
  }));
}

const AXIS_TITLES = { concepts: "Concepts", domains: "Domains", refits: "Refitted domains", tasks: "Tasks" };

// A cell a run of columns of one axis, above the headings.
function groupRow(columns) {
  const row = element("tr", "", { class: "groups" });
  for (let at = 0; at < columns.length;) {
    const { axis } = columns[at];
    let end = at;
    while (end < columns.length && columns[end].axis === axis) end += 1;
    const cell = element(axis ? "th" : "td", axis ? AXIS_TITLES[axis] : "", { colspan: end - at, ...(axis ? { scope: "colgroup" } : {}) });
    row.append(cell);
    at = end;
  }
  return row;
}

// Means by axis: a row a model, the best first by the first axis that is there.
function drawMeans(models) {
  const there = axes.names.filter((axis) => models.some((one) => one.means?.[axis] != null));
  const table = document.getElementById("means");
  const top = element("thead");
  const groups = element("tr");
  const head = element("tr");
  groups.append(element("td"));
  head.append(element("th", "Model", { scope: "col" }));
  for (const axis of there) {
    const counts = unique(models.map((one) => one.means?.[`${axis}_sets`] ?? 0)).filter(Boolean);
    const most = Math.max(...counts);
    groups.append(element("th", `${AXIS_TITLES[axis]} (${most} ${most === 1 ? "set" : "sets"})`, { scope: "colgroup", colspan: 2 }));
    head.append(element("th", "Mean", { scope: "col" }), element("th", "Log odds", { scope: "col" }));
  }
  top.append(groups, head);
  const body = element("tbody");
  const [first] = there;
  const value = (one) => one.means?.[first] ?? -Infinity;
  const listed = models.filter((one) => one.means !== null).sort((a, b) => value(b) - value(a));
  for (const one of listed) {
    const row = element("tr");
    const slot = slotOf(one.model);
    if (slot) row.className = `picked series-${slot}`;
    row.append(element("th", titleOf(one), { scope: "row" }));
    for (const axis of there) {
      for (const [name, digits] of [[axis, 2], [`${axis}_log_odds`, 3]]) {
        const whole = listed.filter((other) => !hasFlag(other, "partial", axis) && other.means[name] !== null);
        const best = whole.length > 1 && Math.max(...whole.map((other) => other.means[name]));
        const cell = numberCell(one, {
          value: () => one.means[name], error: () => one.means[`${name}_error`], digits,
          marks: () => marksOf(one, axis),
        });
        if (!hasFlag(one, "partial", axis) && one.means[name] === best) cell.className = "best";
        row.append(cell);
      }
    }
    body.append(row);
  }
  table.replaceChildren(top, body);
  const any = (flag) => listed.some((one) => there.some((axis) => hasFlag(one, flag, axis)));
  document.getElementById("partial-note").hidden = !any("partial");
  document.getElementById("mixed-note").hidden = !any("mixed");
}

// Missing values come last in either direction; so do, of means over levels, those of models that
// lack classes.
function sorted(models, column) {
  const way = order.descending ? -1 : 1;
  return [...models].sort((a, b) => {
    const [x, y] = [column.value(a), column.value(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    if (column.name === "levels" && a.complete !== b.complete) return b.complete - a.complete;
    return way * (typeof x === "string" ? x.localeCompare(y) : x - y)
      || a.model.localeCompare(b.model);
  });
}

function drawTable(models, onPick) {
  const columns = tableColumns();
  const by = columns.find((column) => column.name === order.column) ?? columns[0];
  const table = document.getElementById("models");
  const pressed = table.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const head = element("tr");
  for (const column of columns) head.append(heading(column, by, () => drawTable(models, onPick)));
  const body = element("tbody");
  for (const one of sorted(models, by)) body.append(tableRow(one, columns, onPick));
  const top = element("thead");
  if (axesThere.length > 1) top.append(groupRow(columns));
  top.append(head);
  table.replaceChildren(top, body);
  if (pressed) table.querySelector(`[data-key="${CSS.escape(pressed)}"]`)?.focus();
  const some = (test) => !models.some(test);
  document.getElementById("more-note").hidden = some((one) => one.more);
  document.getElementById("part-note").hidden = some((one) => !one.complete);
}

function heading(column, by, redraw) {
  const active = column === by;
  const cell = element("th", "", { scope: "col" });
  cell.setAttribute("aria-sort", active ? (order.descending ? "descending" : "ascending") : "none");
  const button = element("button", column.heading, { type: "button", "data-key": `sort ${column.name}` });
  button.addEventListener("click", () => {
    // Numbers start with the greatest, names with the first of the alphabet.
    order.descending = active ? !order.descending : column.digits !== undefined;
    order.column = column.name;
    redraw();
  });
  cell.append(button);
  return cell;
}

function tableRow(one, columns, onPick) {
  const row = element("tr");
  const slot = slotOf(one.model);
  if (slot) row.className = `picked series-${slot}`;
  for (const column of columns) {
    if (column.name === "model") row.append(nameCell(one, onPick));
    else row.append(numberCell(one, column));
  }
  return row;
}

function nameCell(one, onPick) {
  const cell = element("th", "", { scope: "row" });
  const label = element("label");
  const tick = element("input", "", { type: "checkbox", "data-key": `pick ${one.model}` });
  tick.checked = slotOf(one.model) > 0;
  tick.addEventListener("change", () => onPick(one.model));
  label.append(tick, element("span", titleOf(one)));
  cell.append(label);
  return cell;
}

const titleOf = (one) => one.model + (one.more ? " †" : "") + (one.complete ? "" : " *");

function numberCell(one, column) {
  const value = column.value(one);
  if (value === null || typeof value === "string") return element("td", value ?? "–");
  const cell = element("td", value.toFixed(column.digits).replace("-", "−"), { title: String(value) });
  const error = column.error?.(one) ?? null;
  if (error !== null) cell.append(element("small", ` ±${error.toFixed(column.digits)}`));
  cell.append(column.marks?.(one) ?? "");
  return cell;
}
