"""Reads each kas file of the layer with kas' own reader, includes and schema; holds it to what cannot be fetched here.

    kas_files.py FILE...
"""

import argparse
import re
import sys
from pathlib import Path

from kas.context import create_global_context
from kas.includehandler import IncludeHandler

LAYER = Path(__file__).resolve().parents[3] / "meta-p2pcam"


def wrong(path: Path, config: dict) -> list[str]:
    found = []
    for name, repo in config.get("repos", {}).items():
        repo = repo or {}
        if "url" not in repo:
            layers = repo.get("layers") or {}
            found += [f"{name}: the layer {x} is not in this repository" for x in layers if not (LAYER.parent / x).is_dir()]
            continue
        if not re.fullmatch(r"[0-9a-f]{40}", repo.get("commit", "")):
            found.append(f"{name}: no commit is pinned")
        if not repo.get("branch"):
            found.append(f"{name}: no branch says where the commit is from")
        if not repo["url"].startswith("https://"):
            found.append(f"{name}: fetched without TLS")
    for target in config.get("target", []):
        if target.startswith("p2pcam") and not any(LAYER.rglob(f"{target}*.bb")):
            found.append(f"target {target}: no such recipe")
    return found


def main() -> None:
    create_global_context(argparse.Namespace(no_color=True))
    failed = False
    machines = set()
    for name in sys.argv[1:]:
        path = Path(name).resolve()
        try:
            config, missing = IncludeHandler([str(path)]).get_config(repos={})
        except Exception as error:  # noqa: BLE001 - kas has several, each with a message
            config, missing = {}, []
            print(f"{name}: {error}", file=sys.stderr)
            failed = True
        if missing:
            print(f"{name}: includes files of repositories: {missing}", file=sys.stderr)
            failed = True
        for line in wrong(path, config):
            print(f"{name}: {line}", file=sys.stderr)
            failed = True
        if "machine" in config:
            machines.add(config["machine"])
    print(f"{len(sys.argv) - 1} kas files, machines: {', '.join(sorted(machines))}")
    sys.exit(failed)


main()
