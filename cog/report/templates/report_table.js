// The table of all models: sorted by its headings, ticked to make a model stand out.

const order = { column: "levels", descending: true };

function tableColumns() {
  return [
    { name: "model", heading: "Model", value: (one) => one.model },
    { name: "family", heading: "Family", value: (one) => one.family },
    { name: "parameters", heading: "Parameters (M)", value: (one) => one.parameters === null ? null : one.parameters / 1e6, digits: 1 },
    ...places.map((place) => ({
      name: place, heading: place, value: (one) => one.by.get(place)?.value ?? null, digits: 2,
      error: (one) => one.by.get(place)?.se ?? null,
    })),
    { name: "levels", heading: "Mean of levels", value: (one) => one.levels, digits: 2 },
    { name: "drop", heading: `Drop to ${levelPlaces.at(-1) ?? "the levels"}`, value: (one) => one.drop, digits: 2 },
  ].filter((column) => summary.some((row) => row[column.name]) || !["family", "parameters"].includes(column.name));
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
  if (error !== null) cell.append(element("small", ` ±${error.toFixed(2)}`));
  return cell;
}
