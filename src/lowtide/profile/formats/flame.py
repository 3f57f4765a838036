"""Draw a profile as one HTML page that works offline: flame graph, search, zoom and a table.

Python folds the samples into a prefix tree and names the modules; the page in `flame_page/` measures and draws.
"""

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

from lowtide.profile import ops
from lowtide.profile.formats.flame_groups import Group, Origin, hues, origin
from lowtide.profile.model import ProfileData, ValueType

SCRIPTS = ("data.js", "colour.js", "chart.js", "page.js")
_NO_TYPES = (ValueType("samples", "count"),)  # what the page of a profile without any type shows: none

# Characters that would reorder, hide or break the text around them, and surrogates, which UTF-8 cannot carry.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_LONGEST_TEXT = 1000


def render(profile: ProfileData, *, title: str = "Flame graph", sample_type: str | None = None) -> str:
    """Render a profile as a self-contained HTML page with an interactive flame graph.

    Args:
        profile: any profile, diffs with negative values included.
        title: heading of the page.
        sample_type: the sample type shown first; by default the profile's own default, else its last one.

    Returns: the page, pure ASCII, with no reference to anything outside itself.
    Raises: SettingsError for a sample type that the profile does not have.

    *Cost:* about 0.6 s for 10,000 stacks of 40 frames.
    """
    default_type = max(ops.sample_type_index(profile, sample_type), 0)
    data = {
        "types": [(_visible(each.type), _visible(each.unit)) for each in profile.sample_types or _NO_TYPES],
        "default_type": default_type,
        "period": (profile.period, *_period_type(profile)),
        "time": _utc(profile.time_nanos),
        "duration_nanos": profile.duration_nanos,
        "comments": [_visible(comment) for comment in profile.comments if not comment.startswith("#")],
        **_Tree(profile).columns(default_type),
    }
    assets = files(__package__) / "flame_page"
    style = (assets / "style.css").read_text("ascii")
    script = "\n".join((assets / name).read_text("ascii") for name in SCRIPTS)
    parts = {
        "title": html.escape(_visible(title)).encode("ascii", "xmlcharrefreplace").decode(),
        "style": style,
        "script": script,
        "policy": f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        # JSON has no use for `<` but inside strings: escaped, no string can end the script element.
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], (assets / "page.html").read_text("ascii"))


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _visible(text: str) -> str:
    """Return text with every character that could deceive the eye spelled out."""
    if len(text) > _LONGEST_TEXT:
        text = text[: _LONGEST_TEXT - 1] + "\u2026"
    return _INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _period_type(profile: ProfileData) -> tuple[str, str]:
    return (_visible(profile.period_type.type), _visible(profile.period_type.unit)) if profile.period_type else ("", "")


def _utc(time_nanos: int) -> str:
    if not time_nanos:
        return ""
    try:
        return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time_nanos // 10**9):%Y-%m-%d %H:%M:%S} UTC"
    except OverflowError:
        return ""  # beyond the calendar: somebody's nonsense


class _Tree:
    """The stacks merged by common prefix; node 0 is the root."""

    def __init__(self, profile: ProfileData) -> None:
        self.types = range(len(profile.sample_types or _NO_TYPES))
        self.frames: dict[ops.Site, int] = {}
        self.frame_of_node = [-1]
        self.children: list[dict[int, int]] = [{}]
        self.values: dict[int, list[int]] = {}
        self.variances: dict[int, list[float]] = {}
        paths: dict[int, list[int]] = {}
        for sample in profile.samples:
            if not any(sample.values):
                continue
            node = 0
            for location in reversed(sample.locations):
                path = paths.get(id(location))
                if path is None:
                    path = paths[id(location)] = [
                        self.frames.setdefault(ops.by_line(location, frame), len(self.frames))
                        for frame in reversed(tuple(ops.frames(location)))
                    ]
                for frame in path:
                    child = self.children[node].get(frame)
                    if child is None:
                        child = self.children[node][frame] = len(self.children)
                        self.children.append({})
                        self.frame_of_node.append(frame)
                    node = child
            own = self.values.setdefault(node, [0] * len(self.types))
            variances = self.variances.setdefault(node, [0.0] * len(self.types))
            for column in self.types:
                own[column] += sample.values[column]
                variance = ops.variance(profile, sample, column)
                variances[column] += math.nan if variance is None else variance

    def columns(self, default_type: int) -> dict[str, Any]:
        """Return the tree as the page reads it: one list a field, nodes in pre-order."""
        nodes, depths = self._preorder()
        places = [place for place, node in enumerate(nodes) if node in self.values]
        leaves = [nodes[place] for place in places]
        functions = {
            function: index for index, function in enumerate(dict.fromkeys(frame[:2] for frame in self.frames))
        }
        origins = [origin(_visible(name), _visible(file)) for name, file in functions]
        frame_origins = [origins[functions[frame[:2]]] for frame in self.frames]
        groups = hues(self._areas(nodes, depths, frame_origins, default_type))
        group_ids = {group: index for index, group in enumerate(groups)}
        strings: dict[str, int] = {}

        def intern(texts: Iterable[str]) -> list[int]:
            return [strings.setdefault(_visible(text), len(strings)) for text in texts]

        return {
            "stacks": len(leaves),
            "nodes": {"frame": [self.frame_of_node[node] for node in nodes], "depth": depths},
            "leaves": {
                "node": [place - before for place, before in zip(places, [0, *places], strict=False)],
                "values": [[self.values[leaf][column] for leaf in leaves] for column in self.types],
                "variance": [self._variance(leaves, column) for column in self.types],
            },
            "frames": {
                "function": [functions[frame[:2]] for frame in self.frames],
                "line": [line for _, _, line in self.frames],
            },
            "functions": {
                "name": intern(name for name, _ in functions),
                "file": intern(file for _, file in functions),
                "prefix": [each.prefix for each in origins],
                "group": [group_ids[each.group] for each in origins],
            },
            "groups": [(*intern([group.name]), group.kind, slot) for group, slot in groups.items()],
            "strings": list(strings),
        }

    def _variance(self, leaves: list[int], column: int) -> list[float | None] | None:
        """Return the variances of a column to three digits, None where all is exact or nothing is known."""
        variances = [self.variances[leaf][column] for leaf in leaves]
        if not any(variance > 0 for variance in variances):
            return None
        return [None if math.isnan(variance) else float(f"{variance:.3g}") for variance in variances]

    def _preorder(self) -> tuple[list[int], list[int]]:
        """Return the nodes in pre-order, siblings in a fixed order, and the depth of each."""
        rank = {index: place for place, (_, index) in enumerate(sorted(self.frames.items()))}
        nodes, depths, stack = [], [], [(0, 0)]
        while stack:
            node, depth = stack.pop()
            nodes.append(node)
            depths.append(depth)
            children = self.children[node]
            stack.extend((children[frame], depth + 1) for frame in sorted(children, key=rank.__getitem__, reverse=True))
        return nodes, depths

    def _areas(self, nodes: list[int], depths: list[int], origins: list[Origin], column: int) -> dict[Group, int]:
        """Return how much of the picture each group of functions covers."""
        areas = {each.group: 0 for each in origins}
        weights = [abs(self.values[node][column]) if node in self.values else 0 for node in nodes]
        path: list[int] = []
        parents = []
        for place, depth in enumerate(depths):
            path[depth:] = [place]
            parents.append(path[depth - 1])
        for place in range(len(nodes) - 1, 0, -1):
            weights[parents[place]] += weights[place]
            areas[origins[self.frame_of_node[nodes[place]]].group] += weights[place]
        return areas
