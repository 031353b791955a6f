"""`scripts/bench peers`: the agent beside other WebRTC senders, on the same clip, with the same viewers."""

import argparse
import json
import os
import platform
import shlex
import signal
import sys
import time
from pathlib import Path

import clip
import install
import network
import plots
import tables
from namespaces import Cable
from procs import Failure
from rows import Bench, aggregate
from senders import ALL, HERE, Agent, Place, size_of

# On a cable, and on a line.
CABLE_ROWS = ["cpu", "memory", "first", "calls"]
ROWS = [*CABLE_ROWS, *network.ROWS]
TREE = HERE.parent.parent


def say(words):
    print(f"==> {words}", file=sys.stderr, flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, short windows: to see that all of it runs")
    parser.add_argument("--only", metavar="NAME,...", help=f"of {', '.join(kind.name for kind in ALL)}")
    parser.add_argument("--rows", metavar="ROW,...", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--counts", default="1,8,16,32", metavar="N,...", help="viewers at once (1,8,16,32)")
    parser.add_argument("--rounds", type=int, help="runs of each sender and number of viewers (5; quick: 1)")
    parser.add_argument("--on-line", metavar="NAME,...", help="of those, the ones that are measured on a line (all)")
    parser.add_argument("--line-rounds", type=int, help="runs of each sender on each line (3; quick: 1)")
    parser.add_argument("--window", type=float, help="seconds that are measured in each run (10; quick: 4)")
    parser.add_argument("--agent", type=Path, help="an agent that is built already")
    parser.add_argument("--no-install", action="store_true", help="build and fetch nothing: all is there from before")
    parser.add_argument("--flame", type=Path, metavar="FOLDER", help="a flame graph of each sender and number of viewers there, "
                        "shares beside it (perf; of Rust programs that are built with CARGO_PROFILE_RELEASE_STRIP=none)")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="replace the section of a page, plots beside it")
    args = parser.parse_args()
    # The command as anybody can give it: what names files of this machine, or what was built before, is left out.
    own = [f"--{name}" for name in ("agent", "flame", "write") if getattr(args, name)]
    words = sys.argv[1:]
    args.said = [word for before, word in zip(["", *words], words)
                 if word != "--no-install" and word.split("=")[0] not in own and before not in own]
    names = args.only.split(",") if args.only else [kind.name for kind in ALL]
    known = {kind.name: kind for kind in ALL}
    if unknown := [name for name in names if name not in known]:
        parser.error(f"there is no sender {unknown[0]}: {', '.join(known)}")
    if args.write and not args.write.is_file():
        parser.error(f"there is no page {args.write}")
    if args.flame:
        if not set(args.rows.split(",") if args.rows else ROWS) & set(CABLE_ROWS):
            parser.error(f"flame graphs are taken with one of the rows {', '.join(CABLE_ROWS)}")
        args.flame.mkdir(parents=True, exist_ok=True)
    # The agent is what all others are compared with.
    args.kinds = [kind for kind in ALL if kind.name in names or (kind is Agent and len(names) > 1)]
    on_line = args.on_line.split(",") if args.on_line else names
    if unknown := [name for name in on_line if name not in known]:
        parser.error(f"there is no sender {unknown[0]}: {', '.join(known)}")
    args.on_line = [kind for kind in args.kinds if kind.name in on_line or kind is Agent]
    args.rows = args.rows.split(",") if args.rows else ROWS
    if unknown := [row for row in args.rows if row not in ROWS]:
        parser.error(f"there is no row {unknown[0]}: {', '.join(ROWS)}")
    try:
        args.counts = [int(count) for count in args.counts.split(",")]
    except ValueError:
        parser.error("--counts takes numbers")
    if not all(1 <= count <= 128 for count in args.counts):
        parser.error("1 to 128 viewers")
    args.rounds = args.rounds or (1 if args.quick else 5)
    # A scenario takes up to a minute of each sender.
    args.network_rounds = args.line_rounds or (1 if args.quick else 3)
    args.window = args.window or (4.0 if args.quick else 10.0)
    return args


def machine():
    """What of this machine a reader has to know."""
    model = platform.processor() or platform.machine()
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    return f"{platform.machine()}, {os.cpu_count()} cores ({model}), {system}, Linux {platform.release().split('-')[0]}"


def steady_rows(args, bench, result):
    """All runs: each round goes over all senders before the next one begins, the order turned by one each time."""
    runs = {}
    for turn in range(args.rounds):
        kinds = args.kinds[turn % len(args.kinds):] + args.kinds[:turn % len(args.kinds)]
        for count in args.counts:
            for kind in kinds:
                key = f"{kind.name} {count}"
                try:
                    figures = bench.run(kind, count, args.rows)
                except Failure as failure:
                    say(f"{key}: {failure}")
                    result["failures"][key] = "failed"
                    continue
                say(f"round {turn + 1} of {args.rounds}, {kind.name}, {count} viewers: {figures['cpu']:.1f} ms a "
                    f"viewer and second, {figures['pictures'] * 100:.0f} % of the pictures")
                runs.setdefault(kind.name, {}).setdefault(str(count), []).append(figures)
    for name, counts in runs.items():
        result["runs"][name] = {count: aggregate(figures) for count, figures in counts.items()}


def cpu_plot(result):
    groups = []
    for count in result["counts"]:
        rows = []
        for name, title in tables.titles(result):
            figures = result["runs"].get(name, {}).get(str(count))
            if figures:
                rows.append((title, figures["cpu"], figures["cpu_encoder"]))
        if rows:
            groups.append((f"{count} viewer{'s' if count > 1 else ''}", rows))
    return plots.bars("CPU of the sender, ms a viewer and second (grey: encoder)", groups)


def write(page, result):
    """Puts tables and plots into a page of the docs."""
    images = {}
    if result["runs"]:
        images["cpu"] = (cpu_plot(result), "CPU of each sender")
    for scenario in result.get("network", []):
        if scenario.get("series"):
            unit = "Mbit/s of video that came"
            drawn = plots.lines(scenario["title"], unit, scenario["series"], scenario.get("limit"))
            images[scenario["name"]] = (drawn, scenario["title"])
    result["plots"] = []
    for name, (svg, words) in images.items():
        path = page.with_name(f"{page.stem}-{name}.svg")
        path.write_text(svg, encoding="utf-8")
        result["plots"].append((path.name, words))
    section = tables.markdown(result)
    page.write_text(tables.replace_section(page.read_text(encoding="utf-8"), section), encoding="utf-8")
    return section


def main():
    args = arguments()
    # As Ctrl-C: what was started ends, what was made goes away.
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    target = Path(os.environ.get("CARGO_TARGET_DIR", TREE / "target"))
    folder, logs = target / "bench", target / "bench" / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    stream, mp4 = clip.make(folder)
    place = Place(folder, args.agent or target / "release" / "p2pcam-agent", stream, mp4, clip.FPS, clip.KBPS)
    if not args.no_install:
        install.install(place, args.kinds, args.agent is None, say)
    command = shlex.join(["./scripts/bench", "peers", *args.said])
    result = {
        "header": f"{machine()}; {time.strftime('%Y-%m-%d')}; `{command}`. Clip: H.264 baseline, "
                  f"{clip.WIDTH}x{clip.HEIGHT}, {clip.FPS} pictures/s, {clip.KBPS / 1000:g} Mbit/s, a key frame a second; "
                  f"{args.rounds} interleaved round{'s' if args.rounds > 1 else ''} of {args.window:g} s, medians.",
        "counts": args.counts, "runs": {}, "failures": {}, "senders": {},
    }
    on_a_line = network.chosen(args.on_line) if set(args.rows) & set(network.ROWS) else []
    for kind in [one for one in ALL if one in args.kinds or one in on_a_line]:
        sender = kind(place)
        result["senders"][kind.name] = {
            "title": sender.title, "version": sender.version(), "note": sender.note or "", "size": size_of(sender.files()),
        }
    if set(args.rows) & set(CABLE_ROWS):
        with Cable() as cable:
            steady_rows(args, Bench(place, cable, logs, args.window, args.flame), result)
    if set(args.rows) & set(network.ROWS):
        result["network"] = network.measure(args, place, logs, network.rig(TREE, args.no_install, say), say)
    (folder / "peers.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(write(args.write, result) if args.write else tables.markdown(result))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        say("stopped")
        sys.exit(130)
    except Failure as failure:
        say(str(failure))
        sys.exit(1)
