"""Results as Markdown."""

AGENT = "agent"


def ratio(value, base):
    return f" ({value / base:.2f}x)" if base else ""


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def titles(result):
    return [(name, result["senders"][name]["title"]) for name in result["senders"]]


def per_count(result, what, form):
    """A row for each sender, a column for each number of viewers; `form(figures, the agent's figures)` fills it."""
    counts = result["counts"]
    rows = []
    for name, title in titles(result):
        cells = []
        for count in counts:
            figures = result["runs"].get(name, {}).get(str(count))
            base = result["runs"].get(AGENT, {}).get(str(count))
            if figures is None:
                cells.append(result["failures"].get(f"{name} {count}", "-"))
            else:
                cells.append(form(figures, base))
        if any(cell != "-" for cell in cells):
            rows.append([title, *cells])
    head = [what, *(f"{count} viewer{'s' if count > 1 else ''}" for count in counts)]
    return table(head, rows) if rows else ""


def cpu(figures, base):
    cell = f"{figures['cpu']:.1f}" + ratio(figures["cpu"], base and base["cpu"])
    if figures.get("cpu_encoder"):
        rest = figures["cpu"] - figures["cpu_encoder"]
        cell += f"; without encoder {rest:.1f}" + ratio(rest, base and base["cpu"])
    if "short" in figures:
        cell += f"; only {figures['short']}"
    return cell


def calls(figures, base):
    return "n/a" if figures.get("calls") is None else f"{figures['calls']:.2f}"


def delivered(figures, _):
    text = f"{figures['pictures'] * 100:.0f} % (worst {figures['worst'] * 100:.0f} %), {figures['wire_kbps']:.0f} kbit/s"
    return text + (f", {figures['freezes']:.0f} freezes" if figures["freezes"] else "")


def memory(result):
    rows = []
    largest = str(max(result["counts"]))
    agent = per_viewer(result["runs"].get(AGENT, {}).get(largest), int(largest))
    for name, title in titles(result):
        runs = result["runs"].get(name, {})
        if largest not in runs:
            continue
        figures = runs[largest]
        further = per_viewer(figures, int(largest))
        text = "-" if further is None else f"{further:.0f}" + ratio(further, agent)
        rows.append([title, f"{figures['rest'][0] / 1024:.1f}", f"{figures['rest'][1] / 1024:.1f}",
                     f"{figures['one'][0] / 1024:.1f}", text])
    head = ["memory", "at rest, MiB resident", "of it its own (PSS)", "1 viewer, MiB resident",
            f"each further viewer up to {largest}, KiB"]
    return table(head, rows) if rows else ""


def per_viewer(figures, count):
    return (figures["all"][0] - figures["one"][0]) / (count - 1) if figures and count > 1 else None


def first(result):
    rows = []
    agent = result["runs"].get(AGENT, {}).get("1", {}).get("first")
    for name, title in titles(result):
        figures = result["runs"].get(name, {}).get("1", {}).get("first")
        if figures:
            rows.append([title, f"{figures['connected']:.0f}" + ratio(figures["connected"], agent and agent["connected"]),
                         f"{figures['picture']:.0f}" + ratio(figures["picture"], agent and agent["picture"])])
    return table(["from the offer, ms", "to the connection", "to the first picture"], rows) if rows else ""


def sizes(result):
    rows = [[title, f"{result['senders'][name]['size'] / 1e6:.1f}" if result["senders"][name]["size"] else "n/a",
             result["senders"][name]["version"], result["senders"][name]["note"]] for name, title in titles(result)]
    return table(["sender", "MB on disk", "version", "what to know"], rows)


def network(result):
    """Rows of the shaped line: a sender each, its figures as the scenario names them."""
    parts = []
    for scenario in result.get("network", []):
        rows = []
        for name, title in titles(result):
            figures = scenario["senders"].get(name)
            if figures:
                rows.append([title, "fills" if figures["adapts"] else "fixed rate", *figures["cells"]])
        if rows:
            parts.append(f"{scenario['title']}\n\n" + table(["sender", "rate", *scenario["head"]], rows))
    return "\n\n".join(parts)


def markdown(result):
    """The whole section."""
    parts = [result["header"]]
    if result["runs"]:
        parts += [
            "CPU of the sender, in milliseconds a viewer and second (median; ratio to the agent):",
            per_count(result, "CPU", cpu),
            memory(result), first(result),
            "Datagrams a kernel call that sends:", per_count(result, "datagrams a call", calls),
            "What the viewers got:", per_count(result, "pictures", delivered),
        ]
    parts += [network(result), sizes(result)]
    for image, text in result.get("plots", []):
        parts.append(f"![{text}]({image})")
    return "\n\n".join(part for part in parts if part) + "\n"


def replace_section(text, section):
    """Puts the section between the markers of a page, or at its end with markers."""
    begin, end = "<!-- peers: begin -->", "<!-- peers: end -->"
    block = f"{begin}\n\n{section}\n{end}"
    if begin in text and end in text:
        head, rest = text.split(begin, 1)
        return head + block + rest.split(end, 1)[1]
    return text.rstrip("\n") + f"\n\n## Beside other senders\n\n{block}\n"
