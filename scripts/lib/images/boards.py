"""Holds image/boards/*.toml, comments that are switched-off settings included, to the keys of the agent's agent.toml."""

import re
import sys
import tomllib
from pathlib import Path

TREE = Path(__file__).resolve().parents[3]
# `# key = value`, as the default file and the boards' files write what is switched off.
OFF = re.compile(r"^# ?(?=[a-z_]+ = )", re.MULTILINE)


def read(path: Path) -> dict:
    return tomllib.loads(OFF.sub("", path.read_text()))


def main() -> None:
    known = read(TREE / "agent/src/config/agent.toml")
    failed = False
    boards = sorted((TREE / "image/boards").glob("*.toml"))
    for path in boards:
        for section, keys in read(path).items():
            for key, value in keys.items():
                have = known.get(section, {}).get(key)
                if key not in known.get(section, {}):
                    print(f"{path.name}: [{section}] has no key {key}", file=sys.stderr)
                    failed = True
                elif type(have) is not type(value) and not (section == "gpio" and isinstance(value, (str, list))):
                    print(f"{path.name}: [{section}] {key} is of another type by default", file=sys.stderr)
                    failed = True
    print(f"{len(boards)} configurations of boards")
    sys.exit(failed)


main()
