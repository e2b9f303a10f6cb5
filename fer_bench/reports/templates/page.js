"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const byId = (id) => document.getElementById(id);
const [filter, count, choice] = ["filter", "count", "board"].map(byId);
const boards = all("section.board");
const boxes = all("#columns input");
const tableOf = (board) => board.querySelector("table.board");
const heads = (board) => [...tableOf(board).tHead.rows[0].cells];

// What the reader chose stands in the address, so that a link shows the same; what is as at first does not.
const first = {columns: shownColumns().join(), sort: boards.map(sorting)};
let waiting;
function remember() {
  clearTimeout(waiting); // Browsers refuse an address that changes with every key.
  waiting = setTimeout(() => {
    const state = new URLSearchParams();
    if (choice?.value) state.set("board", choice.value);
    if (filter.value) state.set("filter", filter.value);
    boards.forEach((board, place) => {
      if (sorting(board) !== first.sort[place]) state.append("sort", `${board.id} ${sorting(board)}`);
    });
    const opened = all("button.open[aria-expanded=true]").map((button) => button.closest("tr").id);
    if (opened.length) state.set("open", opened.join());
    const picked = all(".pick:checked").map((box) => box.closest("tr").id);
    if (picked.length) state.set("compare", picked.join());
    if (shownColumns().join() !== first.columns) state.set("columns", shownColumns().join());
    history.replaceState(null, "", `#${state}`);
  }, 100);
}
function restore() {
  if (location.hash && !location.hash.includes("=")) return showRows(); // a place on the page
  const state = new URLSearchParams(location.hash.slice(1));
  const listed = (name) => (state.get(name) ?? "").split(",");
  if (choice) choice.value = all("option", choice).some((option) => option.value === state.get("board")) ? state.get("board") : "";
  filter.value = state.get("filter") ?? "";
  const columns = (state.get("columns") ?? first.columns).split(",");
  boxes.forEach((box) => { box.checked = columns.includes(box.value); });
  const orders = new Map(state.getAll("sort").map((text) => [text.split(" ")[0], text]));
  boards.forEach((board, place) => {
    const [, name, order] = (orders.get(board.id) ?? `${board.id} ${first.sort[place]}`).split(" ");
    const head = heads(board).find((other) => other.dataset.name === name);
    if (head) sort(board, head, order !== "ascending");
  });
  all("button.open").forEach((button) => { setOpen(button, listed("open").includes(button.closest("tr").id)); });
  all(".pick").forEach((box) => { box.checked = listed("compare").includes(box.closest("tr").id); });
  boards.forEach(compare);
  showColumns();
  showRows();
  const target = byId(listed("open")[0]);
  if (target?.classList.contains("row")) target.scrollIntoView();
}

function shownColumns() { return boxes.filter((box) => box.checked).map((box) => box.value); }
function showColumns() {
  const shown = new Set(["method", ...shownColumns()]);
  for (const board of boards) {
    const visible = heads(board).map((head) => shown.has(head.dataset.name));
    for (const row of [tableOf(board).tHead.rows[0], ...all("tr.row", board)]) visible.forEach((kept, place) => { row.cells[place].hidden = !kept; });
  }
}

function showRows() {
  const words = filter.value.toLowerCase().split(/\s*[,/]?\s+/);
  let shown = 0;
  for (const board of boards) {
    board.hidden = Boolean(choice?.value) && board.id !== choice.value;
    for (const row of all("tr.row", board)) {
      row.hidden = !words.every((word) => row.dataset.text.toLowerCase().includes(word));
      showInside(row);
      if (!row.hidden && !board.hidden) shown += 1;
    }
  }
  count.textContent = `${shown} ${shown === 1 ? "row" : "rows"} shown`;
}
function setOpen(button, open) {
  button.setAttribute("aria-expanded", open);
  showInside(button.closest("tr"));
}
function showInside(row) {
  row.nextElementSibling.hidden = row.hidden || row.querySelector("button.open").getAttribute("aria-expanded") !== "true";
}

function sorting(board) {
  const head = board.querySelector("th[aria-sort]");
  return `${head.dataset.name} ${head.getAttribute("aria-sort")}`;
}
function sort(board, head, down) {
  board.querySelector("th[aria-sort]").removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const column = head.cellIndex;
  const key = (row) => row.cells[column].dataset.key;
  const order = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === "-" || y === "-") return (x === "-") - (y === "-");
    const rising = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
    return down ? -rising : rising;
  };
  const pairs = all("tr.row", board).sort(order).flatMap((row) => [row, row.nextElementSibling]);
  tableOf(board).tBodies[0].append(...pairs);
}

function make(name, text = "", children = []) {
  const element = document.createElement(name);
  element.append(...(text ? [text] : []), ...children);
  return element;
}
function compare(board) {
  const rows = all("tr.row", board).filter((row) => row.querySelector(".pick").checked);
  const [beside, bar] = [board.querySelector(".beside"), board.querySelector(".picked")];
  bar.hidden = !rows.length;
  bar.querySelector(".see").disabled = rows.length < 2;
  bar.querySelector(".see").textContent = rows.length < 2 ? "Pick one more row to compare" : `Compare ${rows.length} rows`;
  beside.hidden = rows.length < 2;
  beside.replaceChildren();
  if (beside.hidden) return;
  const names = rows.map((row) => row.querySelector(".open").textContent);
  const table = make("table", "", [make("thead", "", [make("tr", "", [make("td"), ...names.map((name) => make("th", name))])])]);
  const body = table.appendChild(make("tbody"));
  const line = (title, texts) => {
    if (texts.some((text) => text !== "-")) body.append(make("tr", "", [make("th", title), ...texts.map((text) => make("td", text))]));
  };
  heads(board).slice(1).forEach((head) => {
    line(head.textContent, rows.map((row) => row.cells[head.cellIndex].textContent));
    if (head.hasAttribute("data-main")) line(`difference to ${names[0]}`, rows.map((row) => difference(board, row, rows[0])));
  });
  const title = make("h3", "Side by side");
  title.tabIndex = -1;
  const scroll = make("div", "", [table]);
  scroll.className = "scroll";
  beside.append(title, scroll);
  const kinds = new Set(rows.flatMap((row) => all("figure", row.nextElementSibling).map((figure) => figure.dataset.file)));
  for (const kind of kinds) {
    const figures = rows.flatMap((row, place) => {
      const copy = all("figure", row.nextElementSibling).find((figure) => figure.dataset.file === kind)?.cloneNode(true);
      copy?.querySelector("figcaption").prepend(make("b", names[place]), ": ");
      return copy ? [copy] : [];
    });
    const group = make("div", "", figures);
    group.className = "charts";
    beside.append(group);
  }
}
function difference(board, row, other) {
  const lines = all("table.pairs tbody tr", board);
  const [at, to] = [row, other].map((each) => lines.findIndex((line) => line.dataset.row === each.id));
  if (at < 0 || to < 0 || at === to) return "-";
  const cell = lines[at].cells[to + 1];
  return `${cell.firstChild.textContent} (${cell.querySelector("small").textContent})`;
}

// A figure is saved as it is seen: its words, colours and drawings at the places where the browser put them.
const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
function plain(colour) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
  return {fill: `rgb(${red},${green},${blue})`, opacity: alpha / 255};
}
function element(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, typeof value === "number" ? Math.round(value * 100) / 100 : value);
  made.textContent = text;
  return made;
}
function draw(figure) {
  all(".scroll", figure).forEach((part) => { part.scrollLeft = 0; });
  const origin = figure.getBoundingClientRect(), drawn = [];
  let [width, height] = [0, 0];
  const place = (box) => {
    [width, height] = [Math.max(width, box.right - origin.left), Math.max(height, box.bottom - origin.top)];
    return {x: box.left - origin.left, y: box.top - origin.top, width: box.width, height: box.height};
  };
  const write = (node) => {
    const style = getComputedStyle(node.parentElement), size = parseFloat(style.fontSize), lines = [];
    for (const sign of node.data.matchAll(/\S|\s+/gu)) {
      const range = document.createRange();
      range.setStart(node, sign.index);
      range.setEnd(node, sign.index + sign[0].length);
      const box = range.getBoundingClientRect(), last = lines.at(-1), text = sign[0].trim();
      if (!box.height) continue; // a space at the end of a line
      if (last && Math.abs(last.top - box.top) < 2) Object.assign(last, {text: last.text + (text || " "), right: box.right});
      else if (text) lines.push({text, left: box.left, right: box.right, top: box.top, bottom: box.bottom});
    }
    for (const line of lines) {
      const {x, y, height: high} = place({...line, width: line.right - line.left, height: line.bottom - line.top});
      drawn.push(element("text", {x, y: y + high - 0.24 * size, "font-size": size, "font-weight": style.fontWeight, fill: plain(style.color).fill}, line.text));
    }
  };
  const copy = (svg) => {
    const {x, y, width: wide, height: high} = place(svg.getBoundingClientRect());
    const made = svg.cloneNode(true), [from, to] = [all("*", svg), all("*", made)];
    from.forEach((part, index) => {
      const style = getComputedStyle(part);
      for (const name of ["fill", "stroke"]) to[index].setAttribute(name, style[name] === "none" ? "none" : plain(style[name]).fill);
      if (style.strokeWidth !== "1px") to[index].setAttribute("stroke-width", style.strokeWidth);
      if (part.tagName === "text") to[index].setAttribute("font-size", style.fontSize);
      to[index].removeAttribute("class");
    });
    for (const [name, value] of Object.entries({x, y, width: wide, height: high, overflow: "visible"})) made.setAttribute(name, value);
    drawn.push(made);
  };
  const walk = (node) => {
    if (node.nodeType === Node.TEXT_NODE) write(node);
    if (node.nodeType !== Node.ELEMENT_NODE || node.matches("button") || !node.getClientRects().length) return;
    if (node.matches("svg")) return copy(node);
    const {fill, opacity} = plain(getComputedStyle(node).backgroundColor);
    // The background of a heading only hides what scrolls below it.
    if (opacity && node !== figure && !node.matches("th")) drawn.push(element("rect", {...place(node.getBoundingClientRect()), fill, "fill-opacity": opacity}));
    node.childNodes.forEach(walk);
  };
  figure.querySelectorAll(".scroll").forEach((part) => { part.scrollLeft = 0; });
  walk(figure);
  const whole = element("svg", {viewBox: `-8 -8 ${Math.ceil(width) + 16} ${Math.ceil(height) + 16}`, width: Math.ceil(width) + 16, height: Math.ceil(height) + 16, "font-family": "system-ui, sans-serif"});
  const paper = plain(getComputedStyle(document.body).backgroundColor).fill;
  whole.append(element("rect", {x: -8, y: -8, width: "100%", height: "100%", fill: paper}), ...drawn);
  return new XMLSerializer().serializeToString(whole);
}
function save(figure) {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([draw(figure)], {type: "image/svg+xml"}));
  link.download = `${figure.dataset.file.replace(/[^\w-]+/g, "-")}.svg`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

for (const figure of all("figure")) {
  const button = make("button", "Save SVG");
  button.type = "button";
  button.className = "save";
  figure.append(button);
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const board = button.closest("section.board");
  if (button.matches(".save")) return save(button.closest("figure"));
  if (button.matches(".open")) setOpen(button, button.getAttribute("aria-expanded") !== "true");
  if (button.matches("thead button")) {
    const head = button.closest("th"), sorted = head.getAttribute("aria-sort");
    sort(board, head, sorted ? sorted !== "descending" : head.dataset.better !== "lower");
  }
  if (button.matches(".clear")) {
    all(".pick", board).forEach((box) => { box.checked = false; });
    compare(board);
  }
  if (button.matches(".see")) {
    board.querySelector(".beside").scrollIntoView();
    board.querySelector(".beside h3").focus();
  }
  remember();
});
if (boards.length) {
  filter.addEventListener("input", () => { showRows(); remember(); });
  choice?.addEventListener("change", () => { showRows(); remember(); });
  boxes.forEach((box) => box.addEventListener("change", () => { showColumns(); remember(); }));
  boards.forEach((board) => board.addEventListener("change", (event) => {
    if (event.target.matches(".pick")) { compare(board); remember(); }
  }));
  addEventListener("hashchange", restore);
  restore();
}
