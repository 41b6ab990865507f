"""A page of bar charts, one chart a workload, in one HTML file with inline SVG and nothing to load."""

import html

COLOURS = {"seqgpu": "#c8502d", "onednn": "#31688e", "cudnn": "#31688e", "naive": "#7a7a7a", "pytorch": "#8a6fb0"}
HEIGHT, LEFT, WIDTH, RIGHT = 18, 150, 420, 130

STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 46em; color: #222; }
h1 { font-size: 1.3em; } h2 { font-size: 1.05em; margin: 1.6em 0 .2em; } p { margin: .2em 0 .6em; }
svg text { font: 12px system-ui, sans-serif; fill: #222; } .limit { stroke: #222; stroke-dasharray: 3 2; }
.lost h2 { color: #b00020; } .more { fill: #666; }
"""


def chart(one):
    """title, note, unit, lost, limit or None, bars: (contestant, label, value)"""
    limit = one.get("limit")
    largest = max([value for _, _, value in one["bars"]] + [limit or 0]) or 1
    rows = []
    for i, (contestant, label, value) in enumerate(one["bars"]):
        top, width = i * (HEIGHT + 4), max(1, WIDTH * value / largest)
        colour = COLOURS.get(contestant, "#9aa05a")
        rows.append(f'<text x="{LEFT - 6}" y="{top + 13}" text-anchor="end">{html.escape(label)}</text>')
        rows.append(f'<rect x="{LEFT}" y="{top}" width="{width:.1f}" height="{HEIGHT}" fill="{colour}"></rect>')
        rows.append(f'<text x="{LEFT + width + 5:.1f}" y="{top + 13}">{value:.4g} {html.escape(one["unit"])}</text>')
    height = len(one["bars"]) * (HEIGHT + 4)
    if limit:
        x = LEFT + WIDTH * limit / largest
        rows.append(f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"></line>')
        rows.append(f'<text class="more" x="{x:.1f}" y="{height + 12}" text-anchor="middle">limit {limit:.4g}</text>')
        height += 16
    size = f'width="{LEFT + WIDTH + RIGHT}" height="{height}"'
    lost = ' class="lost"' if one.get("lost") else ""
    return (f'<section{lost}><h2>{html.escape(one["title"])}</h2><p>{html.escape(one["note"])}</p>'
            f'<svg role="img" aria-label="{html.escape(one["title"], quote=True)}" {size}>{"".join(rows)}</svg></section>\n')  # fmt: skip


def page(title, charts):
    body = "".join(map(chart, charts)) or "<p>Nothing was timed.</p>\n"
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"></meta><title>{html.escape(title)}</title>'
            f"<style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>\n"
            f"<p>Shorter is better; rows that seqgpu loses come first.</p>\n{body}</body></html>\n")  # fmt: skip
