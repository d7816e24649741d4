// The ranked list: a listbox with all concepts. Rows off the screen are not laid out (see
// content-visibility in explorer.css), yet the browser's own search finds them. The first rows come at
// once and the others a moment later, so that typing and opening the page do not wait.

const FIRST_ROWS = 100;

function makeList(model, container, choose) {
  const rows = []; // by index in concepts, made when first needed
  const rowAt = (at) => (rows[at] ??= listRow(model, at));
  let order = [], chosen = -1, rest = null;

  function drawRest() {
    clearTimeout(rest);
    container.append(...order.slice(container.children.length).map(rowAt));
  }

  function mark(at, scroll) {
    rows[chosen]?.setAttribute("aria-selected", "false");
    chosen = at;
    container.removeAttribute("aria-activedescendant");
    if (at < 0) return;
    rowAt(at).setAttribute("aria-selected", "true");
    if (scroll && !rows[at].isConnected) drawRest();
    if (!rows[at].isConnected) return;
    container.setAttribute("aria-activedescendant", rows[at].id);
    if (scroll && !container.hidden) rows[at].scrollIntoView({ block: "nearest" });
  }

  container.addEventListener("click", (event) => {
    const row = event.target.closest("[role=option]");
    if (row) choose(model.concepts.node[Number(row.dataset.row)]);
  });
  container.addEventListener("keydown", (event) => {
    const here = order.indexOf(chosen);
    const steps = { ArrowDown: here + 1, ArrowUp: here < 0 ? 0 : here - 1, Home: 0,
      End: order.length - 1, PageDown: here + 10, PageUp: here - 10 };
    if (!(event.key in steps) || !order.length) return;
    event.preventDefault();
    const next = order[Math.max(0, Math.min(order.length - 1, steps[event.key]))];
    choose(model.concepts.node[next]);
  });
  return {
    show(wanted) {
      order = wanted;
      clearTimeout(rest);
      container.replaceChildren(...order.slice(0, FIRST_ROWS).map(rowAt));
      if (order.length > FIRST_ROWS) rest = setTimeout(drawRest, 60);
      container.scrollTop = 0;
      mark(chosen, false);
    },
    choose: (node) => mark(node < 0 ? -1 : model.row[node], true),
  };
}

function listRow(model, at) {
  const { rank, similarity, nearest } = model.concepts;
  const node = model.concepts.node[at];
  const share = Math.min(1, Math.max(0, similarity[at] / model.mostSimilar));
  return element("li", { role: "option", id: `explorer-row-${at}`, "data-row": at,
    "aria-selected": "false", style: `--share:${share.toFixed(3)}` },
    element("span", { class: "explorer-rank", title: "rank" }, whole(rank[at])),
    badge(model, model.kind[node]),
    element("span", { class: "explorer-name", title: model.name[node] }, model.label[node]),
    element("span", { class: "explorer-similarity" }, similar(similarity[at])),
    element("span", { class: "explorer-near quiet", title: "nearest seen concept" },
      nearest[at] < 0 ? "" : `≈ ${model.label[nearest[at]]}`));
}

// Indices in concepts of what a search found, in the chosen order.
function listOrder(model, found, by) {
  const { node, images, rank } = model.concepts;
  const kept = [...node.keys()].filter((at) => found.hits[node[at]]);
  const orders = {
    rank: (a, b) => rank[a] - rank[b],
    far: (a, b) => rank[b] - rank[a],
    name: (a, b) => model.label[node[a]].localeCompare(model.label[node[b]]),
    images: (a, b) => (images[b] ?? -1) - (images[a] ?? -1),
  };
  return kept.sort(orders[by]);
}
