"use strict";
// Everything works by events that reach the document: a page may replace its body at any time.
const all = (query, at = document) => [...at.querySelectorAll(query)];

// -- the table of steps: only those whose text and status fit are shown --
function filter(form) {
  const text = form.elements.text.value.trim().toLowerCase();
  const status = form.elements.status.value;
  let shown = 0;
  for (const row of all("tbody[data-s]")) {
    const fits = (!status || row.dataset.s === status) && row.textContent.toLowerCase().includes(text);
    row.hidden = !fits;
    shown += fits;
  }
  form.querySelector("output").textContent = `${shown.toLocaleString("en")} shown`;
}
document.addEventListener("input", (event) => {
  const form = event.target.closest("form.filter");
  if (form) filter(form);
});
document.addEventListener("submit", (event) => { if (event.target.matches("form.filter")) event.preventDefault(); });

// -- the graph: a step that is pointed at or focused shows what it waits for and what waits for it --
function light(event) {
  const node = event.target.closest?.(".graph [data-n]");
  for (const graph of all(".graph svg")) {
    graph.classList.toggle("lit", graph.contains(node));
    for (const part of all(".near", graph)) part.classList.remove("near");
    if (!graph.contains(node)) continue;
    const near = new Set([node.dataset.n]);
    for (const edge of all("[data-e]", graph)) {
      const ends = edge.dataset.e.split(" ");
      if (!ends.includes(node.dataset.n)) continue;
      edge.classList.add("near");
      ends.forEach((end) => near.add(end));
    }
    for (const one of all("[data-n]", graph)) one.classList.toggle("near", near.has(one.dataset.n));
  }
}
for (const kind of ["mouseover", "focusin"]) document.addEventListener(kind, light);

// What needs the script is shown by the style.
document.documentElement.classList.add("js");
