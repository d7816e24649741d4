// The data of the page, and what follows from it. A node is an index in data.nodes. A kind is an
// index among the levels, with the seen concepts last; INNER is the kind of all other nodes.

const INNER = -1;
const HUGE = 1e6; // a measure that divides by zero gives 1e300, which cannot be drawn
const BELOW = /^below:(n\d{8})$/; // in a search: only what lies at or below a node

function makeModel(data) {
  const { wnid, name, words, parents } = data.nodes;
  const seenKind = data.levels.length;
  const kind = new Int8Array(wnid.length).fill(INNER);
  const row = new Int32Array(wnid.length).fill(-1); // in data.concepts
  for (const node of data.seen) kind[node] = seenKind;
  data.concepts.node.forEach((node, at) => {
    kind[node] = data.levels.indexOf(data.concepts.level[at]);
    row[node] = at;
  });
  const label = labelsOf(name);
  const model = {
    ...data, wnid, name, words, parents, kind, row, label, seenKind,
    kinds: [...data.levels.map((level) => `L${level}`), "seen"],
    children: childrenOf(parents),
    haystack: label.map((text, node) =>
      [text, name[node], words[node], wnid[node]].join(" ").toLowerCase()),
    mostSimilar: data.concepts.similarity.filter((value) => value < HUGE)
      .reduce((a, b) => Math.max(a, b), 1e-9),
    index: new Map(wnid.map((text, node) => [text, node])),
    countBelow: (node, kinds) => kinds.reduce((sum, k) => sum + data.below[k][node], 0),
  };
  sortChildren(model);
  return model;
}

// hot_dog.n.01 → hot dog; of several with one name, each keeps its number: mushroom (n.02).
function labelsOf(names) {
  const parts = names.map((name) => /^(.*)\.(n\.\d+)$/s.exec(name) ?? [name, name, ""]);
  const uses = new Map();
  for (const [, word] of parts) uses.set(word, (uses.get(word) ?? 0) + 1);
  return parts.map(([, word, sense]) =>
    word.replaceAll("_", " ") + (sense && uses.get(word) > 1 ? ` (${sense})` : ""));
}

function childrenOf(parents) {
  const children = parents.map(() => []);
  parents.forEach((above, node) => above.forEach((parent) => children[parent].push(node)));
  return children;
}

// The largest branches first, and leaves, all of size one, by name.
function sortChildren(model) {
  const all = model.kinds.map((_, kind) => kind);
  const size = model.label.map((_, node) => model.countBelow(node, all));
  for (const children of model.children) {
    children.sort((a, b) => size[b] - size[a] || model.label[a].localeCompare(model.label[b]));
  }
}

// What a search and the chosen kinds find. `hits`: nodes that match. `shown`: these, the nodes above
// them, and those below inner ones. `inside`: nodes with a hit strictly below. `terms`: the words of
// the search, in lower case.
function search(model, query, kinds) {
  const words = query.toLowerCase().replaceAll("_", " ").split(/\s+/).filter(Boolean);
  const terms = words.filter((word) => !BELOW.test(word));
  const tops = words.filter((word) => BELOW.test(word))
    .map((word) => nodesBelow(model, model.index.get(BELOW.exec(word)[1])));
  const n = model.wnid.length;
  const hits = new Uint8Array(n), shown = new Uint8Array(n), inside = new Uint8Array(n);
  const passes = (node) => kinds.includes(model.kind[node])
    || (terms.length > 0 && model.countBelow(node, kinds) > 0);
  for (let node = 0; node < n; node++) {
    if (!tops.every((top) => top.has(node)) || !passes(node)) continue;
    if (!terms.every((term) => model.haystack[node].includes(term))) continue;
    hits[node] = 1;
    showAbove(model, node, shown, inside);
  }
  if (terms.length) showBelow(model, hits, kinds, shown);
  return { query: words.join(" "), terms, hits, shown, inside };
}

// A node and everything below it; nothing if there is no such node.
function nodesBelow(model, node) {
  const reached = new Set(node === undefined ? [] : [node]);
  for (const at of reached) model.children[at].forEach((child) => reached.add(child));
  return reached;
}

function showAbove(model, node, shown, inside) {
  shown[node] = 1;
  for (const parent of model.parents[node]) {
    if (inside[parent]) continue;
    inside[parent] = 1;
    showAbove(model, parent, shown, inside);
  }
}

function showBelow(model, hits, kinds, shown) {
  const reached = new Set([...hits.keys()].filter((node) => hits[node]));
  for (const node of reached) { // grows as it goes
    shown[node] = 1;
    for (const child of model.children[node]) {
      if (model.countBelow(child, kinds)) reached.add(child);
    }
  }
}

// Every way from a root down to a node.
function pathsTo(model, node) {
  const above = model.parents[node];
  if (!above.length) return [[node]];
  return above.flatMap((parent) => pathsTo(model, parent).map((path) => [...path, node]));
}

// The shortest way up from a node to one above it, both included.
function wayUp(model, node, top) {
  let ways = [[node]];
  while (ways.length) {
    const found = ways.find((way) => way.at(-1) === top);
    if (found) return found;
    ways = ways.flatMap((way) => model.parents[way.at(-1)].map((parent) => [...way, parent]));
  }
  return [];
}
