"""Holds image/boards/*.toml, switched-off lines included, to the agent's configuration.

Sections and keys are compared with the agent's agent.toml; values are read by an agent, if AGENT_UNDER_TEST names one.
"""

import os
import re
import subprocess
import sys
import tempfile
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


def refused(agent: str, text: str) -> str:
    """What the agent's own reader says against a configuration; nothing if it takes it."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text)
        file.flush()
        # No variable of whoever runs this may change a value.
        done = subprocess.run([agent, "config", "--config", file.name], env={}, capture_output=True, text=True, check=False)
        return done.stderr.replace(file.name, "") if done.returncode else ""


def main() -> None:
    sections = known()
    failed = False
    agent = os.environ.get("AGENT_UNDER_TEST")
    # An agent that takes anything would make the rest of this worthless.
    if agent and not refused(agent, '[video]\nencoder = "none such"\n'):
        sys.exit(f"{agent} takes any value")
    boards = sorted((TREE / "image/boards").glob("*.toml"))
    for path in boards:
        text = path.read_text()
        tomllib.loads(text)
        for section, keys in tomllib.loads(OFF.sub("", text)).items():
            for key in keys.keys() - sections.get(section, set()):
                print(f"{path.name}: [{section}] has no key {key}", file=sys.stderr)
                failed = True
        for variant in (text, OFF.sub("", text)) if agent else ():
            if said := refused(agent, variant):
                print(f"{path.name}: {said.strip()}", file=sys.stderr)
                failed = True
    print(f"{len(boards)} configurations of boards{', read by an agent' if agent else ', keys only: no agent to read the values'}")
    sys.exit(failed)


main()
