"""Plots as plain SVG: bars of CPU, lines of a rate over time."""

from html import escape

# Told apart also without colour: order and labels say the same.
COLOURS = ["#0b6e4f", "#7fb69e", "#c44536", "#e09f3e", "#335c67", "#9a6fb0", "#6c757d", "#2b2d42"]
WIDTH, LEFT, RIGHT = 760, 210, 90
FONT = 'font-family="sans-serif" font-size="12" fill="#444"'


def text(x, y, words, anchor="start"):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" {FONT}>{escape(words)}</text>'


def page(height, parts):
    # A white sheet: pages are read on dark grounds too.
    sheet = f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
            f"{sheet}{''.join(parts)}</svg>\n")


def bars(title, groups):
    """`groups`: [(name of the group, [(label, value, part of it that is set off)])]."""
    most = max((value for _, rows in groups for _, value, _ in rows), default=1) or 1
    scale = (WIDTH - LEFT - RIGHT) / most
    parts, y = [text(10, 20, title)], 44
    for name, rows in groups:
        parts.append(text(10, y, name))
        y += 8
        for label, value, apart in rows:
            colour = COLOURS[0] if "p2pcam" in label else COLOURS[4]
            parts.append(text(LEFT - 8, y + 12, label, "end"))
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{value * scale:.1f}" height="15" fill="{colour}"/>')
            if apart:
                x = LEFT + (value - apart) * scale
                parts.append(f'<rect x="{x:.1f}" y="{y}" width="{apart * scale:.1f}" height="15" fill="#ccc"/>')
            parts.append(text(LEFT + value * scale + 6, y + 12, f"{value:.1f}"))
            y += 19
        y += 22
    return page(y, parts)


def lines(title, unit, series, limit=None):
    """`series`: {label: [(seconds, value)]}; `limit`: what was there to be had, likewise."""
    height, top, bottom, left = 340, 40, 40, 60
    points = [point for line in [*series.values(), limit or []] for point in line]
    if not points:
        return page(60, [text(10, 20, title)])
    longest = max(x for x, _ in points) or 1
    most = max(y for _, y in points) * 1.05 or 1
    # Names of senders stand beside the lines.
    right = WIDTH - 270

    def at(x, y):
        return left + x / longest * (right - left), height - bottom - y / most * (height - top - bottom)

    def path(line, style):
        where = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in line))
        return f'<polyline points="{where}" fill="none" {style}/>'

    parts = [text(10, 20, f"{title} ({unit})")]
    for step in range(5):
        x, y = at(longest * step / 4, most * step / 4)
        parts.append(f'<line x1="{left}" x2="{right}" y1="{y:.0f}" y2="{y:.0f}" stroke="#eee"/>')
        parts.append(text(left - 6, y + 4, f"{most * step / 4:.1f}", "end"))
        parts.append(text(x, height - bottom + 18, f"{longest * step / 4:.0f} s", "middle"))
    if limit:
        parts.append(path(limit, 'stroke="#999" stroke-width="1" stroke-dasharray="5 4"'))
    for number, (label, line) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(path(line, f'stroke="{colour}" stroke-width="2"'))
        y = top + 18 * number + 10
        parts.append(f'<line x1="{right + 12}" x2="{right + 32}" y1="{y - 4}" y2="{y - 4}" stroke="{colour}" stroke-width="2"/>')
        parts.append(text(right + 38, y, label))
    return page(height, parts)
