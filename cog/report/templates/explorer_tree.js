// The tree of WordNet, by the ARIA pattern for trees. A node with several parents is under each of
// them, so an item is named by its path from the root. Branches are made when they are opened.

const OPEN_SHARE = 0.35; // a branch with this share of all concepts is open at first
const OPEN_HITS = 150; // a search with at most so many hits opens all branches that lead to them

function makeTree(model, container, choose) {
  const all = model.kinds.map((_, kind) => kind);
  const roots = [...model.parents.keys()].filter((node) => !model.parents[node].length);
  const opened = new Map(); // path → whether the user opened or closed it
  let found = null, few = false, current = null;

  const shownChildren = (node) => model.children[node].filter((child) => found.shown[child]);
  const total = roots.reduce((sum, node) => sum + model.countBelow(node, all), 0);

  function isOpen(node, path) {
    if (opened.has(path)) return opened.get(path);
    if (found.query) return few && found.inside[node] === 1;
    return model.countBelow(node, all) > OPEN_SHARE * total;
  }

  function makeItem(node, path, depth) {
    const leaf = !shownChildren(node).length;
    const item = element("li", { role: "treeitem", tabindex: "-1", "aria-level": depth,
      "aria-selected": "false", "data-node": node, "data-path": path,
      "aria-label": spokenLabel(model, node) }, treeRow(model, node, found));
    if (!leaf) setOpen(item, isOpen(node, path));
    return item;
  }

  function setOpen(item, open) {
    const node = Number(item.dataset.node), path = item.dataset.path;
    item.setAttribute("aria-expanded", open);
    item.querySelector(":scope > [role=group]")?.remove();
    if (!open) return;
    const depth = Number(item.getAttribute("aria-level")) + 1;
    item.append(element("ul", { role: "group" },
      ...shownChildren(node).map((child) => makeItem(child, `${path}/${child}`, depth))));
  }

  function toggle(item, open = item.getAttribute("aria-expanded") !== "true") {
    if (!item.hasAttribute("aria-expanded")) return;
    opened.set(item.dataset.path, open);
    if (!open && item.contains(current)) moveTo(item, false);
    setOpen(item, open);
  }

  // Tab reaches one item; the arrow keys move from there.
  function moveTo(item, focus = true) {
    current?.setAttribute("tabindex", "-1");
    current = item;
    item.setAttribute("tabindex", "0");
    if (focus) item.focus();
  }

  function onKey(event) {
    const item = event.target.closest("[role=treeitem]");
    if (!item || event.ctrlKey || event.altKey || event.metaKey) return;
    const items = [...container.querySelectorAll("[role=treeitem]")], at = items.indexOf(item);
    const open = item.getAttribute("aria-expanded");
    const go = (next) => next && moveTo(next);
    const actions = {
      ArrowDown: () => go(items[at + 1]),
      ArrowUp: () => go(items[at - 1]),
      Home: () => go(items[0]),
      End: () => go(items.at(-1)),
      ArrowRight: () => (open === "false" ? toggle(item, true)
        : go(item.querySelector(":scope > [role=group] > [role=treeitem]"))),
      ArrowLeft: () => (open === "true" ? toggle(item, false)
        : go(item.parentElement.closest("[role=treeitem]"))),
      Enter: () => choose(Number(item.dataset.node)),
      " ": () => toggle(item),
    };
    if (!(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
  }

  function onClick(event) {
    const item = event.target.closest("[role=treeitem]");
    if (!item) return;
    moveTo(item, false);
    if (event.target.closest(".explorer-twist")) return toggle(item);
    if (item.getAttribute("aria-expanded") === "false") toggle(item, true);
    choose(Number(item.dataset.node));
  }

  function markChosen(node) {
    for (const item of container.querySelectorAll("[aria-selected=true]")) {
      item.setAttribute("aria-selected", "false");
    }
    const items = container.querySelectorAll(`[data-node="${node}"]`);
    for (const item of items) item.setAttribute("aria-selected", "true");
    return items;
  }

  container.addEventListener("keydown", onKey);
  container.addEventListener("click", onClick);
  return {
    show(result, chosen) {
      if (found && result.query !== found.query) opened.clear();
      found = result;
      few = found.hits.reduce((sum, hit) => sum + hit, 0) <= OPEN_HITS;
      container.replaceChildren(...roots.filter((node) => found.shown[node])
        .map((node) => makeItem(node, String(node), 1)));
      current = null;
      const first = container.querySelector("[role=treeitem]");
      if (first) moveTo(first, false);
      if (chosen >= 0) markChosen(chosen);
    },
    // Open the first path to a node that is not visible yet, and mark it.
    choose(node) {
      if (node >= 0 && !container.hidden && !markChosen(node).length) {
        const path = pathsTo(model, node)[0];
        path.slice(0, -1).forEach((_, depth) => {
          const key = path.slice(0, depth + 1).join("/");
          const item = container.querySelector(`[data-path="${key}"]`);
          if (item?.getAttribute("aria-expanded") === "false") toggle(item, true);
        });
      }
      const [item] = markChosen(node);
      if (!item || container.hidden) return;
      moveTo(item, container.contains(document.activeElement));
      item.firstElementChild.scrollIntoView({ block: "nearest" });
    },
  };
}

function treeRow(model, node, found) {
  const kind = model.kind[node], row = model.row[node];
  const content = [element("span", { class: "explorer-twist", "aria-hidden": "true" })];
  if (kind !== INNER) content.push(badge(model, kind));
  content.push(element("span", { class: "explorer-name", title: model.name[node] },
    ...marked(model.label[node], found.terms)));
  if (row >= 0) {
    content.push(element("span", { class: "explorer-similarity" },
      similar(model.concepts.similarity[row])));
  }
  if (model.children[node].length) {
    content.push(stackedBar(model, node),
      element("span", { class: "explorer-count quiet" }, ...belowText(model, node)));
  }
  return element("span", { class: "explorer-item" }, ...content);
}

// A narrow page hides the part on seen concepts.
function belowText(model, node) {
  const levels = model.levels.map((_, kind) => kind);
  const concepts = model.countBelow(node, levels), seen = model.below[model.seenKind][node];
  return [whole(concepts), ...(seen ? [element("span", {}, ` + ${whole(seen)} seen`)] : [])];
}

function spokenLabel(model, node) {
  const kind = model.kind[node] === INNER ? "" : `, ${model.kinds[model.kind[node]]}`;
  const below = model.children[node].length ? `; below: ${countsText(model, node)}` : "";
  return `${model.label[node]}${kind}${below}`;
}
