// The profile: a prefix-merged tree in pre-order, one array a field, so that 100,000 nodes stay cheap.
// A parent's index is always smaller than its children's: one pass forwards or backwards walks the tree.

const LIBRARY_FOLDER = /^.*[/\\](?:site-packages|dist-packages|lib[/\\]python[\d.]+t?)[/\\]/;
const profile = decode(JSON.parse(document.getElementById("data").textContent));

function decode(raw) {
  const count = raw.nodes.depth.length;
  const depth = Int32Array.from(raw.nodes.depth);
  const parent = new Int32Array(count).fill(-1);
  const kidsStart = new Int32Array(count + 1);
  const path = [];
  for (let node = 0; node < count; node++) {
    path[depth[node]] = node;
    if (node > 0) {
      parent[node] = path[depth[node] - 1];
      kidsStart[parent[node] + 1]++;
    }
  }
  for (let node = 0; node < count; node++) kidsStart[node + 1] += kidsStart[node];
  const kids = new Int32Array(Math.max(count - 1, 0));
  const next = kidsStart.slice();
  for (let node = 1; node < count; node++) kids[next[parent[node]]++] = node;
  const leafNodes = [];
  let leaf = 0;
  for (const step of raw.leaves.node) leafNodes.push(leaf += step);

  const { function: functionOf, line } = raw.frames;
  const frames = functionOf.map((id, frame) => {
    const name = raw.strings[raw.functions.name[id]];
    const file = raw.strings[raw.functions.file[id]];
    const cut = raw.functions.prefix[id];
    const place = file && line[frame] ? `${file}:${line[frame]}` : file;
    return {
      name, place, group: raw.groups[raw.functions.group[id]],
      prefix: name.slice(0, cut), short: name.slice(cut), suffix: line[frame] ? `:${line[frame]}` : "",
      text: `${name} ${place}`, shortPlace: place.replace(LIBRARY_FOLDER, ""),
    };
  });
  return {
    ...raw, count, depth, parent, kids, kidsStart, leafNodes, frames, frame: Int32Array.from(raw.nodes.frame),
    isDiff: raw.leaves.values.some((column) => column.some((value) => value < 0)),
  };
}

// Costs and places of all nodes for one sample type. `weight` sums absolute values: it is the drawn width, and it keeps
// a diff's growth and shrinkage from cancelling each other out of the picture. `x` runs over [0, weight of the root].
function measure(type) {
  const { count, parent, kidsStart, leafNodes } = profile;
  const flat = new Float64Array(count), weight = new Float64Array(count), variance = new Float64Array(count);
  const values = profile.leaves.values[type], variances = profile.leaves.variance[type];
  leafNodes.forEach((node, index) => {
    flat[node] = values[index];
    weight[node] = Math.abs(values[index]);
    variance[node] = variances?.[index] ?? NaN;
  });
  const cum = flat.slice();
  for (let node = count - 1; node > 0; node--) {
    cum[parent[node]] += cum[node];
    weight[parent[node]] += weight[node];
    variance[parent[node]] += variance[node];
  }
  const kids = profile.kids.slice();
  const x = new Float64Array(count);
  for (let node = 0; node < count; node++) {
    const own = kids.subarray(kidsStart[node], kidsStart[node + 1]);
    if (own.length > 1) own.sort((a, b) => weight[b] - weight[a] || a - b);
    let at = x[node];
    for (const kid of own) {
      x[kid] = at;
      at += weight[kid];
    }
  }
  const [name, unit] = profile.types[type];
  return { name, unit, flat, cum, weight, variance, x, kids, total: weight[0] || 0 };
}

// Flat and cum of every frame; a frame that calls itself counts its subtree once.
function tabulate(costs) {
  const rows = profile.frames.map((frame) => ({ frame, flat: 0, cum: 0 }));
  const open = [];
  const counted = new Set();
  for (let node = 1; node < profile.count; node++) {
    while (open.length >= profile.depth[node]) {
      const closed = open.pop();
      if (closed >= 0) counted.delete(closed);
    }
    const id = profile.frame[node];
    rows[id].flat += costs.flat[node];
    if (counted.has(id)) open.push(-1);
    else {
      counted.add(id);
      open.push(id);
      rows[id].cum += costs.cum[node];
    }
  }
  return rows;
}

// What the frames with a set flag cost together; a match under a match counts once.
function matchedCost(costs, flags) {
  let sum = 0, weight = 0;
  for (let node = 1, below = Infinity; node < profile.count; node++) {
    if (profile.depth[node] > below) continue;
    below = Infinity;
    if (!flags[profile.frame[node]]) continue;
    below = profile.depth[node];
    sum += costs.cum[node];
    weight += costs.weight[node];
  }
  return { sum, weight };
}

const BYTES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const TIMES = [[1, "ns"], [1e3, "\u00b5s"], [1e6, "ms"], [1e9, "s"], [60e9, "min"], [3600e9, "h"]];
const SCALES = {
  bytes: [1, "bytes"], kilobytes: [1024, "bytes"], megabytes: [1048576, "bytes"],
  nanoseconds: [1, "time"], microseconds: [1e3, "time"], milliseconds: [1e6, "time"], seconds: [1e9, "time"],
};

function human(value, unit) {
  const [factor, kind] = SCALES[unit] ?? [1, unit];
  const size = Math.abs(value) * factor;
  const sign = value < 0 ? "\u2212" : profile.isDiff && value > 0 ? "+" : "";
  if (kind === "bytes") {
    let step = 0;
    while (step < BYTES.length - 1 && size / 1024 ** step >= 999.5) step++;
    return `${sign}${digits(size / 1024 ** step)} ${BYTES[step]}`;
  }
  if (kind === "time") {
    const [divisor, name] = TIMES.findLast(([least]) => size >= least * (least > 1e9 ? 2 : 0.9995)) ?? TIMES[0];
    return `${sign}${digits(size / divisor)} ${name}`;
  }
  const [divisor, suffix] = size >= 9.995e11 ? [1e12, " T"] : size >= 9.995e8 ? [1e9, " G"] : size >= 9.995e5 ? [1e6, " M"] : size >= 1e4 ? [1e3, " k"] : [1, ""];
  const number = divisor === 1 ? Math.round(size).toLocaleString("en") : digits(size / divisor);
  return `${sign}${number}${suffix}${kind === "count" || kind === "" ? "" : ` ${kind}`}`;
}

function digits(number) {
  if (Number.isInteger(number)) return number.toLocaleString("en");
  return number.toLocaleString("en", { maximumFractionDigits: number < 10 ? 2 : number < 100 ? 1 : 0 });
}

function percent(part, whole) {
  if (!whole || !part) return "0 %";
  const share = 100 * part / whole;
  if (Math.abs(share) < 0.01) return "< 0.01 %";
  return `${share.toFixed(Math.abs(share) < 9.995 ? 2 : 1)} %`.replace("-", "\u2212").replace(".0 ", " ");
}
