// The level explorer: what is chosen and searched for, and which parts show it.

const part = (name) => document.getElementById(`explorer-${name}`);
const model = makeModel(JSON.parse(part("data").textContent));
const everyKind = model.kinds.map((_, kind) => kind);
const narrow = window.matchMedia("screen and (max-width: 52rem)"); // as in explorer.css
const state = { view: "list", chosen: -1, kinds: everyKind, found: null, naming: null };

const list = makeList(model, part("list"), follow);
const tree = makeTree(model, part("tree"), follow);
const showDetail = makeDetail(model, part("detail"), () => follow(-1));
const markFigure = makeFigure(model, part("figure"), follow);
const boxes = makeBoxes();

// The address names the chosen node. It is replaced, not pushed: the arrow keys would push a thousand
// entries to the history; links push, so that Back works for them. It waits for a pause, as browsers
// refuse a hundred changes in a few seconds.
function follow(node) {
  choose(node);
  clearTimeout(state.naming);
  state.naming = setTimeout(
    () => history.replaceState(null, "", node < 0 ? "#" : `#${model.wnid[node]}`), 150);
}

function choose(node) {
  state.chosen = node;
  if (node >= 0 && state.view === "list" && model.row[node] < 0) setView("tree");
  list.choose(node);
  tree.choose(node);
  showDetail(node);
  markFigure(node);
}

function readHash() {
  clearTimeout(state.naming);
  const wnid = location.hash.slice(1);
  if (!/^n\d{8}$/.test(wnid)) return;
  if (model.index.has(wnid)) return choose(model.index.get(wnid));
  part("status").textContent = `${wnid} is neither in these levels nor above a concept of them.`;
}

function setView(view) {
  state.view = view;
  part("list").hidden = view !== "list";
  part("tree").hidden = view !== "tree";
  for (const button of document.querySelectorAll(".explorer [data-view]")) {
    button.setAttribute("aria-pressed", button.dataset.view === view);
  }
  document.querySelector(".explorer-order").hidden = view !== "list";
}

function searchFor(query) {
  part("query").value = query;
  setView("list");
  refresh();
}

function refresh() {
  state.found = search(model, part("query").value, state.kinds);
  list.show(listOrder(model, state.found, part("order").value));
  tree.show(state.found, state.chosen);
  showCounts();
}

// Beside each box, how many nodes of its kind the search finds, whether it is ticked or not.
function showCounts() {
  const every = state.kinds.length === everyKind.length ? state.found
    : search(model, part("query").value, everyKind);
  const counts = new Array(model.kinds.length + 1).fill(0);
  every.hits.forEach((hit, node) => { if (hit) counts[model.kind[node] + 1] += 1; });
  boxes.forEach((box, kind) => { box.count.textContent = whole(counts[kind + 1]); });
  const total = (kinds) => kinds.reduce((sum, kind) => sum + counts[kind + 1], 0);
  const levels = state.kinds.filter((kind) => kind !== model.seenKind);
  const seen = state.kinds.filter((kind) => kind === model.seenKind);
  const branches = counts[0] ? `, ${whole(counts[0])} above them` : "";
  part("status").textContent =
    `Found: ${whole(total(levels))} in levels, ${whole(total(seen))} seen${branches}`;
}

function makeBoxes() {
  return model.kinds.map((name, kind) => {
    const input = element("input", { type: "checkbox", value: name, checked: "" });
    const count = element("span", { class: "quiet" });
    part("kinds").append(element("label", {}, input, badge(model, kind), " ", count));
    input.addEventListener("change", () => {
      state.kinds = everyKind.filter((at) => boxes[at].input.checked);
      refresh();
    });
    return { input, count };
  });
}

for (const button of document.querySelectorAll(".explorer [data-view]")) {
  button.addEventListener("click", () => {
    setView(button.dataset.view);
    if (state.chosen >= 0) [list, tree].forEach((view) => view.choose(state.chosen));
  });
}
part("query").addEventListener("input", () => {
  if (narrow.matches) follow(-1); // the panel would cover what is found
  refresh();
});
part("query").addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" && event.key !== "Enter") return;
  event.preventDefault();
  part("list").focus();
  part("tree").querySelector("[tabindex='0']")?.focus(); // whichever of the two is not hidden
});
part("order").addEventListener("change", refresh);
window.addEventListener("hashchange", readHash);
setView("list");
showDetail(-1);
refresh();
readHash();
