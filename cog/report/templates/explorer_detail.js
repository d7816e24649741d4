// The panel of the chosen node: a concept of a level, a seen one, or a branch.

const MOST_LINKS = 24; // to concepts that a seen one is nearest to

function makeDetail(model, container, close) {
  const nearestOf = new Map(); // seen node → rows of the concepts that it is nearest to
  model.concepts.nearest.forEach((node, at) => {
    if (!nearestOf.has(node)) nearestOf.set(node, []);
    nearestOf.get(node).push(at);
  });
  const button = () => {
    const made = element("button", { type: "button", class: "explorer-close",
      "aria-label": "Close" }, "×");
    made.addEventListener("click", close);
    return made;
  };
  return (node) => {
    container.replaceChildren();
    container.classList.toggle("is-open", node >= 0);
    if (node < 0) {
      container.append(element("p", { class: "quiet" },
        "Choose a concept to see its level, and why it is there."));
      return;
    }
    container.append(button(), ...heading(model, node), ...images(model, node),
      facts(model, node, nearestOf.get(node) ?? []));
  };
}

function heading(model, node) {
  const kind = model.kind[node];
  const words = model.words[node];
  return [
    element("h3", {}, ...(kind === INNER ? [] : [badge(model, kind), " "]), model.label[node]),
    element("p", { class: "quiet" }, ...(words ? [`also: ${words}`, element("br")] : []),
      `${model.name[node]} · `, element("a", { href: `#${model.wnid[node]}` }, model.wnid[node])),
  ];
}

function images(model, node) {
  const strip = (of, caption) => {
    const urls = model.thumbnails[of] ?? [];
    if (!urls.length) return [];
    return [element("figure", { class: "explorer-images" }, ...urls.map((url, at) =>
      element("img", { src: url, width: 96, height: 96, loading: "lazy",
        alt: `${model.label[of]}, sample ${at + 1} of ${urls.length}` })),
      element("figcaption", { class: "quiet" }, caption))];
  };
  const near = model.row[node] < 0 ? -1 : model.concepts.nearest[model.row[node]];
  return [...strip(node, model.label[node]),
    ...(near < 0 ? [] : strip(near, `nearest seen: ${model.label[near]}`))];
}

function facts(model, node, nearestTo) {
  const list = element("dl");
  const add = (term, ...content) => list.append(
    element("dt", {}, term), element("dd", {}, ...content));
  const row = model.row[node];
  if (row >= 0) conceptFacts(model, row, add);
  if (model.kind[node] === model.seenKind) {
    add("Seen", "the levels are measured against it");
    add("Nearest to", ...nearestLinks(model, nearestTo));
  }
  if (model.children[node].length) {
    add("Below", stackedBar(model, node), ` ${countsText(model, node)} `, listButton(model, node));
  }
  const paths = pathsTo(model, node);
  const subsumer = row < 0 ? -1 : model.concepts.lcs[row];
  add(paths.length > 1 ? `${paths.length} paths to the root` : "Path to the root",
    ...paths.map((path) => breadcrumb(model, path, subsumer)));
  return list;
}

function conceptFacts(model, row, add) {
  const { level, rank, similarity, nearest, lcs, images, node } = model.concepts;
  add("Level", `L${level[row]}, rank ${whole(rank[row])} of ${whole(model.eligible)}`);
  add(`${model.measure} similarity`, similar(similarity[row]));
  if (nearest[row] >= 0) add("Nearest seen concept", linkTo(model, nearest[row]));
  add("Their subsumer", lcs[row] < 0 ? "none" : linkTo(model, lcs[row]));
  if (lcs[row] >= 0 && nearest[row] >= 0) {
    add("How they meet", meeting(model, node[row], lcs[row], nearest[row]));
  }
  add("Images", images[row] === null ? "unknown" : whole(images[row]));
}

// Up from the concept to the subsumer and down to the seen one.
function meeting(model, node, subsumer, nearest) {
  const up = wayUp(model, node, subsumer), down = wayUp(model, nearest, subsumer).reverse();
  const steps = [];
  up.forEach((at, i) => steps.push(i ? " ↑ " : "", linkTo(model, at, emphasis(at, subsumer))));
  down.slice(1).forEach((at) => steps.push(" ↓ ", linkTo(model, at)));
  return element("span", {}, ...steps);
}

function emphasis(node, subsumer) {
  return node === subsumer ? { class: "explorer-subsumer" } : {};
}

function breadcrumb(model, path, subsumer) {
  const steps = path.flatMap((node, at) =>
    [...(at ? [" › "] : []), linkTo(model, node, emphasis(node, subsumer))]);
  return element("p", { class: "explorer-path" }, ...steps);
}

// Types a search for all nodes below a node into the box.
function listButton(model, node) {
  const made = element("button", { type: "button" }, "List them");
  made.addEventListener("click", () => searchFor(`below:${model.wnid[node]}`));
  return made;
}

// The concepts that a seen one is nearest to.
function nearestLinks(model, rows) {
  if (!rows.length) return ["no concept of the levels"];
  const links = rows.slice(0, MOST_LINKS).flatMap((row) => {
    const node = model.concepts.node[row];
    return [badge(model, model.kind[node]), " ", linkTo(model, node), element("br")];
  });
  const more = rows.length - MOST_LINKS;
  return more > 0 ? [...links, `and ${whole(more)} more`] : links;
}
