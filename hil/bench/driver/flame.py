"""Flame graphs: where a sender's processor time goes, by perf's samples of its stacks."""

import re
import subprocess
from collections import Counter
from html import escape

import plots
from procs import Failure, family

# Samples a second of processor time: a prime, so that no timer of the sender keeps step with it.
FREQUENCY = 4999
# Bytes of stack that a sample holds: futures of deep sessions need more than perf's 8 KiB.
STACK = 16384
# Boxes below this share of the whole are too narrow to be seen.
LEAST = 0.003
WIDTH, ROW, TOP = 1200, 17, 44
# What every thread begins with, and how the runtime comes to a task: says nothing of the work.
ENTRY = re.compile(r"\[unknown\]|clone3?$|start_thread|std::|core::ops::|<std::|<core::|tokio::runtime::(task|blocking|context)|"
                   r"tokio::runtime::scheduler::multi_thread::worker|<tracing::instrument|__libc_start|_start$|main$")
# The upper half of the address space (x86-64, arm64).
KERNEL_ADDRESS = re.compile(r"f{4}[0-9a-f]{12}$")
OWN, CRATES = "#7fb69e", "#e9c78a"
COLOURS = {"kernel": "#b8c4cc", "agent": OWN}


def stacks(pid, seconds, data):
    """Samples of a running process, its children too, over so many seconds: {(frame from the root, ...): samples}."""
    record = ["perf", "record", "--quiet", "--freq", str(FREQUENCY), "--call-graph", f"dwarf,{STACK}", "--output", str(data),
              "--pid", ",".join(str(one) for one in family(pid)), "--", "sleep", str(seconds)]
    script = ["perf", "script", "--input", str(data), "--fields", "comm,ip,sym", "--no-inline"]
    try:
        done = subprocess.run(record, capture_output=True, text=True, timeout=seconds + 60, check=False)
        if done.returncode != 0:
            raise Failure(f"perf record: {(done.stderr.strip() or 'ended early').splitlines()[-1]}")
        done = subprocess.run(script, capture_output=True, text=True, timeout=600, check=False)
    except FileNotFoundError:
        raise Failure("perf is not installed: Debian has it as linux-perf") from None
    finally:
        data.unlink(missing_ok=True)
    found = fold(done.stdout)
    if not found:
        raise Failure(f"perf took no samples: {(done.stderr.strip() or 'is it allowed here?').splitlines()[-1]}")
    return found


def fold(script):
    """Stacks in what `perf script` prints: a line of the thread's name, then a frame a line from the leaf on."""
    found = Counter()
    for block in script.split("\n\n"):
        thread, *frames = block.strip("\n").split("\n")
        if not frames:
            continue
        frames = [frame.split(None, 1) for frame in reversed(frames)]
        while len(frames) > 1 and ENTRY.match(frames[0][-1]):
            frames.pop(0)
        names = (f"kernel {name}" if KERNEL_ADDRESS.match(address) else short(name) for address, name in frames)
        found[thread.strip(), *names] += 1
    return found


def short(name):
    """A Rust path without its type arguments; `<A as B>::f` is A's f. A crate's own modules are left out but for the last."""
    while name.startswith("<"):
        end = closing(name)
        name = name[1:end].split(" as ")[0] + name[end + 1:]
    parts, depth = [], 0
    for letter in name:
        depth += letter == "<"
        if depth == 0:
            parts.append(letter)
        depth -= letter == ">"
    path = re.sub(r"::(h[0-9a-f]{16})?$", "", "".join(parts)).replace("{{closure}}", "{closure}").split("::")
    path = [part for part in path if part]
    if path and path[0] == "p2pcam_agent":
        return "agent " + "::".join(path[1:])
    return "::".join([path[0], *path[1:][-2:]]) if path else "[unknown]"


def closing(name):
    """Where the bracket that a name begins with is closed."""
    depth = 0
    for at, letter in enumerate(name):
        depth += (letter == "<") - (letter == ">" and name[at - 1] != "-")
        if depth == 0:
            return at
    return len(name)


def shares(found):
    """Share of the samples in which a frame stands anywhere, the largest first."""
    total, each = sum(found.values()), Counter()
    for stack, count in found.items():
        for name in set(stack):
            each[name] += count
    return [(name, count / total) for name, count in each.most_common()]


def draw(title, found):
    """The flame graph as plain SVG: a box's width is its share of the samples, what it calls stands above it."""
    total = sum(found.values())
    boxes, deepest = [], 0

    def place(stacked, depth, left):
        nonlocal deepest
        calls = {}
        for stack, count in stacked:
            if len(stack) > depth:
                calls.setdefault(stack[depth], []).append((stack, count))
        for name, inner in sorted(calls.items()):
            share = sum(count for _, count in inner) / total
            if share >= LEAST:
                boxes.append((depth, left, share, name))
                deepest = max(deepest, depth)
                place(inner, depth + 1, left)
            left += share

    place(list(found.items()), 0, 0.0)
    height = TOP + (deepest + 1) * ROW + 10
    scale = WIDTH - 20
    legend = f"{total} samples; grey: kernel, green: the agent's own, yellow: crates and libraries"
    parts = [plots.text(10, 20, title), plots.text(10, 36, legend)]
    for depth, left, share, name in boxes:
        x, y, wide = 10 + left * scale, height - 10 - (depth + 1) * ROW, share * scale
        group, _, own = name.partition(" ")
        colour = COLOURS.get(group, CRATES) if own else OWN if depth == 0 else CRATES
        parts.append(f'<g><title>{escape(name)}: {share * 100:.1f} %</title><rect x="{x:.1f}" y="{y}" '
                     f'width="{max(wide - 0.5, 0.3):.1f}" height="{ROW - 1}" fill="{colour}"/>')
        # About six units a letter of this font.
        if (room := int((wide - 4) / 5.8)) >= 3:
            words = own if group in COLOURS and own else name
            while len(words) > room and "::" in words:
                words = words.split("::", 1)[1]
            words = words if len(words) <= room else words[:room - 1] + "…"
            parts.append(f'<text x="{x + 2:.1f}" y="{y + 12}">{escape(words)}</text>')
        parts.append("</g>")
    body = "".join(parts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'font-family="monospace" font-size="9.5"><rect width="{WIDTH}" height="{height}" fill="#fff"/>{body}</svg>\n')
