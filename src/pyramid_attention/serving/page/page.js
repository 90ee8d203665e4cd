// The page: an image in, its segmentation on the screen. The network runs on the server that sent this page, or, where
// `pan export --web` wrote it, in a worker of this browser; `models.json` says which. Nothing is asked of anybody else.

import { countLabels, encodePng, labelsFromMasks, toGeoJson } from "./segmentation.js";

const $ = (id) => document.getElementById(id);
const MOST_DRAWN = 16_000_000; // pixels of a canvas, which some browsers limit
const VIEWS = { classes: drawClasses, confidence: drawConfidence, attention: drawAttention }; // what may be drawn over an image, by its radio button

let config; // models.json
let backend; // runs models: ServerBackend or BrowserBackend
let image = null; // {bitmap, width, height, name, file}; the camera's have no file
let panes = []; // one a model
let active = 0; // the pane that legend and downloads are about
const hidden = new Set(); // names of classes that are not drawn
const chosen = new Set(); // names of models
const view = { zoom: 1, x: 0, y: 0, split: 0.5, drawn: "classes" }; // x and y: the image's point in the middle
let pointer = null; // the pixel that is asked about, {x, y}
let work = null; // of the image that is being segmented, to give it up
let camera = null;
let begun = false; // somebody has asked for an image or the camera: from then on the page must not be loaded again by itself

/* ---- Running models -------------------------------------------------------------------------------------------- */

/** What a model said of an image. */
class Result {
  constructor(labels, confidence, milliseconds) {
    Object.assign(this, { labels, confidence, milliseconds, counts: countLabels(labels) });
  }
}

class ServerBackend {
  where = "on this server";
  privacy = "The image goes to the server that sent this page, and is not kept there.";

  async segment(model, { bitmap, file, width, height }, signal) {
    const began = performance.now();
    const form = new FormData();
    form.set("image", file ?? (await jpegOf(bitmap)));
    form.set("model", model.name);
    form.set("confidence", "true");
    const answer = await ask("v1/segment", { method: "POST", body: form, headers: { Accept: "application/json" }, signal });
    const found = await answer.json();
    if (found.width !== width || found.height !== height) {
      throw new Error("The browser and the server do not agree on the size of this image; save it as PNG or JPEG.");
    }
    const labels = labelsFromMasks(height, width, found.classes);
    return new Result(labels, await greyPixels(found.confidence.png), performance.now() - began);
  }

  /** What a model that keeps its attention attends to: the answer of /v1/explain. */
  async attention(model, { bitmap, file }) {
    const form = new FormData();
    form.set("image", file ?? (await jpegOf(bitmap)));
    form.set("model", model.name);
    return (await ask("v1/explain", { method: "POST", body: form })).json();
  }
}

/** The bytes of a grey PNG in base64. */
async function greyPixels(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes]), { colorSpaceConversion: "none" });
  return pixelsOf(bitmap).filter((_, index) => index % 4 === 0);
}

class BrowserBackend {
  where = "in this browser";
  privacy = "The image stays in this browser: the network comes to it.";

  constructor() {
    this.waiting = new Map();
    this.number = 0;
    this.start();
  }

  start() {
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data: { id, error, ...result } }) => {
      const { resolve, reject } = this.waiting.get(id);
      this.waiting.delete(id);
      if (error) reject(new Error(error));
      else resolve(result);
    };
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.waiting.forEach(({ reject }) => reject(new Error("The network cannot be run here: the worker does not start.")));
      this.waiting.clear();
    };
  }

  call(work, message, transfer = []) {
    return new Promise((resolve, reject) => {
      this.waiting.set(++this.number, { resolve, reject });
      this.worker.postMessage({ id: this.number, work, ...message }, transfer);
    });
  }

  /** Load what a model needs before there is an image; what goes wrong is told with the image. */
  prepare(model) {
    this.call("prepare", { model }).catch(() => {});
  }

  async segment(model, { bitmap, width, height }, signal) {
    const rgba = pixelsOf(bitmap);
    const gpu = $("gpu-on").checked;
    const { labels, milliseconds } = await this.call("segment", { model, gpu, width, height, rgba }, [rgba.buffer]);
    signal.throwIfAborted();
    return new Result(labels, null, milliseconds);
  }

  /** Of the image that was last segmented by a model. */
  async confidence(model) {
    return (await this.call("confidence", { model })).confidence;
  }
}

function pixelsOf(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
}

/** Fetch from this page's server; what it refuses becomes an error with its own words. */
async function ask(path, options = {}) {
  const key = sessionStorage.getItem("key");
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it still running, and are you still connected?");
  }
  if (answer.status === 401) {
    await askForKey();
    return ask(path, options);
  }
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({}));
    throw new Error(said.error ?? `The server answers with ${answer.status} ${answer.statusText}.`);
  }
  return answer;
}

function askForKey() {
  $("key").showModal();
  return new Promise((resolve) => {
    $("key").addEventListener(
      "close",
      () => {
        const bytes = new TextEncoder().encode($("key-value").value); // a header holds bytes
        sessionStorage.setItem("key", String.fromCharCode(...bytes));
        resolve();
      },
      { once: true },
    );
  });
}

/* ---- Images ---------------------------------------------------------------------------------------------------- */

async function openImage(file, name = file.name ?? "image") {
  begun = true;
  stopCamera();
  $("alert").replaceChildren();
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    return complain(`${name} is not an image that this browser can show. JPEG, PNG and WebP are sure to work.`);
  }
  image = { bitmap, file, name, width: bitmap.width, height: bitmap.height };
  Object.assign(view, { zoom: 1, x: image.width / 2, y: image.height / 2 });
  pointer = null;
  hidden.clear();
  $("start").hidden = true;
  $("work").hidden = false;
  $("stage").style.setProperty("--tall", `${Math.ceil((innerWidth * image.height) / image.width)}px`);
  await segmentImage();
  return undefined;
}

/** Segment the image by all chosen models, each in its own pane. */
async function segmentImage() {
  work?.abort();
  work = new AbortController();
  const { signal } = work;
  const models = config.models.filter(({ name }) => chosen.has(name));
  panes = models.map((model) => new Pane(model));
  active = 0;
  $("panes").replaceChildren(...panes.map((pane) => pane.element));
  layOut();
  showLegend();
  for (const [index, pane] of panes.entries()) {
    busy(panes.length > 1 ? `${pane.model.name}, ${index + 1} of ${panes.length}` : "Segmenting");
    try {
      pane.show(await backend.segment(pane.model, image, signal));
      showLegend();
      findConfidence(pane);
    } catch (error) {
      if (signal.aborted) return;
      complain(error.message);
    }
  }
  busy("");
  $("summary").textContent = summaryOf(panes[active]);
  findAttention();
}

const PARTS = { attention: "Pyramid attention, places", global: "Global branch, channels" };
for (const stride of [16, 8, 4]) {
  PARTS[`channels_${stride}`] = `Gate at 1/${stride}, channels`;
  PARTS[`places_${stride}`] = `Gate at 1/${stride}, places`;
}

/** Ask for the attention of each pane where it is to be looked at and not known yet. */
async function findAttention() {
  const own = panes;
  for (const pane of own.filter(({ model, result }) => view.drawn === "attention" && model.attention && result && !camera)) {
    try {
      pane.result.attention ??= await backend.attention(pane.model, image);
    } catch (error) {
      complain(error.message);
    }
    if (own !== panes) return; // another image has come in between
    pane.paint();
  }
  showAttention();
}

/** List the parts of the active pane's network, and the weights of channels where they are chosen. */
function showAttention() {
  const { model, result } = panes[active] ?? {};
  $("attention-view").hidden = !model?.attention;
  const found = view.drawn === "attention" ? result?.attention : null;
  $("attention").hidden = !found;
  if (!found) return;
  const select = $("attention-part");
  const names = [...found.maps, ...found.channels].map(({ name }) => name);
  if ([...select.options].map(({ value }) => value).join() !== names.join()) {
    select.replaceChildren(...names.map((name) => Object.assign(make("option", "", PARTS[name]), { value: name })));
  }
  const chosen = found.channels.find(({ name }) => name === select.value);
  $("ramp").hidden = Boolean(chosen);
  const means = chosen && found.class_of_channels.length ? classMeans(chosen.values, found.class_of_channels) : [];
  const most = Math.max(...means.map(([, mean]) => mean), 1e-9);
  $("attention-channels").replaceChildren(
    ...means.map(([label, mean]) => {
      const item = make("li");
      item.append(make("span", "", model.classes[label]), make("span", "bar"), make("span", "share", mean.toFixed(3)));
      item.children[1].style.setProperty("--share", Math.max(0, mean / most));
      item.children[1].style.setProperty("--colour", `rgb(${model.colours[label].join(" ")})`);
      return item;
    }),
  );
}

/** Of each class that a channel counts for, the mean of its channels' values, the largest first. */
function classMeans(values, owners) {
  const sums = new Map();
  owners.forEach((label, channel) => {
    const [sum, count] = sums.get(label) ?? [0, 0];
    sums.set(label, [sum + values[channel], count + 1]);
  });
  return [...sums].map(([label, [sum, count]]) => [label, sum / count]).sort(([, one], [, other]) => other - one);
}

/** Where the confidence does not come with the labels, it is computed once these are shown. */
async function findConfidence(pane) {
  if (pane.result.confidence || camera) return;
  try {
    pane.result.confidence = await backend.confidence(pane.model);
    if (view.drawn === "confidence") pane.paint();
    showReadout();
  } catch {
    // The next image has come in between.
  }
}

function summaryOf(pane) {
  if (!pane?.result) return "";
  const parts = presentIn(pane).map(({ name, share }) => `${name} ${percent(share)}`);
  return `${image.name} shows ${parts.join(", ")}.`;
}

/* ---- Panes: the image, and what is drawn over it ------------------------------------------------------------------ */

class Pane {
  constructor(model) {
    this.model = model;
    this.result = null;
    this.element = make("div", "pane");
    this.sheet = this.element.appendChild(make("div", "sheet"));
    this.scale = Math.min(1, Math.sqrt(MOST_DRAWN / (image.width * image.height)));
    this.photo = this.sheet.appendChild(this.canvas());
    this.overlay = this.sheet.appendChild(this.canvas());
    this.drawImage();
    if (chosen.size > 1) this.element.appendChild(make("div", "name", model.name));
  }

  canvas() {
    const canvas = make("canvas");
    canvas.width = Math.max(1, Math.round(image.width * this.scale));
    canvas.height = Math.max(1, Math.round(image.height * this.scale));
    canvas.style.width = `${image.width}px`;
    canvas.style.height = `${image.height}px`;
    return canvas;
  }

  drawImage() {
    this.photo.getContext("2d").drawImage(image.bitmap, 0, 0, this.photo.width, this.photo.height);
  }

  show(result) {
    this.result = result;
    this.paint();
    this.element.querySelector(".name")?.replaceChildren(`${this.model.name} · ${Math.round(result.milliseconds)} ms`);
  }

  paint() {
    if (!this.result) return;
    const { width, height } = this.overlay;
    const drawn = new ImageData(width, height);
    VIEWS[view.drawn](this, new Uint32Array(drawn.data.buffer), width, height);
    this.overlay.getContext("2d").putImageData(drawn, 0, 0);
  }

  /** Put the view's point into the middle. */
  place() {
    const { clientWidth, clientHeight } = this.element;
    const fit = Math.min(clientWidth / image.width, clientHeight / image.height);
    const scale = fit * view.zoom;
    const left = clientWidth / 2 - view.x * scale, top = clientHeight / 2 - view.y * scale;
    this.sheet.style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
    for (const canvas of [this.photo, this.overlay]) canvas.classList.toggle("sharp", scale * this.scale > 2);
    const cut = comparing() ? (clientWidth * view.split - left) / scale : 0;
    this.overlay.style.clipPath = `inset(0 0 0 ${Math.max(0, cut)}px)`;
    this.overlay.style.opacity = $("opacity").value / 100;
    this.geometry = { scale, left, top };
    this.cross?.remove();
    if (pointer?.byKeys) {
      this.cross = this.element.appendChild(make("div", "cross"));
      this.cross.style.left = `${left + (pointer.x + 0.5) * scale}px`;
      this.cross.style.top = `${top + (pointer.y + 0.5) * scale}px`;
    }
  }

  /** The image's point under a place of the screen. */
  pointAt(clientX, clientY) {
    const box = this.element.getBoundingClientRect();
    const { scale, left, top } = this.geometry;
    return { x: (clientX - box.left - left) / scale, y: (clientY - box.top - top) / scale };
  }
}

/** Of each row and column of a drawing, the row and column of the image. */
function* placesOf(width, height) {
  const columns = Uint32Array.from({ length: width }, (_, x) => Math.floor(((x + 0.5) * image.width) / width));
  for (let y = 0; y < height; y++) yield [y * width, Math.floor(((y + 0.5) * image.height) / height) * image.width, columns];
}

const rgba = ([red, green, blue], alpha = 255) => ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;

function drawClasses({ model, result }, drawn, width, height) {
  const colours = new Uint32Array(256);
  model.classes.forEach((name, index) => (colours[index] = hidden.has(name) ? 0 : rgba(model.colours[index])));
  for (const [to, from, columns] of placesOf(width, height)) {
    for (let x = 0; x < width; x++) drawn[to + x] = colours[result.labels[from + columns[x]]];
  }
}

const RAMP = [[253, 231, 37], [94, 201, 98], [33, 145, 140], [59, 82, 139], [68, 1, 84]]; // viridis, from unsure to sure

function rampColour(share) {
  const place = Math.min(share, 0.9999) * (RAMP.length - 1), step = Math.floor(place), part = place - step;
  return RAMP[step].map((value, channel) => Math.round(value + (RAMP[step + 1][channel] - value) * part));
}

function drawConfidence({ model, result }, drawn, width, height) {
  if (!result.confidence) return;
  const least = 255 / model.classes.length; // nobody is less sure than who guesses
  const colours = Uint32Array.from({ length: 256 }, (_, value) => rgba(rampColour(Math.max(0, (value - least) / (255 - least)))));
  const off = new Uint8Array(256);
  model.classes.forEach((name, index) => (off[index] = hidden.has(name)));
  for (const [to, from, columns] of placesOf(width, height)) {
    for (let x = 0; x < width; x++) {
      const place = from + columns[x];
      drawn[to + x] = off[result.labels[place]] ? 0 : colours[result.confidence[place]];
    }
  }
}

/** The chosen map over the image, bilinear between its places, from its least value to its largest. */
function drawAttention({ result }, drawn, width, height) {
  const found = result.attention;
  const map = found?.maps.find(({ name }) => name === $("attention-part").value) ?? ($("attention-part").value ? null : found?.maps[0]);
  if (!map) return;
  const [least, most] = [Math.min, Math.max].map((pick) => map.values.reduce((one, other) => pick(one, other)));
  const colours = Uint32Array.from({ length: 256 }, (_, value) => rgba(rampColour(1 - value / 255)));
  const between = (index, pixels, places, covered) => {
    const place = Math.max(0, Math.min(places - 1, ((index + 0.5) / pixels) * covered * places - 0.5));
    const below = Math.floor(place);
    return [below, Math.min(below + 1, places - 1), place - below];
  };
  const columns = Array.from({ length: width }, (_, x) => between(x, width, map.width, found.covered[1]));
  for (let y = 0; y < height; y++) {
    const [above, under, down] = between(y, height, map.height, found.covered[0]);
    const at = (row, [left, right, across]) => {
      const one = map.values[row * map.width + left];
      return one + (map.values[row * map.width + right] - one) * across;
    };
    for (let x = 0; x < width; x++) {
      const value = at(above, columns[x]) * (1 - down) + at(under, columns[x]) * down;
      drawn[y * width + x] = colours[Math.round((255 * (value - least)) / Math.max(most - least, 1e-9))];
    }
  }
}

const comparing = () => $("compare").checked && panes.length === 1;

/** Size the panes, and put everything where it belongs. */
function layOut() {
  if (!panes.length) return;
  const { clientWidth, clientHeight } = $("stage");
  const scale = (across) => {
    const down = Math.ceil(panes.length / across);
    return Math.min(clientWidth / across / image.width, clientHeight / down / image.height);
  };
  const across = panes.map((_, index) => index + 1).reduce((best, count) => (scale(count) > scale(best) ? count : best));
  $("panes").style.gridTemplateColumns = `repeat(${across}, minmax(0, 1fr))`;
  move(view.x, view.y, view.zoom);
}

/** Look at a point of the image, as close as the image allows. */
function move(x, y, zoom) {
  view.zoom = Math.min(Math.max(zoom, 1), 64);
  const { clientWidth, clientHeight } = panes[0].element;
  const scale = Math.min(clientWidth / image.width, clientHeight / image.height) * view.zoom;
  const within = (value, side, room) => {
    const margin = room / scale / 2;
    return side <= 2 * margin ? side / 2 : Math.min(Math.max(value, margin), side - margin);
  };
  view.x = within(x, image.width, clientWidth);
  view.y = within(y, image.height, clientHeight);
  for (const [index, pane] of panes.entries()) {
    pane.place();
    pane.element.classList.toggle("active", panes.length > 1 && index === active);
  }
  $("compare-row").hidden = panes.length > 1;
  $("divider").hidden = !comparing();
  $("divider").style.left = `${view.split * 100}%`;
  $("divider").ariaValueNow = Math.round(view.split * 100);
  $("zoom-level").textContent = `${Math.round(view.zoom * 100)} %`;
}

function zoomBy(factor, point = view) {
  const zoom = Math.min(Math.max(view.zoom * factor, 1), 64);
  const kept = view.zoom / zoom; // the point stays where it is on the screen
  move(point.x + (view.x - point.x) * kept, point.y + (view.y - point.y) * kept, zoom);
}

/* ---- Legend and readout ------------------------------------------------------------------------------------------ */

function percent(share) {
  if (share > 0 && share < 0.001) return "< 0.1 %";
  if (share < 1 && share > 0.99) return "> 99 %";
  return `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

/** The classes in a pane's label map, the largest first. */
function presentIn({ model, result }) {
  return model.classes
    .map((name, index) => ({ name, colour: model.colours[index], share: result.counts[index] / result.labels.length }))
    .filter(({ share }) => share > 0)
    .sort((one, other) => other.share - one.share);
}

function showLegend() {
  const pane = panes[active];
  const done = Boolean(pane?.result);
  for (const id of ["save-labels", "save-overlay", "save-polygons"]) $(id).disabled = !done;
  $("legend-all").hidden = !hidden.size;
  $("facts").textContent = done
    ? `${pane.model.name} · ${image.width} × ${image.height} pixels · ${Math.round(pane.result.milliseconds)} ms ${backend.where}`
    : "";
  const items = done ? presentIn(pane).map(legendItem) : [];
  $("legend").replaceChildren(...items);
  showAttention();
}

function legendItem({ name, colour, share }) {
  const item = make("li", hidden.has(name) ? "off" : "");
  const label = item.appendChild(make("label"));
  const box = label.appendChild(Object.assign(make("input"), { type: "checkbox", checked: !hidden.has(name) }));
  box.addEventListener("change", () => {
    if (box.checked) hidden.delete(name);
    else hidden.add(name);
    changeClasses(name, "input");
  });
  label.appendChild(swatch(colour));
  label.appendChild(make("span", "title", name));
  label.appendChild(make("span", "share", percent(share)));
  const bar = item.appendChild(make("span", "bar"));
  bar.style.setProperty("--share", share);
  bar.style.setProperty("--colour", `rgb(${colour.join(" ")})`);
  const only = item.appendChild(make("button", "only plain", "Only"));
  only.type = "button";
  only.ariaLabel = `Only ${name}`;
  only.addEventListener("click", () => {
    hidden.clear();
    for (const pane of panes) pane.model.classes.filter((other) => other !== name).forEach((other) => hidden.add(other));
    changeClasses(name, "button");
  });
  item.dataset.name = name;
  return item;
}

/** Draw again after classes were turned on or off; the focus stays on the class's control of that kind. */
function changeClasses(name, kind) {
  panes.forEach((pane) => pane.paint());
  showLegend();
  [...$("legend").children].find((item) => item.dataset.name === name)?.querySelector(kind).focus();
}

function swatch(colour) {
  const element = make("span", "swatch");
  element.style.background = `rgb(${colour.join(" ")})`;
  return element;
}

function showReadout() {
  const pane = panes[active];
  const box = $("readout");
  if (!pane?.result || !pointer) {
    box.replaceChildren(make("span", "small", matchMedia("(hover: none)").matches ? "Touch the image" : "Point at the image"));
    return;
  }
  const place = pointer.y * image.width + pointer.x;
  const label = pane.result.labels[place];
  const sure = pane.result.confidence ? percent(pane.result.confidence[place] / 255) : "";
  box.replaceChildren(
    swatch(pane.model.colours[label] ?? [0, 0, 0]),
    make("strong", "", pane.model.classes[label] ?? "void"),
    make("span", "share", sure && `${sure} sure`),
  );
}

function pointAt(x, y, byKeys = false) {
  const inside = x >= 0 && y >= 0 && x < image.width && y < image.height;
  pointer = inside ? { x: Math.floor(x), y: Math.floor(y), byKeys } : null;
  if (byKeys) panes.forEach((pane) => pane.place());
  showReadout();
}

/* ---- Pointer, fingers, keys ---------------------------------------------------------------------------------------- */

function listenToStage() {
  const stage = $("panes");
  const fingers = new Map();
  let moved = false;

  const paneOf = (event) => panes.findIndex((pane) => pane.element.contains(event.target));
  const middle = () => {
    const all = [...fingers.values()];
    const sum = all.reduce((total, { x, y }) => ({ x: total.x + x, y: total.y + y }), { x: 0, y: 0 });
    const [one, other] = all;
    return { x: sum.x / all.length, y: sum.y / all.length, apart: other ? Math.hypot(one.x - other.x, one.y - other.y) : 0 };
  };

  stage.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    stage.setPointerCapture(event.pointerId);
    moved = false;
    const index = paneOf(event);
    if (index >= 0 && index !== active) {
      active = index;
      layOut();
      showLegend();
    }
  });
  stage.addEventListener("pointermove", (event) => {
    if (!panes.length) return;
    if (!fingers.has(event.pointerId)) {
      const index = paneOf(event);
      if (index < 0) return;
      if (index !== active) {
        active = index;
        layOut();
        showLegend();
      }
      const { x, y } = panes[index].pointAt(event.clientX, event.clientY);
      pointAt(x, y);
      return;
    }
    const before = middle();
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const after = middle();
    const { scale } = panes[active].geometry;
    if (Math.hypot(after.x - before.x, after.y - before.y) > 1) moved = true;
    stage.classList.toggle("panning", moved);
    move(view.x - (after.x - before.x) / scale, view.y - (after.y - before.y) / scale, view.zoom);
    if (before.apart && after.apart) zoomBy(after.apart / before.apart, panes[active].pointAt(after.x, after.y));
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    stage.addEventListener(kind, (event) => {
      fingers.delete(event.pointerId);
      stage.classList.remove("panning");
      if (moved || !panes.length) return;
      const { x, y } = panes[active].pointAt(event.clientX, event.clientY);
      pointAt(x, y);
    });
  }
  stage.addEventListener("pointerleave", () => {
    if (pointer && !pointer.byKeys) pointAt(-1, -1);
  });
  stage.addEventListener("dblclick", (event) => zoomBy(2, panes[active].pointAt(event.clientX, event.clientY)));
  stage.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      if (!panes.length) return;
      zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), panes[active].pointAt(event.clientX, event.clientY));
    },
    { passive: false },
  );
  stage.addEventListener("keydown", (event) => {
    if (!panes.length || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = Math.max(1, Math.round(Math.max(image.width, image.height) / 40 / view.zoom)) * (event.shiftKey ? 5 : 1);
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const arrow = arrows[event.key];
    if (arrow) {
      const from = pointer ?? { x: Math.floor(view.x), y: Math.floor(view.y) };
      const x = Math.min(Math.max(from.x + arrow[0] * step, 0), image.width - 1);
      const y = Math.min(Math.max(from.y + arrow[1] * step, 0), image.height - 1);
      if (view.zoom > 1) move(x, y, view.zoom);
      pointAt(x, y, true);
    } else if (event.key === "+" || event.key === "=") zoomBy(1.5, pointer ?? view);
    else if (event.key === "-") zoomBy(1 / 1.5, pointer ?? view);
    else if (event.key === "0") move(image.width / 2, image.height / 2, 1);
    else if (event.key === "c") $("compare").click();
    else return;
    event.preventDefault();
  });
  new ResizeObserver(() => panes.length && layOut()).observe($("stage"));
}

function listenToDivider() {
  const divider = $("divider");
  const to = (share) => {
    view.split = Math.min(Math.max(share, 0), 1);
    layOut();
  };
  divider.addEventListener("pointerdown", (event) => divider.setPointerCapture(event.pointerId));
  divider.addEventListener("pointermove", (event) => {
    if (!divider.hasPointerCapture(event.pointerId)) return;
    const box = $("stage").getBoundingClientRect();
    to((event.clientX - box.left) / box.width);
  });
  divider.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: view.split - 0.02, ArrowRight: view.split + 0.02, Home: 0, End: 1 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    to(steps[event.key]);
  });
}

/* ---- Camera -------------------------------------------------------------------------------------------------------- */

async function startCamera() {
  begun = true;
  $("alert").replaceChildren();
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 640 } } });
  } catch (error) {
    const why = { NotAllowedError: "This page may not use the camera; allow it in the browser.", NotFoundError: "There is no camera." };
    return complain(why[error.name] ?? `The camera cannot be used${navigator.mediaDevices ? `: ${error.message}` : " on a page without https."}`);
  }
  stopCamera();
  work?.abort();
  const video = Object.assign(make("video"), { srcObject: stream, muted: true, playsInline: true });
  await video.play();
  // It plays before its first image is there, and until then no bitmap can be made of it.
  if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA)
    await new Promise((resolve) => video.addEventListener("loadeddata", resolve, { once: true }));
  camera = { stream, video };
  stream.getVideoTracks()[0].addEventListener("ended", () => {
    if (camera?.stream !== stream) return;
    stopCamera();
    complain("The camera has gone away.");
  });
  $("live").hidden = false;
  $("start").hidden = true;
  $("work").hidden = false;
  runCamera(camera);
  return undefined;
}

async function runCamera(own) {
  const model = config.models.find(({ name }) => chosen.has(name));
  const { signal } = (work = new AbortController());
  let smooth = 0;
  while (camera === own) {
    const began = performance.now();
    try {
      const bitmap = await createImageBitmap(own.video);
      image = { bitmap, name: "camera.jpg", width: bitmap.width, height: bitmap.height };
      const result = await backend.segment(model, image, signal);
      if (camera !== own) return;
      if (panes.length !== 1 || panes[0].photo.width !== bitmap.width || panes[0].photo.height !== bitmap.height) {
        Object.assign(view, { zoom: 1, x: image.width / 2, y: image.height / 2 });
        panes = [new Pane(model)];
        active = 0;
        $("panes").replaceChildren(panes[0].element);
      }
      panes[0].drawImage();
      panes[0].show(result);
      layOut();
      showLegend();
      showReadout();
      const seconds = (performance.now() - began) / 1000;
      smooth = smooth ? 0.8 * smooth + 0.2 * seconds : seconds;
      $("facts").textContent += ` · ${(1 / smooth).toFixed(1)} images a second`;
    } catch (error) {
      if (camera !== own) return;
      stopCamera();
      complain(error.message);
    }
  }
}

async function jpegOf(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
}

function stopCamera() {
  camera?.stream.getTracks().forEach((track) => track.stop());
  camera = null;
  $("live").hidden = true;
}

/* ---- Downloads ------------------------------------------------------------------------------------------------------ */

function save(blob, suffix) {
  const link = make("a");
  link.href = URL.createObjectURL(blob);
  link.download = image.name.replace(/\.[^.]*$/, "") + suffix;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

async function saveLabels() {
  const { model, result } = panes[active];
  const palette = Array.from({ length: 256 }, (_, index) => model.colours[index] ?? [0, 0, 0]);
  save(await encodePng(result.labels, image.height, image.width, palette), ".png");
}

async function saveOverlay() {
  const { photo, overlay } = panes[active];
  const canvas = new OffscreenCanvas(photo.width, photo.height);
  const context = canvas.getContext("2d");
  context.drawImage(photo, 0, 0);
  context.globalAlpha = $("opacity").value / 100;
  context.drawImage(overlay, 0, 0);
  save(await canvas.convertToBlob({ type: "image/png" }), "_overlay.png");
}

function savePolygons() {
  const { model, result } = panes[active];
  const text = JSON.stringify(toGeoJson(result.labels, image.height, image.width, model.classes));
  save(new Blob([text], { type: "application/geo+json" }), ".geojson");
}

/* ---- Small things ----------------------------------------------------------------------------------------------------- */

function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function busy(text) {
  $("busy").hidden = !text;
  $("busy-text").textContent = text;
  $("panes").ariaBusy = text ? "true" : "false";
}


function complain(text) {
  busy("");
  const message = make("p");
  message.append(make("span", "", text));
  const close = Object.assign(make("button", "plain", "Close"), { type: "button" });
  close.addEventListener("click", () => message.remove());
  message.append(close);
  $("alert").replaceChildren(message);
}

function listModels() {
  const several = config.models.length > 1 || config.webgpu;
  $("models").hidden = !several;
  const title = () => (chosen.size === 1 ? [...chosen][0] : `${chosen.size} models`);
  $("models-chosen").textContent = title();
  for (const { name } of config.models) {
    const label = $("models-list").appendChild(make("label", "row"));
    const box = label.appendChild(Object.assign(make("input"), { type: "checkbox", checked: chosen.has(name) }));
    label.append(name);
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(name);
      else if (chosen.size > 1) chosen.delete(name);
      else box.checked = true; // one there must be
      $("models-chosen").textContent = title();
      if (image && !camera) segmentImage();
    });
  }
}

function listen() {
  $("file").addEventListener("change", ({ target }) => {
    if (target.files[0]) openImage(target.files[0]);
    target.value = "";
  });
  $("camera").addEventListener("click", startCamera);
  const openExample = async () => openImage(await (await fetch("example.jpg")).blob(), "example.jpg");
  $("example").addEventListener("click", openExample);
  $("start-example").addEventListener("click", openExample);
  $("start-open").addEventListener("click", () => $("file").click());
  $("live-stop").addEventListener("click", stopCamera);
  $("live-take").addEventListener("click", async () => openImage(await jpegOf(image.bitmap), "camera.jpg"));
  $("legend-all").addEventListener("click", () => {
    hidden.clear();
    changeClasses("", "input");
  });
  $("opacity").addEventListener("input", ({ target }) => {
    $("opacity-value").textContent = `${target.value} %`;
    panes.forEach((pane) => pane.place());
  });
  $("compare").addEventListener("change", layOut);
  for (const radio of document.getElementsByName("view")) {
    radio.addEventListener("change", () => {
      view.drawn = radio.value;
      $("ramp").hidden = view.drawn === "classes";
      $("ramp-least").textContent = view.drawn === "attention" ? "most" : "unsure";
      $("ramp-most").textContent = view.drawn === "attention" ? "least" : "sure";
      panes.forEach((pane) => pane.paint());
      findAttention();
    });
  }
  $("attention-part").addEventListener("change", () => {
    panes.forEach((pane) => pane.paint());
    showAttention();
  });
  const ramp = Array.from({ length: 9 }, (_, index) => `rgb(${rampColour(index / 8).join(" ")})`);
  $("ramp").querySelector(".scale").style.background = `linear-gradient(to right, ${ramp.join(", ")})`;
  $("zoom-in").addEventListener("click", () => panes.length && zoomBy(1.5));
  $("zoom-out").addEventListener("click", () => panes.length && zoomBy(1 / 1.5));
  $("zoom-fit").addEventListener("click", () => panes.length && move(image.width / 2, image.height / 2, 1));
  $("save-labels").addEventListener("click", saveLabels);
  $("save-overlay").addEventListener("click", saveOverlay);
  $("save-polygons").addEventListener("click", savePolygons);
  $("gpu-on").addEventListener("change", () => image && !camera && segmentImage());

  addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find(({ type }) => type.startsWith("image/"));
    if (file) openImage(file, "pasted.png");
    else if (event.target === document.body) complain("There is no image in the clipboard.");
  });
  let depth = 0; // of the elements that are dragged over
  const dragging = (change) => {
    depth = Math.max(0, depth + change);
    document.body.classList.toggle("dragging", depth > 0);
  };
  addEventListener("dragenter", (event) => {
    event.preventDefault();
    dragging(1);
  });
  addEventListener("dragleave", () => dragging(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    dragging(-depth);
    const [file] = event.dataTransfer.files;
    if (file) openImage(file);
    else complain("That was no file. Drop an image from a folder, or copy and paste it.");
  });
  addEventListener("click", (event) => {
    if (!$("models").contains(event.target)) $("models").open = false;
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") $("models").open = false;
  });
  listenToStage();
  listenToDivider();
}

/** Offline once loaded; and threads, which browsers give to pages that are isolated by headers, which the worker adds. */
async function installServiceWorker() {
  if (!("serviceWorker" in navigator)) return;
  const alone = crossOriginIsolated || sessionStorage.getItem("isolating");
  await navigator.serviceWorker.register("sw.js");
  await navigator.serviceWorker.ready;
  if (alone || begun) return;
  sessionStorage.setItem("isolating", "once");
  location.reload();
  await new Promise(() => {}); // nothing more happens here
}

function canRunNetworks() {
  // (module (func (result v128) i32.const 0 i8x16.splat))
  const simd = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11);
  return typeof WebAssembly === "object" && WebAssembly.validate(simd);
}

async function begin() {
  listen();
  showReadout();
  try {
    config = await (await ask("models.json")).json();
  } catch (error) {
    complain(error.message);
    return;
  }
  chosen.add(config.models[0].name);
  if (config.runs === "browser") {
    if (!canRunNetworks()) {
      complain("This browser cannot run the network: it has no WebAssembly SIMD. Update it, or use pan serve instead.");
      return;
    }
    backend = new BrowserBackend();
    $("gpu").hidden = !(config.webgpu && navigator.gpu);
    // Some browsers have no service workers in private windows; the page works without.
    installServiceWorker().catch(() => {}).then(() => backend.prepare(config.models[0]));
  } else {
    backend = new ServerBackend();
  }
  $("privacy").textContent = backend.privacy;
  listModels();
  document.body.dataset.ready = "";
}

begin();
