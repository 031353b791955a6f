"""Holds image/boards/*.toml, switched-off lines included, to the sections and keys of the agent's agent.toml."""

import re
import sys
import tomllib
from pathlib import Path

TREE = Path(__file__).resolve().parents[3]
# What is switched off stands behind `# `.
OFF = re.compile(r"^# (?=[a-z_]+ = )", re.MULTILINE)


def known() -> dict:
    """Keys of each section, also of those that have no default and stand in comments."""
    keys = {}
    section = None
    for line in (TREE / "agent/src/config/agent.toml").read_text().splitlines():
        if found := re.match(r"\[([a-z]+)\]", line):
            section = keys.setdefault(found.group(1), set())
        elif section is not None and (found := re.match(r"#? ?([a-z_]+) = ", line)):
            section.add(found.group(1))
    return keys


def main() -> None:
    sections = known()
    failed = False
    boards = sorted((TREE / "image/boards").glob("*.toml"))
    for path in boards:
        text = path.read_text()
        tomllib.loads(text)
        for section, keys in tomllib.loads(OFF.sub("", text)).items():
            for key in keys.keys() - sections.get(section, set()):
                print(f"{path.name}: [{section}] has no key {key}", file=sys.stderr)
                failed = True
    print(f"{len(boards)} configurations of boards")
    sys.exit(failed)


main()
