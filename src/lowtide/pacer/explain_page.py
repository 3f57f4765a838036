"""An explanation as one HTML page that works offline, without a script."""

import base64
import hashlib
import html
import re
from collections.abc import Iterable

from lowtide.pacer.explain import Entry, Explanation
from lowtide.pacer.explain_text import FIELDS, LEAVE_IT, effect, figures, summary
from lowtide.pacer.findings import Finding
from lowtide.pacer.picture import LEGEND, draw
from lowtide.pacer.record import Trace

# Characters that would reorder, hide or break the text around them: a file name of a caller may hold any.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)

STYLE = """
:root { color-scheme: light dark; --page: light-dark(#fbf7f2, #15100d); --card: light-dark(#fffdfb, #1f1814);
  --ink: light-dark(#2a1f18, #f4eae1); --soft: light-dark(#75655a, #b09d8f); --line: light-dark(#e8ddd2, #382b23);
  --ember: light-dark(#b83c10, #ff9257); --glow: light-dark(#fbe9dc, #3a2318); --sea: light-dark(#1d6a8c, #6cc0e4);
  --leaf: light-dark(#3d7a26, #9bcf7f); --many: light-dark(#b9a392, #7d6a5d);
  font: 14px/1.5 Inter, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 20px; max-width: 1100px; background: var(--page); color: var(--ink); }
h1 { margin: 0; font-size: 20px; font-weight: 650; overflow-wrap: anywhere; }
h2 { margin: 28px 0 8px; font-size: 16px; font-weight: 650; }
p { margin: 4px 0; }
a { color: var(--ember); }
:focus-visible { outline: 2px solid var(--ember); outline-offset: 2px; }
.soft { color: var(--soft); }
figure { margin: 16px 0 0; padding: 12px; border: 1px solid var(--line); border-radius: 12px; background: var(--card);
  overflow-x: auto; }
svg { display: block; width: 100%; min-width: 640px; height: auto; }
svg text { fill: var(--soft); font-size: 12px; }
.grid { stroke: var(--line); fill: none; }
.many { stroke: var(--many); stroke-width: 2; stroke-linecap: round; fill: none; }
.mark path, .key path { stroke: var(--card); stroke-width: 1; fill: var(--soft); }
.explicit path { fill: var(--sea); } .own path { fill: var(--leaf); } .young path { fill: var(--many); }
.mark.served path, .key.young path { fill: var(--ember); }
.mark:hover path, .mark:focus-visible path { stroke: var(--ink); stroke-width: 2; }
.blocks { stroke: var(--ember); stroke-width: 1.5; fill: none; }
.goal { stroke: var(--leaf); stroke-dasharray: 6 4; fill: none; }
.rss { stroke: var(--sea); stroke-width: 1.5; stroke-dasharray: 2 3; fill: none; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 10px 0 0; padding: 0; list-style: none; }
.legend svg { display: inline-block; width: 16px; min-width: 0; height: 16px; vertical-align: -3px; }
ol, ul { margin: 0; padding-left: 22px; } li { margin: 4px 0; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; }
td, th { padding: 6px 8px; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { white-space: nowrap; font-weight: 600; } td { overflow-wrap: anywhere; }
tr:target { background: var(--glow); }
code { font: 12px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; color: var(--soft); }
details { margin-top: 20px; } summary { cursor: pointer; color: var(--ember); }
""".strip()

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; \
form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1 dir="auto">{title}</h1><p class="soft">{summary}</p></header>
<main>
<figure>{picture}<figcaption><ul class="legend">{legend}</ul>
<p class="soft">Tab goes from pause to pause, Enter to its line. In ember: a request waited.</p></figcaption></figure>
<section aria-labelledby="shows"><h2 id="shows">What it shows</h2><ul>{findings}</ul></section>
<section aria-labelledby="try"><h2 id="try">What to try, by predicted effect</h2>{verdict}</section>
<details><summary>How to read a line</summary><table><tbody>{fields}</tbody></table></details>
<section aria-labelledby="lines"><h2 id="lines">Line by line</h2><table><tbody>{lines}</tbody></table></section>
</main>
</body>
</html>
"""

_KEY = '<svg viewBox="-8 -8 16 16" class="key {kind}" aria-hidden="true"><path d="{shape}"/></svg>'


def render(explanation: Explanation, trace: Trace, *, title: str) -> str:
    """Render an explanation as a self-contained page: pure ASCII, light and dark, with no script in it.

    Args:
        explanation: of `trace`.
        trace: what the picture is drawn from.
        title: heading of the page.
    """
    page = PAGE.format(
        hash=base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode(),
        style=STYLE,
        title=_shown(title),
        summary=_shown(summary(explanation)),
        picture=draw(trace),
        legend="".join(_legend()),
        findings="".join(f"<li>{_finding(finding)}</li>" for finding in explanation.findings),
        verdict="".join(_verdict(explanation)),
        fields="".join(f"<tr><th><code>{_shown(a)}</code></th><td>{_shown(b)}</td></tr>" for a, b in FIELDS),
        lines="".join(map(_line, explanation.entries)),
    )
    return page.encode("ascii", "xmlcharrefreplace").decode()


def _shown(text: str) -> str:
    """Return text as HTML, with every character that could deceive the eye spelled out."""
    return html.escape(_INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text))


def _legend() -> Iterable[str]:
    for kind, (shape, name) in LEGEND.items():
        yield f"<li>{_KEY.format(kind=kind, shape=shape)} {name}</li>"
    yield "<li>strokes: the many short ones, from the shortest to the longest</li>"
    yield "<li>lines: live blocks; RSS, dotted; the pacer's goal, dashed</li>"


def _finding(finding: Finding) -> str:
    links = ", ".join(f'<a href="#gc-{number}">gc {number}</a>' for number in finding.numbers)
    return _shown(finding.text) + (f" ({links})" if links else "")


def _verdict(e: Explanation) -> Iterable[str]:
    if e.recorded is None:
        yield f"<p>Nothing can be predicted: {_shown(e.trouble)}</p>"
    else:
        yield f'<p class="soft">Recorded since {_shown(e.since)}: {_shown(figures(e.recorded))}</p>'
        yield "<ol>" if e.options else f"<p>{LEAVE_IT.capitalize()}: leave it as it is.</p>"
        for option in e.options:
            remarks = "".join(f"<br>But: {_shown(remark)}" for remark in option.prediction.remarks)
            effects = _shown(effect(option, e.recorded))
            yield f'<li>{_shown(option.setting)}<br><span class="soft">{effects}{remarks}</span></li>'
        if e.options:
            yield "</ol>"
    yield f"<p>{_finding(e.guidance)}</p>"


def _line(entry: Entry) -> str:
    raw = f"<code>{_shown(entry.raw)}</code><br>" if entry.raw else ""
    anchor = f' id="gc-{entry.first}"'
    return f"<tr{anchor}><th>{entry.span}</th><td>{raw}{_shown(entry.meaning)}</td></tr>"
