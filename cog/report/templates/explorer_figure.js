// Similarity over rank, a curve a level, with a mark at the chosen concept.

const SVG = "http://www.w3.org/2000/svg";

function makeFigure(model, container, choose) {
  const { rank, similarity, level, node } = model.concepts;
  const top = model.mostSimilar, bottom = Math.min(0, similarity.at(-1));
  const x = (at) => (100 * (rank[at] - 0.5)) / model.eligible;
  const y = (at) => 100 - (100 * (Math.min(similarity[at], top) - bottom)) / (top - bottom);
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 100 100");
  drawing.setAttribute("preserveAspectRatio", "none"); // labels are outside the drawing, so that none is distorted
  const plot = element("div", { class: "explorer-plot", "aria-hidden": "true" });
  plot.append(drawing);
  const spans = model.levels.map((number, kind) => {
    const rows = [...level.keys()].filter((at) => level[at] === number);
    drawing.append(...levelArea(rows.map((at) => [x(at), y(at)]), colourOf(model, kind)));
    const ends = [similarity[rows[0]], similarity[rows.at(-1)]];
    plot.append(element("span", { class: "explorer-band",
      style: `left:${x(rows[0])}%;width:${x(rows.at(-1)) - x(rows[0])}%` },
      badge(model, kind), element("small", {}, ` ${brief(ends[0])} – ${brief(ends[1])}`)));
    return `L${number} from ${similar(ends[0])} to ${similar(ends[1])}`;
  });
  const dot = element("span", { class: "explorer-dot", hidden: "" });
  plot.append(dot);
  plot.addEventListener("click", (event) => {
    const box = plot.getBoundingClientRect();
    const wanted = ((event.clientX - box.left) / box.width) * model.eligible + 0.5;
    const distance = (at) => Math.abs(rank[at] - wanted);
    choose(node[[...rank.keys()].reduce((a, b) => (distance(b) < distance(a) ? b : a))]);
  });
  container.append(plot, element("p", { class: "quiet" },
    `Similarity to the nearest seen concept over rank, 1 to ${whole(model.eligible)}. `,
    element("span", { class: "explorer-spoken" }, spans.join("; "))));
  return (chosen) => {
    const at = chosen < 0 ? -1 : model.row[chosen];
    dot.hidden = at < 0;
    if (at >= 0) Object.assign(dot.style, { left: `${x(at)}%`, top: `${y(at)}%` });
  };
}

function brief(number) {
  return number >= HUGE ? "∞" : number.toFixed(2);
}

// The curve of one level and the area below it; every tenth point is enough.
function levelArea(points, colour) {
  const few = points.filter((_, at) => at % 10 === 0 || at === points.length - 1);
  const line = few.map(([x, y]) => `${x.toFixed(2)},${y.toFixed(2)}`).join(" ");
  const shape = document.createElementNS(SVG, "polygon");
  shape.setAttribute("points", `${few[0][0]},100 ${line} ${few.at(-1)[0]},100`);
  shape.setAttribute("class", `explorer-area kind-${colour}`);
  return [shape];
}
