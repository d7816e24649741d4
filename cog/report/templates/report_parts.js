// What all parts of the page share: which are shown, and where the focus is.

// Parts of the page that need something to show. A chart that was hidden has had no width so far.
function showParts(name, there) {
  const parts = [...document.querySelectorAll(`[data-for="${name}"]`)];
  const appear = there && parts.some((part) => part.hidden);
  for (const part of parts) part.hidden = !there;
  if (appear && Object.keys(views).length) window.dispatchEvent(new Event("resize"));
}

// What is drawn again keeps the focus. If it is gone, what it was in has it.
function keepFocus(redraw) {
  const focused = document.activeElement;
  const key = focused?.dataset?.key;
  const box = focused?.closest("#legend, #groups");
  redraw();
  if (!key || !box) return;
  (box.querySelector(`[data-key="${CSS.escape(key)}"]`) ?? box.querySelector("button") ?? box).focus();
}
