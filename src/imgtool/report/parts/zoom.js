// The zoom: one picture large, or two with a line between them that moves.

let seen = null; // the row, what can be shown for it, which two of these are, the stage asked for
let comeBack = null; // what leaving the zoom does with the row last seen and its stage

/** Pictures that can be put beside those of a row: its own, then those of its siblings. */
function offers(line) {
  const own = pictured.filter((column) => pictureAt(line, column)).map((column) => ({ line, column, text: pickName(column) }));
  const others = line.group.lines.filter((other) => other !== line).flatMap((other) =>
    pictured.filter((c) => pictureAt(other, c) && other.cells[c.place].row === other.id).map((column) => ({ line: other, column, text: `${pickName(column)}, row ${other.id}` })));
  return own.concat(others);
}

/** What stands beside a picture at first: its stage in another run, the stage before, a sibling. */
function besides(line, all, right) {
  const title = all[right]?.column.title;
  const twin = all.findIndex((offer, index) => index !== right && offer.line === line && offer.column.title === title);
  return twin >= 0 ? twin : right > 0 ? right - 1 : Math.min(1, all.length - 1);
}

/** Zooms a row; `back` takes the keyboard to the row last seen: where it is not given, in the grid. */
function openZoom(line, column, back = goTo) {
  const all = offers(line);
  const right = Math.max(all.findIndex((offer) => offer.line === line && offer.column === column), 0);
  // The stage asked for stays in mind on the way past rows that did not get so far.
  seen = { line, all, right, left: besides(line, all, right), column };
  fillPickers();
  drawZoom();
  if (zoom.open) return;
  comeBack = back;
  zoom.showModal();
  zoom.focus();
  at("facts").scrollTop = 0;
}

function fillPickers() {
  for (const pick of [at("left-pick"), at("right-pick")]) {
    const parts = [["This row", (offer) => offer.line === seen.line], ["Rows beside it", (offer) => offer.line !== seen.line]];
    pick.replaceChildren(...parts.map(([label, isIn]) => {
      const options = seen.all.flatMap((offer, index) => (isIn(offer) ? [option(index, offer.text)] : []));
      return options.length ? el("optgroup", { label }, ...options) : null;
    }).filter(Boolean));
  }
}

function show(img, offer) {
  const picture = offer && pictureAt(offer.line, offer.column);
  img.hidden = !picture;
  if (!picture) return img.removeAttribute("src");
  img.src = picture.uri;
  img.alt = `${offer.text}: ${offer.line.prompt}`;
  img.classList.toggle("small", isSmall(picture));
}

/** How large a picture is in the store, and here where that differs. */
function dimensions(picture) {
  if (!picture) return "This row has no picture";
  const full = `${picture.full[0]} × ${picture.full[1]}`;
  return picture.full[0] === picture.width ? full : `${full}, here ${picture.width} × ${picture.height}`;
}

function drawFrame(picture, isSplit) {
  const frame = at("frame");
  frame.hidden = !picture;
  frame.classList.toggle("split", isSplit);
  frame.classList.toggle("whole", Boolean(picture && isSmall(picture)));
  if (!picture) return;
  frame.style.setProperty("--ratio", picture.width / picture.height);
  frame.style.setProperty("--most", `${isSmall(picture) ? picture.width * 12 : Math.max(...picture.full) * 2}px`);
  frame.style.setProperty("--unit", `${picture.width}px`);
}

function drawZoom() {
  const { line, all, right, left } = seen;
  const isPair = all.length > 1;
  const isSplit = isPair && at("compare").checked;
  const rows = visible();
  const place = rows.indexOf(line);
  at("zoom-title").textContent = line.prompt || `Row ${line.id}`;
  at("zoom-title").title = line.prompt;
  at("zoom-place").textContent = `${place + 1} of ${rows.length}`;
  at("previous").disabled = place <= 0;
  at("next").disabled = place === rows.length - 1;
  show(at("right"), all[right]);
  show(at("left"), isSplit ? all[left] : null);
  const picture = all[right] && pictureAt(all[right].line, all[right].column);
  drawFrame(picture, isSplit);
  at("left-tool").hidden = !isSplit;
  at("compare-tool").hidden = !isPair;
  at("right-name").textContent = isSplit ? "Right" : "Picture";
  at("right-tool").hidden = !isPair;
  at("left-pick").value = left;
  at("right-pick").value = right;
  at("dimensions").textContent = dimensions(picture);
  slide();
  drawFacts();
}

function slide() {
  at("frame").style.setProperty("--at", `${at("slider").value}%`);
}

/** To another row, which shows the same stage. */
function step(amount) {
  const rows = visible();
  const next = rows[rows.indexOf(seen.line) + amount];
  if (next) openZoom(next, seen.column);
}

/** To another stage of the row. */
function turn(amount) {
  const own = seen.all.filter((offer) => offer.line === seen.line).length;
  const next = seen.right + amount;
  if (next < 0 || next >= own) return;
  openZoom(seen.line, seen.all[next].column);
}

function toggleCompare() {
  at("compare").checked = !at("compare").checked;
  drawZoom();
  if (at("frame").classList.contains("split")) at("slider").focus();
  else zoom.focus();
}
