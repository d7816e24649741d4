// Small pieces of the page. All text goes in as text nodes: names may hold anything.

const LEVEL_COLOURS = 5; // --level-0 … --level-4 of explorer.css

function element(tag, attributes = {}, ...content) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...content);
  return made;
}

// The colours span the levels, however many there are.
function colourOf(model, kind) {
  if (kind === model.seenKind) return "seen";
  return Math.round((kind * (LEVEL_COLOURS - 1)) / Math.max(model.levels.length - 1, 1));
}

function badge(model, kind) {
  return element("span", { class: `explorer-badge kind-${colourOf(model, kind)}` },
    model.kinds[kind]);
}

// A text in which the searched words are marked.
function marked(text, terms) {
  const lower = text.toLowerCase();
  // If lower case changes the length (İ), the indices are wrong: no marks then.
  const found = lower.length !== text.length ? [] : terms.map((term) => [lower.indexOf(term), term.length])
    .filter(([start]) => start >= 0).sort((a, b) => a[0] - b[0]);
  const pieces = [];
  let done = 0;
  for (const [start, length] of found) {
    if (start < done) continue;
    pieces.push(text.slice(done, start), element("mark", {}, text.slice(start, start + length)));
    done = start + length;
  }
  return [...pieces, text.slice(done)];
}

// A link to a node of the page; the address then names the node, so that it can be shared.
function linkTo(model, node, attributes = {}) {
  return element("a", { href: `#${model.wnid[node]}`, title: model.name[node], ...attributes },
    model.label[node]);
}

// How many concepts of each kind lie below a node, as a stacked bar.
function stackedBar(model, node) {
  const bar = element("span", { class: "explorer-bar", "aria-hidden": "true",
    title: countsText(model, node) });
  model.kinds.forEach((_, kind) => {
    const count = model.below[kind][node];
    if (count) bar.append(element("span", { class: `kind-${colourOf(model, kind)}`,
      style: `flex-grow:${count}` }));
  });
  return bar;
}

function countsText(model, node) {
  const counts = model.kinds.map((kind, at) => [kind, model.below[at][node]]);
  return counts.filter(([, count]) => count).map(([kind, count]) => `${kind} ${whole(count)}`)
    .join(", ");
}

function whole(number) {
  return number.toLocaleString("en");
}

function similar(number) {
  return Math.abs(number) >= HUGE ? number.toExponential(2) : number.toFixed(4);
}
