// What lies between pixels and a label map, as `pan predict` computes it: the plan of an image, Pillow's resizing, and
// labels from logits. And what is made of label maps: polygons and PNG files. No page, no network in here: plain
// functions on arrays, which run in a browser, in its workers and in Node.

const MIN_SIDE = 32;
const WHOLE_PIXELS = 1 << 22; // what goes through the network at most; `pan predict` takes tiles, a browser shrinks more

/** How an image goes through a network (inference/plan.py): `resized` and `padded` height and width. */
export function planImage(height, width, { max_size, size_divisor }) {
  let resized = [height, width];
  const shrink = (factor) => resized.map((side) => Math.max(1, roundHalfToEven(side * factor)));
  if (max_size && Math.max(height, width) > max_size) resized = shrink(max_size / Math.max(height, width));
  if (resized[0] * resized[1] > WHOLE_PIXELS) resized = shrink(Math.sqrt(WHOLE_PIXELS / (resized[0] * resized[1])));
  const padded = resized.map((side) => Math.max(MIN_SIDE, Math.ceil(side / size_divisor) * size_divisor));
  return { size: [height, width], resized, padded };
}

function roundHalfToEven(value) {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}

/** The network's input, h×w×3 bytes, of an image H×W×4 (red, green, blue, and alpha, which does not count). */
export function prepare(rgba, plan) {
  const [height, width] = plan.size;
  const [rows, columns] = plan.resized;
  let pixels = dropAlpha(rgba);
  // Pillow 13 begins with the side that loses far more; versions before it always with the rows. One level of grey apart.
  const downFirst = height - rows > 2 * (width - columns);
  if (downFirst) pixels = resizeColumns(pixels, height, width, rows);
  if (columns !== width) pixels = resizeRows(pixels, downFirst ? rows : height, width, columns);
  if (rows !== height && !downFirst) pixels = resizeColumns(pixels, height, columns, rows);
  return padEdge(pixels, rows, columns, ...plan.padded);
}

function dropAlpha(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from];
    rgb[to + 1] = rgba[from + 1];
    rgb[to + 2] = rgba[from + 2];
  }
  return rgb;
}

const PRECISION = 32 - 8 - 2; // bits of Pillow's fixed-point weights (libImaging/Resample.c)

/** Pillow's weights for an antialiased bilinear resize of one side: for each new pixel the first old one, and weights. */
function resizeWeights(before, after) {
  const scale = before / after;
  const support = Math.max(scale, 1);
  return Array.from({ length: after }, (_, index) => {
    const centre = (index + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(before, Math.trunc(centre + support + 0.5));
    const weights = [];
    for (let x = first; x < last; x++) weights.push(Math.max(0, 1 - Math.abs((x - centre + 0.5) / support)));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: Int32Array.from(weights, (weight) => Math.trunc((weight / total) * (1 << PRECISION) + 0.5)) };
  });
}

function clip(sum) {
  const value = sum >> PRECISION;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

function resizeRows(pixels, height, width, columns) {
  const result = new Uint8Array(height * columns * 3);
  const plan = resizeWeights(width, columns);
  for (let y = 0, to = 0; y < height; y++) {
    for (const { first, weights } of plan) {
      let red = 1 << (PRECISION - 1), green = red, blue = red;
      for (let k = 0, from = (y * width + first) * 3; k < weights.length; k++, from += 3) {
        red += pixels[from] * weights[k];
        green += pixels[from + 1] * weights[k];
        blue += pixels[from + 2] * weights[k];
      }
      result[to++] = clip(red);
      result[to++] = clip(green);
      result[to++] = clip(blue);
    }
  }
  return result;
}

function resizeColumns(pixels, height, width, rows) {
  const line = width * 3;
  const result = new Uint8Array(rows * line);
  const sums = new Int32Array(line);
  resizeWeights(height, rows).forEach(({ first, weights }, row) => {
    sums.fill(1 << (PRECISION - 1));
    weights.forEach((weight, k) => {
      const from = (first + k) * line;
      for (let x = 0; x < line; x++) sums[x] += pixels[from + x] * weight;
    });
    for (let x = 0; x < line; x++) result[row * line + x] = clip(sums[x]);
  });
  return result;
}

function padEdge(pixels, height, width, rows, columns) {
  if (rows === height && columns === width) return pixels;
  const result = new Uint8Array(rows * columns * 3);
  for (let y = 0; y < rows; y++) {
    const from = Math.min(y, height - 1) * width * 3;
    result.set(pixels.subarray(from, from + width * 3), y * columns * 3);
    for (let x = width; x < columns; x++) {
      result.set(pixels.subarray(from + (width - 1) * 3, from + width * 3), (y * columns + x) * 3);
    }
  }
  return result;
}

/** Where the pixels of a side lie between points of the logits (inference/upsample.py, Axis.between). */
function axisBetween(points, pixels, aligned, covered = 1) {
  const below = new Int32Array(pixels), above = new Int32Array(pixels), share = new Float32Array(pixels);
  for (let index = 0; index < pixels; index++) {
    const place = aligned
      ? index * (((points - 1) * covered) / Math.max(pixels - 1, 1))
      : Math.max((index + 0.5) * ((points * covered) / pixels) - 0.5, 0);
    below[index] = Math.min(Math.trunc(place), points - 1);
    above[index] = Math.min(below[index] + 1, points - 1);
    share[index] = place - below[index];
  }
  return { below, above, share };
}

function axes(plan, grid, aligned) {
  return grid.map((points, side) => {
    const pixels = plan.size[side], resized = plan.resized[side], padded = plan.padded[side];
    if (resized === pixels) return axisBetween(points, padded, aligned);
    return axisBetween(points, pixels, aligned, (resized - aligned) / Math.max(padded - aligned, 1));
  });
}

/** What a network gave for an image: logits C×h×w, which are bilinear between their points. */
export class Logits {
  constructor(values, [count, height, width], plan, aligned) {
    this.values = values;
    this.count = count;
    this.plan = plan;
    this.width = width;
    this.points = height * width;
    [this.rows, this.columns] = axes(plan, [height, width], aligned ? 1 : 0);
    this.own = new Float32Array(count);
  }

  /** Interpolate all classes' logits at a pixel, into `own`; the best class. */
  at(y, x) {
    const { values, width, points, rows, columns, own } = this;
    const top = rows.below[y] * width, bottom = rows.above[y] * width;
    const left = columns.below[x], right = columns.above[x];
    const across = columns.share[x], down = rows.share[y];
    let best = 0;
    for (let label = 0, base = 0; label < this.count; label++, base += points) {
      const over = values[base + top + left] + (values[base + top + right] - values[base + top + left]) * across;
      const under = values[base + bottom + left] + (values[base + bottom + right] - values[base + bottom + left]) * across;
      own[label] = over + (under - over) * down;
      if (own[label] > own[best]) best = label;
    }
    return best;
  }

  /** The softmax probabilities of all classes at a pixel. */
  probabilities(y, x) {
    const best = this.at(y, x);
    const exponentials = Array.from(this.own, (logit) => Math.exp(logit - this.own[best]));
    const sum = exponentials.reduce((total, value) => total + value, 0);
    return exponentials.map((value) => value / sum);
  }

  /** The best class of every pixel, H×W. Where one class wins at all four points around a pixel, it wins there. */
  labels() {
    const [height, width] = this.plan.size;
    const winners = this.winners();
    const labels = new Uint8Array(height * width);
    const { rows, columns } = this;
    for (let y = 0, to = 0; y < height; y++) {
      const top = rows.below[y] * this.width, bottom = rows.above[y] * this.width;
      for (let x = 0; x < width; x++, to++) {
        const left = columns.below[x], right = columns.above[x];
        const one = winners[top + left];
        const alike = one === winners[top + right] && one === winners[bottom + left] && one === winners[bottom + right];
        labels[to] = alike ? one : this.at(y, x);
      }
    }
    return labels;
  }

  winners() {
    const winners = new Uint8Array(this.points);
    const best = this.values.slice(0, this.points);
    for (let label = 1; label < this.count; label++) {
      for (let point = 0, from = label * this.points; point < this.points; point++, from++) {
        if (this.values[from] > best[point]) {
          best[point] = this.values[from];
          winners[point] = label;
        }
      }
    }
    return winners;
  }

  /** The probability of the best class at every pixel, as bytes: 255 is certain. */
  confidence() {
    const [height, width] = this.plan.size;
    const result = new Uint8Array(height * width);
    for (let y = 0, to = 0; y < height; y++) {
      for (let x = 0; x < width; x++, to++) {
        const best = this.own[this.at(y, x)];
        let sum = 0;
        for (let label = 0; label < this.count; label++) sum += Math.exp(this.own[label] - best);
        result[to] = Math.round(255 / sum);
      }
    }
    return result;
  }
}

/** A label map from the masks of `/v1/segment`: COCO's run lengths, down the columns. */
export function labelsFromMasks(height, width, classes) {
  const labels = new Uint8Array(height * width).fill(255);
  for (const { id, mask } of classes) {
    if (!mask) continue;
    let place = 0;
    mask.counts.forEach((length, index) => {
      if (index % 2) {
        for (let k = place; k < place + length; k++) labels[(k % height) * width + Math.trunc(k / height)] = id;
      }
      place += length;
    });
  }
  return labels;
}

/** How many pixels each label has. */
export function countLabels(labels) {
  const counts = new Uint32Array(256);
  for (const label of labels) counts[label]++;
  return counts;
}

/** The regions of a label map as GeoJSON, along the pixels' edges, without gaps (inference/polygons.py, tolerance 0). */
export function toGeoJson(labels, height, width, names) {
  const regions = findRegions(labels, height, width);
  const pixels = new Map(), rings = new Map(), own = new Map();
  regions.forEach((region, place) => {
    pixels.set(region, (pixels.get(region) ?? 0) + 1);
    own.set(region, labels[place]);
  });
  for (const [region, ring] of traceRings(regions, height, width)) {
    if (!rings.has(region)) rings.set(region, []);
    rings.get(region).push(ring);
  }
  const features = [...pixels].map(([region, count]) => ({
    type: "Feature",
    properties: { class: own.get(region), name: names[own.get(region)] ?? "void", area: count, pixels: count },
    // The outline is the ring of positive area; those around holes go the other way.
    geometry: { type: "Polygon", coordinates: rings.get(region).sort((a, b) => signedArea(b) - signedArea(a)) },
  }));
  return { type: "FeatureCollection", features };
}

function signedArea(ring) {
  let sum = 0;
  for (let k = 1; k < ring.length; k++) sum += ring[k - 1][0] * ring[k][1] - ring[k][0] * ring[k - 1][1];
  return sum / 2;
}

function findRegions(labels, height, width) {
  const parents = new Int32Array(height * width); // by pixel; each points to an earlier one of its region
  const root = (place) => {
    while (parents[place] !== place) place = parents[place] = parents[parents[place]];
    return place;
  };
  for (let y = 0, place = 0; y < height; y++) {
    for (let x = 0; x < width; x++, place++) {
      parents[place] = x && labels[place] === labels[place - 1] ? parents[place - 1] : place;
      if (y && labels[place] === labels[place - width]) {
        const here = root(place), above = root(place - width);
        parents[Math.max(here, above)] = Math.min(here, above);
      }
    }
  }
  return parents.map((_, place) => root(place));
}

// Directions are 0 right, 1 down, 2 left, 3 up. Every border is walked with its region on the right hand.
function* traceRings(regions, height, width) {
  const stride = width + 1;
  const at = (y, x) => (y < 0 || x < 0 || y >= height || x >= width ? -1 : regions[y * width + x]);
  const around = (y, x) => [at(y - 1, x), at(y, x), at(y, x - 1), at(y - 1, x - 1)]; // on the right hand, by direction
  const done = new Uint8Array((height + 1) * stride); // one bit a direction
  for (let top = 0; top <= height; top++) {
    for (let left = 0; left <= width; left++) {
      const here = around(top, left);
      for (let first = 0; first < 4; first++) {
        const region = here[(first + 1) % 4];
        if (region < 0 || region === here[first] || done[top * stride + left] & (1 << first)) continue;
        const ring = [];
        let y = top, x = left, way = first, before = -1;
        do {
          const sides = around(y, x);
          const borders = sides.filter((side, index) => side !== sides[(index + 1) % 4]).length;
          const corner = (y === 0 || y === height) && (x === 0 || x === width);
          if (way !== before || borders > 2 || corner) ring.push([x, y]);
          done[y * stride + x] |= 1 << way;
          y += way === 1 ? 1 : way === 3 ? -1 : 0;
          x += way === 0 ? 1 : way === 2 ? -1 : 0;
          before = way;
          const next = around(y, x);
          // Where four borders meet, the first from the left: two outlines that touch there stay two.
          way = [3, 0, 1].map((turn) => (way + turn) % 4).find((turn) => next[(turn + 1) % 4] === region && next[turn] !== region);
        } while (y !== top || x !== left || way !== first);
        ring.push(ring[0]);
        yield [region, ring];
      }
    }
  }
}

/** A label map as an indexed PNG with the classes' colours, as `pan predict` writes it. */
export async function encodePng(labels, height, width, palette) {
  const lines = new Uint8Array(height * (width + 1)); // each begins with its filter, none
  for (let y = 0; y < height; y++) lines.set(labels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const packed = new Response(new Blob([lines]).stream().pipeThrough(new CompressionStream("deflate")));
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8);
  header.setUint8(9, 3);
  return new Blob(
    [
      Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10),
      chunk("IHDR", new Uint8Array(header.buffer)),
      chunk("PLTE", Uint8Array.from(palette.flat())),
      chunk("IDAT", new Uint8Array(await packed.arrayBuffer())),
      chunk("IEND", new Uint8Array()),
    ],
    { type: "image/png" },
  );
}

function chunk(kind, content) {
  const result = new Uint8Array(content.length + 12);
  const view = new DataView(result.buffer);
  view.setUint32(0, content.length);
  result.set([...kind].map((letter) => letter.charCodeAt(0)), 4);
  result.set(content, 8);
  view.setUint32(content.length + 8, crc32(result.subarray(4, content.length + 8)));
  return result;
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
