// Charts: Vega draws them; this file gives them rows, tooltips, and a table of the same numbers.

const specifications = read("charts");
const views = {};

// Vega formats the numbers; names are set as text, so that no name can be markup.
function showTooltip(_, event, item, value) {
  const box = document.getElementById("tooltip");
  if (value === null || value === undefined || value === "") {
    box.hidden = true;
    return;
  }
  const list = document.createElement("dl");
  for (const [key, given] of Object.entries(value)) {
    // For the nearest point, Vega-Lite looks for the text in a cell around it; the point has it.
    const text = given === "undefined" ? item.datum?.datum?.[key] : given;
    if (text === "null" || text === undefined) continue;
    list.append(element("dt", key), element("dd", text));
  }
  box.replaceChildren(list);
  box.hidden = false;
  const room = document.documentElement.clientWidth - box.offsetWidth - 8;
  box.style.left = `${Math.max(4, Math.min(event.clientX + 14, room))}px`;
  const below = event.clientY + 18;
  const fits = below + box.offsetHeight < window.innerHeight;
  box.style.top = `${fits ? below : event.clientY - box.offsetHeight - 12}px`;
}

function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// SVG is sharp in print, and its colours are the page's CSS variables, so that light, dark and print
// need no other drawing.
async function makeView(name, onPick) {
  const container = document.getElementById(`${name}-chart`);
  if (!container) return;
  const inside = element("div"); // Vega sets the label of its own element; that of the chart is ours
  container.replaceChildren(inside);
  const { view } = await vegaEmbed(inside, specifications[name], {
    mode: "vega", renderer: "svg", actions: false, defaultStyle: false, tooltip: showTooltip,
    logLevel: 1, // errors only: a scale without rows would give warnings
  });
  view.addEventListener("click", (_, item) => {
    const datum = item?.datum?.datum ?? item?.datum; // the cell around the nearest point holds that point
    if (datum?.model) onPick(datum.model);
  });
  views[name] = view;
  if (name === "ranks") await view.resize().runAsync(); // labels that turn in a narrow page get their room
}

// Draw rows into a chart; `columns` are pairs of field and heading of the table behind it.
function drawChart(name, rows, label, columns) {
  const container = document.getElementById(`${name}-chart`);
  if (!container) return; // this page does not have the chart
  // The first rows come with the specification, so that a chart is laid out once. Later rows have
  // labels of other widths.
  if (views[name]) views[name].data("rows", rows).resize().run();
  else specifications[name].data.find((source) => source.name === "rows").values = rows;
  container.setAttribute("aria-label", rows.length ? label : "Nothing to show");
  container.classList.toggle("empty", rows.length === 0);
  const details = document.getElementById(`${name}-numbers`);
  const fill = () => details.open && details.querySelector("div").replaceChildren(numbers(rows, columns));
  details.ontoggle = fill;
  fill();
}

// The rows as a table. A long one is cut and says so; the download has all numbers.
function numbers(rows, columns, most = 2000) {
  const table = element("table");
  const head = table.createTHead().insertRow();
  for (const [, heading] of columns) head.append(element("th", heading, { scope: "col" }));
  const body = table.createTBody();
  for (const row of rows.slice(0, most)) {
    const line = body.insertRow();
    for (const [field] of columns) line.append(element("td", written(row[field])));
  }
  if (rows.length > most) {
    table.createCaption().textContent = `The first ${most} of ${rows.length}.`;
  }
  return table;
}

// Numbers to five figures, whole numbers whole, and a dash for what is missing.
function written(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)));
}
