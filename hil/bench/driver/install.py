"""What the senders need beside Debian's packages: built and fetched into the target folder, in pinned versions."""

import filecmp
import os
import shutil
import subprocess

from procs import Failure
from senders import HERE, Agent, Aiortc, Node, Rust

# Building is not what is measured; who works on the machine comes first.
NICE = ["nice", "-n", "10"]


def run(command, say, **options):
    say(" ".join(str(word) for word in command[-6:]))
    done = subprocess.run([*NICE, *command], stdout=2, check=False, **options)
    if done.returncode != 0:
        raise Failure(f"{command[0]} {command[1]} ended with {done.returncode}; its words stand above")


def rust(place, kinds, say):
    """The receiver, and the bare crates that are asked for."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(place.target / "rust")}
    manifest = ["--manifest-path", HERE / "Cargo.toml"]
    # Each alone: built together, each would get the features that another one asks its dependencies for.
    for package in ["bench-receiver", *(f"bench-peer-{kind.crate}" for kind in kinds if issubclass(kind, Rust))]:
        run(["cargo", "build", "--locked", "--release", *manifest, "--package", package], say, env=environment)


def agent(place, say):
    """The agent as it ships."""
    run(["cargo", "build", "--locked", "--release", "--package", "p2pcam-agent"], say, cwd=HERE.parent.parent)


def node(place, kind, say):
    """A package of npm with what belongs to it, by its lock file."""
    folder = kind(place).folder
    source = HERE / "peers" / kind.name
    names = ("package.json", "package-lock.json")
    present = (folder / "node_modules").is_dir()
    if present and all((folder / name).exists() and filecmp.cmp(source / name, folder / name) for name in names):
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(source / name, folder / name)
    run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], say, cwd=folder)


def aiortc(place, say):
    """A Python environment with aiortc."""
    folder = Aiortc(place).folder
    wanted, done = HERE / "peers" / "aiortc" / "requirements.txt", folder / "requirements.txt"
    if done.exists() and filecmp.cmp(wanted, done):
        return
    # Debian's interpreter: whatever else is first in PATH.
    run(["/usr/bin/python3", "-m", "venv", folder], say)
    run([folder / "bin" / "pip", "install", "--quiet", "--requirement", wanted], say)
    shutil.copy(wanted, done)


def install(place, kinds, build_agent, say):
    """All that the chosen senders need."""
    rust(place, kinds, say)
    for kind in kinds:
        if issubclass(kind, Node):
            node(place, kind, say)
        elif kind is Aiortc:
            aiortc(place, say)
    if build_agent and any(issubclass(kind, Agent) for kind in kinds):
        agent(place, say)
