# The Rust that the agent's dependencies say they need, beside the rust-version that Cargo.toml promises.
"""Reads `cargo metadata` from standard input; exit code 1 if rust-version is not the highest that is asked for."""

import json
import sys

# Its own dependencies set the promise; those of the others must not need more.
AGENT = "p2pcam-agent"
OTHERS = ["p2pcam-hil", "p2pcam-board-tests"]


def version(text):
    """(1, 89, 0) of "1.89"; (0, 0, 0) of a package that says nothing."""
    parts = [int(part) for part in (text or "0").split(".")]
    return tuple(parts + [0] * (3 - len(parts)))


def graph(metadata, name):
    """All packages that a member is built from, itself left out; what only its tests need is not among them."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = next(id for id in metadata["workspace_members"] if packages[id]["name"] == name)
    seen, left = set(), [root]
    while left:
        id = left.pop()
        if id in seen:
            continue
        seen.add(id)
        for dependency in nodes[id]["deps"]:
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                left.append(dependency["pkg"])
    return packages[root], [packages[id] for id in seen if id not in metadata["workspace_members"]]


def problems(metadata):
    """Sentences; none if the promise is true and not higher than need be."""
    agent, its = graph(metadata, AGENT)
    promised = version(agent["rust_version"])
    found = []
    for name in [AGENT, *OTHERS]:
        for package in sorted(graph(metadata, name)[1], key=lambda package: package["name"]):
            if version(package["rust_version"]) > promised:
                found.append(f"{package['name']} {package['version']} of {name} needs Rust {package['rust_version']}")
    highest = max(version(package["rust_version"]) for package in its)
    if highest < promised:
        found.append(f"no dependency of {AGENT} needs more than Rust {'.'.join(map(str, highest))}")
    return promised, sorted(set(found))


if __name__ == "__main__":
    promised, found = problems(json.load(sys.stdin))
    for problem in found:
        print(f"rust-version is {'.'.join(map(str, promised))}, but {problem}.", file=sys.stderr)
    sys.exit(1 if found else 0)
