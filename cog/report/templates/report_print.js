// On paper: charts as wide as a page, so that their texts have the size of others, and every list open.

const PAPER_WIDTH = 680; // pixels; A4 and Letter have a little more between their margins

function beforePrint() {
  for (const view of Object.values(views)) view.signal("width", PAPER_WIDTH).run();
  for (const list of document.querySelectorAll("details.mistakes:not([open])")) {
    list.open = true;
    list.dataset.printed = "yes";
  }
}

function afterPrint() {
  window.dispatchEvent(new Event("resize")); // charts take the width of their boxes again
  for (const list of document.querySelectorAll("details.mistakes[data-printed]")) {
    list.open = false;
    delete list.dataset.printed;
  }
}

window.addEventListener("beforeprint", beforePrint);
window.addEventListener("afterprint", afterPrint);
