// Charts: Vega draws them, this gives them rows, tooltips, and a table of the same numbers.

const specifications = read("charts");
const views = {};

// Vega's numbers come formatted by the chart; names are set as text, so no name can be markup.
function showTooltip(_, event, item, value) {
  const box = document.getElementById("tooltip");
  if (value === null || value === undefined || value === "") {
    box.hidden = true;
    return;
  }
  const list = document.createElement("dl");
  for (const [key, given] of Object.entries(value)) {
    // Vega-Lite asks a cell of the map of nearest points for text that the point within it has.
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

// SVG, for it is sharp in print, and its colours are the page's CSS variables: light, dark and
// print need no other drawing.
async function makeView(name, onPick) {
  const place = document.getElementById(`${name}-chart`);
  if (!place) return;
  const inside = element("div"); // Vega names what it draws into; the name of the chart is ours
  place.replaceChildren(inside);
  const { view } = await vegaEmbed(inside, specifications[name], {
    mode: "vega", renderer: "svg", actions: false, defaultStyle: false, tooltip: showTooltip,
    logLevel: 1, // errors alone: a scale that has no rows yet is none
  });
  view.addEventListener("click", (_, item) => {
    const datum = item?.datum?.datum ?? item?.datum; // a cell of the map of nearest points holds one
    if (datum?.model) onPick(datum.model);
  });
  views[name] = view;
}

// Draw rows into a chart; `columns` are pairs of field and heading of the table behind it.
function drawChart(name, rows, label, columns) {
  const place = document.getElementById(`${name}-chart`);
  if (!place) return; // a chart that this page has not
  // The first rows come with the specification, so that a chart is laid out once; rows that replace
  // others have labels of other widths.
  if (views[name]) views[name].data("rows", rows).resize().run();
  else specifications[name].data.find((source) => source.name === "rows").values = rows;
  place.setAttribute("aria-label", rows.length ? label : "Nothing to show");
  place.classList.toggle("empty", rows.length === 0);
  const details = document.getElementById(`${name}-numbers`);
  const fill = () => details.open && details.querySelector("div").replaceChildren(numbers(rows, columns));
  details.ontoggle = fill;
  fill();
}

// The rows as a table; long ones are cut, and say so: all numbers are in the download.
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

// Numbers to four figures at least, whole numbers whole, what is missing as a dash.
function written(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)));
}
