// Conveniences; the page works without them.
"use strict";
for (const button of document.querySelectorAll("button[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  button.hidden = !source;
  button.addEventListener("click", () => {
    const range = document.createRange();
    range.selectNodeContents(source);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    // The clipboard needs https or localhost; what is selected can be copied by hand.
    const copied = navigator.clipboard ? navigator.clipboard.writeText(source.textContent) : Promise.reject();
    copied.then(() => { button.textContent = "copied"; }, () => { button.textContent = "selected"; });
  });
}
// Older browsers do not open what a link leads into.
function reveal() {
  const target = /^#c\d+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
  if (!target) return;
  for (let at = target.parentElement; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  target.parentElement.scrollIntoView();
  target.focus({ preventScroll: true });
}
addEventListener("hashchange", reveal);
reveal();
// The same cell again: the address does not change, yet its detail may have been closed.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#c']");
  if (link && link.getAttribute("href") === location.hash) { event.preventDefault(); reveal(); }
});
// Arrow keys walk over a heat map.
document.addEventListener("keydown", (event) => {
  const cell = event.target.closest && event.target.closest("table.map a.cell");
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!cell || !step) return;
  const field = cell.parentElement, row = field.parentElement, rows = [...row.parentElement.rows];
  const next = rows[rows.indexOf(row) + step[0]]?.cells[field.cellIndex + step[1]]?.querySelector("a.cell");
  if (next) { event.preventDefault(); next.focus(); }
});
