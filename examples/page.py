"""The index page of `make profile`: one file, no script, no network, light and dark."""

from html import escape
from pathlib import Path

_FILES = {
    "flame.html": "Flame graph: search, zoom, switch between the four sample types",
    "heap.pb.gz": "Heap profile, opens on inuse_space: lowtide top, go tool pprof, speedscope",
    "allocs.pb.gz": "The same data, opens on alloc_space",
    "top-alloc_objects.txt": "Lines by blocks allocated",
    "top-alloc_space.txt": "Lines by bytes allocated",
    "top-inuse_space.txt": "Lines by bytes in use",
    "load.json": "What the load generator measured",
    "service.log": "What the service printed",
}

_STYLE = """
:root { color-scheme: light dark; --ground: #fbfaf8; --card: #fff; --ink: #22211f; --soft: #6b6862; --line: #e4e0d9;
        --accent: #b4451f; --bar: #f3d9cc; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #191817; --card: #22211f; --ink: #ece9e4; --soft: #a09b93; --line: #383530; --accent: #f0936b;
          --bar: #5a3524; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 2.5rem 1.5rem 4rem; background: var(--ground); color: var(--ink);
       font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.7rem; } h2 { margin: 2.5rem 0 .75rem; font-size: 1.1rem; }
p { margin: .25rem 0 0; color: var(--soft); } a { color: var(--accent); }
ul { display: grid; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); gap: .75rem; margin: 0; padding: 0;
     list-style: none; }
li a { display: block; height: 100%; padding: .75rem 1rem; border: 1px solid var(--line); border-radius: .5rem;
       background: var(--card); font-weight: 600; text-decoration: none; }
li a:hover, li a:focus-visible { border-color: var(--accent); outline: none; }
li span { display: block; color: var(--soft); font-size: .875rem; font-weight: 400; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; background: var(--card); }
table { width: 100%; border-collapse: collapse; font-size: .875rem; }
th, td { padding: .5rem 1rem; border-top: 1px solid var(--line); text-align: left; white-space: nowrap; }
tr:first-child > * { border-top: 0; } th { color: var(--soft); font-weight: 500; }
td:nth-child(-n+2), th:nth-child(-n+2) { width: 1%; text-align: right; font-variant-numeric: tabular-nums; }
td:last-child { overflow-wrap: anywhere; white-space: normal; } td span { color: var(--soft); }
td.share { background: linear-gradient(to right, var(--bar) var(--width), transparent var(--width)); }
pre, code { font: .8125rem/1.6 ui-monospace, monospace; } pre { margin: 0; padding: 1rem; }
"""


def render_page(out: Path, summary: str, load: str, sites: dict[str, list[dict[str, str]]]) -> str:
    """Return the page that links what is in `out`.

    Args:
        out: folder the page will be in.
        summary: what was run and what came of it, in a sentence.
        load: the load generator's table.
        sites: rows (value, share, name, place) by title.
    """
    files = "\n".join(
        f'<li><a href="{name}">{name}<span>{escape(about)}</span></a></li>'
        for name, about in _FILES.items()
        if (out / name).exists()
    )
    tables = "\n".join(f"<h2>{escape(title)}</h2>\n{_table(rows)}" for title, rows in sites.items())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>lowtide: the catalogue service under load</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>The catalogue service under load</h1>
<p>{escape(summary)}</p>
<h2>Files</h2>
<ul>
{files}
</ul>
{tables}
<h2>The load</h2>
<div class="scroll"><pre>{escape(load)}</pre></div>
</body>
</html>
"""


def _table(rows: list[dict[str, str]]) -> str:
    body = "\n".join(
        f'<tr><td>{escape(row["value"])}</td><td class="share" style="--width: {row["share"]}">{row["share"]}</td>'
        f"<td><code>{escape(row['name'])}<br><span>{escape(row['place'])}</span></code></td></tr>"
        for row in rows
    )
    head = "<tr><th>estimate ± standard error</th><th>share</th><th>line</th></tr>"
    return f'<div class="scroll"><table>\n{head}\n{body}\n</table></div>'
