"use strict";
for (const table of document.querySelectorAll("table.board")) {
  const body = table.tBodies[0];
  table.tHead.querySelectorAll("th").forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const sorted = head.getAttribute("aria-sort");
      const down = sorted ? sorted !== "descending" : head.dataset.better !== "lower";
      table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.key;
      const compare = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "-" || y === "-") return (x === "-") - (y === "-");
        const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
        return down ? -order : order;
      };
      [...body.rows].sort(compare).forEach((row) => body.append(row));
    });
  });
}
const filter = document.getElementById("filter");
const count = document.getElementById("count");
filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/);
  let shown = 0;
  for (const item of document.querySelectorAll("[data-text]")) {
    item.hidden = !words.every((word) => item.dataset.text.toLowerCase().includes(word));
    if (item.tagName === "TR" && !item.hidden) shown += 1;
  }
  count.textContent = `${shown} rows shown`;
});
