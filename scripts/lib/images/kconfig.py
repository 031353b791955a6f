"""Reads the Buildroot tree's Config.in with kconfiglib, and holds defconfigs, .mk and .hash to the source tree.

Symbols of Buildroot itself are unknown here: `check-images --buildroot` looks at those.
"""

import fnmatch
import hashlib
import os
import re
import sys
from pathlib import Path

import kconfiglib

TREE = Path(__file__).resolve().parents[3]
EXTERNAL = TREE / "buildroot-external"
PACKAGE = EXTERNAL / "package/p2pcam-agent"


def menus(wrong: list) -> kconfiglib.Kconfig:
    os.environ["BR2_EXTERNAL_P2PCAM_PATH"] = str(EXTERNAL)
    # Without a prefix, Buildroot's way of writing configurations.
    os.environ["CONFIG_"] = ""
    config = kconfiglib.Kconfig(str(EXTERNAL / "Config.in"), warn_to_stderr=False)
    wrong += [line for line in config.warnings if "undefined symbol" not in line]
    ours = [s for s in config.unique_defined_syms if s.name.startswith("BR2_PACKAGE_P2PCAM_")]
    for symbol in ours:
        if not all(node.help for node in symbol.nodes):
            wrong.append(f"{symbol.name} has no help text")
    return config


def defconfig(path: Path, config: kconfiglib.Kconfig, wrong: list) -> None:
    text = path.read_text()
    if not path.name.startswith("p2pcam_"):
        wrong.append(f"{path.name}: defconfigs of all trees share one list, so the name begins with p2pcam_")
    for name in re.findall(r"BR2_PACKAGE_P2PCAM_[A-Z0-9_]+", text):
        if name not in config.syms or not config.syms[name].nodes:
            wrong.append(f"{path.name}: {name} is in no Config.in")
    for file in re.findall(r"\$\(BR2_EXTERNAL_P2PCAM_PATH\)(/[^\s\"]+)", text):
        if not Path(f"{EXTERNAL}{file}").exists():
            wrong.append(f"{path.name}: there is no {file}")
    board = re.search(r'^BR2_ROOTFS_POST_SCRIPT_ARGS="(.+)"$', text, re.MULTILINE)
    if not board:
        wrong.append(f"{path.name}: BR2_ROOTFS_POST_SCRIPT_ARGS names no board")
    else:
        for file in ("board.sh", "genimage.cfg"):
            if not (EXTERNAL / "board/p2pcam" / board.group(1) / file).exists():
                wrong.append(f"{path.name}: board {board.group(1)} has no {file}")
    toml = re.search(r'^BR2_PACKAGE_P2PCAM_AGENT_BOARD="(.+)"$', text, re.MULTILINE)
    name = toml.group(1) if toml else config.syms["BR2_PACKAGE_P2PCAM_AGENT_BOARD"].str_value or "qemu"
    if not (TREE / f"image/boards/{name}.toml").exists():
        wrong.append(f"{path.name}: there is no image/boards/{name}.toml")


def package(wrong: list) -> None:
    version = re.search(r'^version = "(.+)"$', (TREE / "Cargo.toml").read_text(), re.MULTILINE).group(1)
    make = (PACKAGE / "p2pcam-agent.mk").read_text()
    if f"P2PCAM_AGENT_VERSION = {version}\n" not in make:
        wrong.append(f"p2pcam-agent.mk: its version is not the workspace's, {version}")
    for file in re.findall(r"\$\(@D\)/((?:agent|image)/[^\s$]+)", make):
        if not list(TREE.glob(file)):
            wrong.append(f"p2pcam-agent.mk: installs {file}, which is not in the tree")
    for symbol in set(re.findall(r"BR2_PACKAGE_P2PCAM_AGENT_[A-Z]+", make)):
        if f"config {symbol}\n" not in (PACKAGE / "Config.in").read_text():
            wrong.append(f"p2pcam-agent.mk: {symbol} is not in Config.in")
    for line in (PACKAGE / "p2pcam-agent.hash").read_text().splitlines():
        kind, *rest = line.split()
        if kind == "sha256" and (TREE / rest[1]).exists():
            have = hashlib.sha256((TREE / rest[1]).read_bytes()).hexdigest()
            if have != rest[0]:
                wrong.append(f"p2pcam-agent.hash: {rest[1]} has sha256 {have}")


# U-Boot's options stand in fragments of each board here, and no defconfig is for the Raspberry Pi 5.
YOCTO_ALONE = {"u-boot.cfg", "raspberrypi5.cfg"}


def used(wrong: list) -> None:
    """Everything that images share is installed, mounted or built in by this tree."""
    text = "\n".join(p.read_text() for p in EXTERNAL.rglob("*") if p.is_file() and p.suffix != ".md")
    patterns = re.findall(r"image/([\w-]+/[\w.*-]+)", text)
    for path in sorted((TREE / "image").glob("*/*")):
        name = f"{path.parent.name}/{path.name}"
        # Boards are named by BR2_PACKAGE_P2PCAM_AGENT_BOARD.
        if path.parent.name == "boards" or path.name in YOCTO_ALONE:
            continue
        if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
            wrong.append(f"image/{name} is not in any image of Buildroot")


def main() -> None:
    wrong: list = []
    used(wrong)
    config = menus(wrong)
    defconfigs = sorted((EXTERNAL / "configs").glob("*_defconfig"))
    for path in defconfigs:
        defconfig(path, config, wrong)
    package(wrong)
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"{len(defconfigs)} defconfigs, {len(config.unique_defined_syms)} symbols, {len(wrong)} findings")
    sys.exit(bool(wrong))


main()
