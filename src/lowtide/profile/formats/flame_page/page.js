// The controls around the chart: sample types, search, views, table, details, theme.

const get = (id) => document.getElementById(id);
const TABLE_ROWS = 200;
let costs, rows, pattern = null, rowLimit = TABLE_ROWS;
let sorting = { key: "flat", down: true };
let found = { list: null, at: -1, text: "" }; // what the search matches, widest first, filled when somebody steps through it

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function describe(costs, node) {
  const frame = profile.frames[profile.frame[node]];
  const { flat, cum, weight, variance, unit, total } = costs;
  const name = node === 0 ? `all ${costs.name}` : frame.name;
  const share = percent(profile.isDiff ? cum[node] : weight[node], total);
  const error = Math.sqrt(variance[node]) || 0;
  const cumText = human(cum[node], unit), flatText = human(flat[node], unit);
  return {
    name, share, cumText, flatText, place: frame?.place ?? "", flatShare: percent(flat[node], total),
    error: error ? human(error, unit).replace("+", "") : "",
    spoken: `${name}, ${frame?.place ? `${frame.place}, ` : ""}cum ${cumText}, ${share}, flat ${flatText}`,
  };
}

function showDetails() {
  const node = chart.hover >= 0 ? chart.hover : chart.focus;
  const { name, place, cumText, share, flatText, flatShare, error } = describe(costs, node);
  const about = (label, text, rest) => [element("span", { textContent: `${label} ` }), element("b", { textContent: text }), element("span", { textContent: ` ${rest}` })];
  get("details").replaceChildren(
    element("div", {}, element("strong", { textContent: name, dir: "auto" }), "  ", element("span", { textContent: place, dir: "auto" })),
    element("div", { className: "cost" },
      ...about("cum", cumText, `${error ? `\u00b1 ${error} standard error, ` : ""}${share} of ${profile.isDiff ? "all change" : "total"}`), "\u2003",
      ...about("flat", flatText, flatShare)),
  );
  get("reset").hidden = chart.zoom === 0;
}

function selectType(type) {
  costs = measure(type);
  rows = tabulate(costs);
  const isEmpty = !costs.total;
  get("empty").hidden = !isEmpty;
  get("chart").hidden = isEmpty;
  get("empty").textContent = profile.count > 1 ? `Nothing was recorded for ${costs.name}.` : "This profile is empty: it holds no samples.";
  get("chart").setAttribute("aria-label", `Flame graph of ${costs.name}`);
  get("details").hidden = isEmpty;
  chart.show(costs);
  showLegend();
  applySearch();
}

function showLegend() {
  if (profile.isDiff) {
    const key = (text, ratio) => {
      const chip = element("i");
      chip.style.background = diffColour(ratio).fill;
      return element("span", {}, chip, text);
    };
    get("legend").replaceChildren(key("grown", 1), key("no net change", 0), key("shrunk", -1));
    return;
  }
  const shares = new Map();
  for (const { frame, flat } of rows) shares.set(frame.group, (shares.get(frame.group) ?? 0) + flat);
  const largest = [...shares].filter(([, flat]) => flat > 0).sort((a, b) => b[1] - a[1]).slice(0, 12);
  get("legend").replaceChildren(...largest.map(([group, flat]) => {
    const chip = element("i"), name = profile.strings[group[0]];
    chip.style.background = groupColour(group).fill;
    const button = element("button", { type: "button", title: `search for ${name}` }, chip, element("b", { textContent: name }), percent(flat, costs.total));
    const leads = rows.some(({ frame }) => frame.group === group && frame.name.startsWith(name));
    button.onclick = () => search(`${leads ? "^" : ""}${escapePattern(name)}${/\w$/.test(name) ? "\\b" : ""}`);
    return button;
  }));
}

const escapePattern = (text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");

function search(text) {
  get("search").value = text;
  applySearch();
}

function applySearch() {
  const text = get("search").value;
  let error = "";
  pattern = null;
  try {
    pattern = text ? new RegExp(text, "i") : null;
  } catch {
    error = "not a valid regular expression";
  }
  get("search").setAttribute("aria-invalid", String(Boolean(error)));
  const flags = pattern && Uint8Array.from(profile.frames, (frame) => pattern.test(frame.text));
  chart.setMatches(flags);
  found = { list: null, at: -1, text: "" };
  if (flags) {
    const { sum, weight } = matchedCost(costs, flags);
    const count = flags.reduce((total, flag) => total + flag, 0);
    found.text = `${count} ${count === 1 ? "line" : "lines"}, ${human(sum, costs.unit)}, ${percent(weight, costs.total)}`;
  }
  get("matches").textContent = error || found.text;
  rowLimit = TABLE_ROWS;
  showTable();
}

function nextMatch(step) {
  if (!chart.matches) return;
  found.list ??= Array.from(profile.frame.keys()).filter((node) => node > 0 && chart.matches[profile.frame[node]] && costs.weight[node])
    .sort((a, b) => costs.weight[b] - costs.weight[a]);
  if (!found.list.length) return;
  found.at = (found.at + step + found.list.length) % found.list.length;
  selectView("flame");
  chart.focusOn(found.list[found.at]);
  get("matches").textContent = `match ${found.at + 1} of ${found.list.length} \u00b7 ${found.text}`;
}

const COLUMNS = [["flat", "Flat", "number"], ["", "", "plain"], ["cum", "Cum", "number"], ["", "", "plain"], ["name", "Function", ""], ["place", "File and line", ""]];

function showTable() {
  if (get("table").hidden) return;
  const { key, down } = sorting;
  const compare = (a, b) => a < b ? -1 : a > b ? 1 : 0;
  const order = (a, b) => key in a ? Math.abs(a[key]) - Math.abs(b[key]) : compare(a.frame[key], b.frame[key]);
  const shown = rows.filter(({ frame, flat, cum }) => (flat || cum) && (!pattern || pattern.test(frame.text)));
  shown.sort((a, b) => (down ? order(b, a) : order(a, b)) || Math.abs(b.cum) - Math.abs(a.cum) || compare(a.frame.text, b.frame.text));
  get("columns").replaceChildren(...COLUMNS.map(([column, text, className]) => {
    if (!column) return element("th", { className }, element("span", { className: "unseen", textContent: "Share" }));
    const button = element("button", { type: "button", textContent: text });
    button.onclick = () => {
      sorting = { key: column, down: column === key ? !down : className === "number" };
      showTable();
      [...get("columns").querySelectorAll("button")].find((other) => other.textContent === text).focus();
    };
    const head = element("th", { className, scope: "col" }, button);
    head.ariaSort = column === key ? (down ? "descending" : "ascending") : "none";
    return head;
  }));
  const share = (value) => {
    const cell = element("td", { className: "number share", textContent: percent(value, costs.total) });
    cell.style.setProperty("--part", Math.min(100, 100 * Math.abs(value) / (costs.total || 1)));
    return cell;
  };
  get("rows").replaceChildren(...shown.slice(0, rowLimit).map(({ frame, flat, cum }) => {
    const name = element("button", { type: "button", textContent: frame.name, title: "show in the flame graph" });
    name.onclick = () => {
      search(`^${escapePattern(frame.text)}$`);
      nextMatch(1);
      get("chart").focus();
    };
    return element("tr", {},
      element("td", { className: "number", textContent: human(flat, costs.unit) }), share(flat),
      element("td", { className: "number", textContent: human(cum, costs.unit) }), share(cum),
      element("td", {}, name), element("td", { className: "file", textContent: frame.shortPlace, title: frame.place }));
  }));
  get("more").hidden = shown.length <= rowLimit;
  get("more").textContent = `Show all ${shown.length.toLocaleString("en")} lines`;
}

function selectView(view) {
  for (const name of ["flame", "table"]) {
    get(name).hidden = name !== view;
    get(`tab-${name}`).setAttribute("aria-selected", String(name === view));
    get(`tab-${name}`).tabIndex = name === view ? 0 : -1;
  }
  showTable();
  chart.redraw();
}

function showTheme() {
  get("theme").textContent = isDark() ? "Light" : "Dark";
  get("theme").setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
  chart.recolour();
  if (costs) showLegend();
}

function showHeader() {
  const { period: [period, periodType, unit], stacks } = profile;
  const exact = period === 1 && unit === "bytes";
  const allocated = periodType === "space" ? " allocated" : "";
  const notes = [
    period && (exact ? "exact: every block counted" : `one sample per ${human(period, unit).replace("+", "")}${allocated}, on average`),
    `${stacks.toLocaleString("en")} ${stacks === 1 ? "stack" : "stacks"}`, profile.time,
    profile.duration_nanos && `over ${human(profile.duration_nanos, "nanoseconds").replace("+", "")}`,
  ];
  get("note").textContent = notes.filter(Boolean).join(" \u00b7 ");
  get("about").hidden = !profile.comments.length;
  get("comments").replaceChildren(...profile.comments.map((text) => element("li", { textContent: text, dir: "auto" })));
}

const chart = new Chart(get("chart"), () => showDetails());

profile.types.forEach(([name, unit], type) => {
  const total = profile.leaves.values[type].reduce((sum, value) => sum + value, 0);
  const radio = element("input", { type: "radio", name: "type", value: String(type), checked: type === profile.default_type });
  radio.onchange = () => selectType(type);
  get("types").append(element("label", {}, radio, element("span", { textContent: name }), element("b", { textContent: human(total, unit) })));
});
get("search").oninput = applySearch;
get("search").onkeydown = (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  nextMatch(event.shiftKey ? -1 : 1);
};
get("reset").onclick = () => {
  chart.reset();
  get("chart").focus();
};
get("more").onclick = () => {
  rowLimit = Infinity;
  showTable();
};
get("theme").onclick = () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
};
systemDark.addEventListener("change", showTheme);
for (const [name, other] of [["flame", "table"], ["table", "flame"]]) {
  get(`tab-${name}`).onclick = () => selectView(name);
  get(`tab-${name}`).onkeydown = (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    selectView(other);
    get(`tab-${other}`).focus();
  };
}
document.addEventListener("keydown", (event) => {
  const inSearch = document.activeElement === get("search");
  if (event.key === "/" && !inSearch && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    get("search").select();
  } else if (event.key === "Escape" && inSearch && get("search").value) search("");
  else if (event.key === "Escape" && costs.total) chart.reset();
});

showHeader();
selectType(profile.default_type);
showTheme();
