"""Parses every recipe and append of meta-p2pcam with BitBake's own library, and installs what needs no compiler.

    layer.py ROOT    ROOT is made: what the recipes' do_install puts into an image, with stand-ins for programs

Classes of OpenEmbedded are stand-ins without content: a wrong word in a recipe, a file that is not there, a licence whose
text changed, a unit that names a program that nobody installs are found; what the classes do with it is found by
`check-images --oe`.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import types
from pathlib import Path

TREE = Path(__file__).resolve().parents[3]
LAYER = TREE / "meta-p2pcam"

# Servers of hashes and package revisions belong to builds; BitBake's library loads them all the same.
for name in ("hashserv", "hashserv.client", "prserv", "prserv.serv"):
    module = sys.modules[name] = types.ModuleType(name)
    if "." in name:
        setattr(sys.modules[name.split(".")[0]], name.split(".")[1], module)

import bb  # noqa: E402
import bb.data  # noqa: E402
import bb.data_smart  # noqa: E402
import bb.fetch2  # noqa: E402
import bb.parse  # noqa: E402
import bb.siggen  # noqa: E402

import sources as tree_sources  # noqa: E402

# As in bitbake.conf.
CONFIGURATION = {
    "PN": "${@bb.parse.vars_from_file(d.getVar('FILE', False), d)[0]}",
    "PV": "${@bb.parse.vars_from_file(d.getVar('FILE', False), d)[1] or '1.0'}",
    "BPN": "${PN}",
    "BP": "${BPN}-${PV}",
    "THISDIR": "${@os.path.dirname(d.getVar('FILE', False))}",
    "FILESPATH": "${@d.getVar('FILESEXTRAPATHS') or ''}:${THISDIR}/${BPN}:${THISDIR}/files",
    "WORKDIR": "/work",
    "UNPACKDIR": "${WORKDIR}/sources",
    "S": "${UNPACKDIR}/${BP}",
    "B": "${S}",
    "DL_DIR": "/downloads",
    "PERSISTENT_DIR": "/persistent",
    "prefix": "/usr",
    "bindir": "/usr/bin",
    "libexecdir": "/usr/libexec",
    "datadir": "/usr/share",
    "sysconfdir": "/etc",
    "localstatedir": "/var",
    "nonarch_base_libdir": "/usr/lib",
    "nonarch_libdir": "/usr/lib",
    "systemd_unitdir": "/usr/lib/systemd",
    "systemd_system_unitdir": "/usr/lib/systemd/system",
    "CARGO_TARGET_SUBDIR": "target/release",
    "RUSTVERSION": "1.94.1%",
    "DISTROOVERRIDES": "nodistro",
    "DISTRO_FEATURES": "systemd sysvinit rauc",
    "P2PCAM_TREE": str(TREE),
    "P2PCAM_LAYERDIR": str(LAYER),
    "BB_SIGNATURE_HANDLER": "noop",
}
# MACHINE and the overrides that its files set: each append and each choice by board counts for one of them.
MACHINES = {
    "qemuarm64": "qemuall",
    "raspberrypi4-64": "rpi:raspberrypi4",
    "raspberrypi5": "rpi",
    "raspberrypi0-2w-64": "rpi",
    "rock-5b": "rockchip:rk3588",
    "radxa-zero-3w": "rockchip:rk3566",
}


def words(text: str | None) -> list[str]:
    return (text or "").split()


class Layer:
    """The layer, with stand-ins beside it for the classes and recipes of other layers."""

    def __init__(self, stand_ins: Path):
        self.stand_ins = stand_ins
        classes = stand_ins / "classes"
        classes.mkdir()
        names = {"base", "native"}
        for path in LAYER.rglob("*.bb*"):
            for line in re.findall(r"^inherit(?:_defer)? (.+)$", path.read_text(), re.MULTILINE):
                names.update(words(line))
        for name in names - {path.stem for path in LAYER.rglob("*.bbclass")}:
            (classes / f"{name}.bbclass").write_text("")
        (stand_ins / "keyring.pem").write_text("")

    def data(self, machine: str) -> bb.data_smart.DataSmart:
        data = bb.data.init()
        bb.parse.siggen = bb.siggen.SignatureGenerator(data)
        for name, value in CONFIGURATION.items():
            data.setVar(name, value)
        data.setVar("BBPATH", f"{LAYER}:{self.stand_ins}")
        data.setVar("__bbclasstype", "recipe")
        data.setVar("MACHINE", machine)
        data.setVar("OVERRIDES", f"{MACHINES[machine]}:{machine}:${{DISTROOVERRIDES}}:class-target:forcevariable")
        data.setVar("RAUC_KEYRING_FILE", str(self.stand_ins / "keyring.pem"))
        configuration = self.stand_ins / "local.conf"
        configuration.write_text("require conf/distro/include/p2pcam.inc\n")
        return bb.parse.handle(str(configuration), data)

    def parse(self, path: Path, machine: str) -> bb.data_smart.DataSmart:
        """A recipe; or an append, onto an empty recipe of its name."""
        data = self.data(machine)
        if path.suffix == ".bbappend":
            recipe = self.stand_ins / path.name.replace("_%", "_1").replace(".bbappend", ".bb")
            recipe.write_text('SUMMARY = "stand-in"\nSRC_URI = ""\n')
            data.setVar("__BBAPPEND", str(path))
            path = recipe
        parsed = bb.parse.handle(str(path), data)
        return parsed[""]


class Findings:
    def __init__(self):
        self.wrong = []

    def say(self, path: Path, what: str) -> None:
        line = f"{os.path.relpath(path, TREE)}: {what}"
        if line not in self.wrong:
            self.wrong.append(line)


def sources(path: Path, data, findings: Findings) -> int:
    """Every local file is there, every crate can be fetched by name and checksum; how many crates there are."""
    count = 0
    for uri in words(data.getVar("SRC_URI")):
        try:
            fetch = bb.fetch2.FetchData(uri, data)
        except bb.fetch2.BBFetchException as error:
            findings.say(path, f"{uri}: {error}")
            continue
        if fetch.type == "file":
            fetch.setup_localpath(data)
            if not os.path.exists(fetch.localpath):
                findings.say(path, f"{uri}: there is no such file")
        elif fetch.type == "crate":
            count += 1
            if not fetch.sha256_expected:
                findings.say(path, f"{uri}: no checksum")
        else:
            findings.say(path, f"{uri}: only files of the tree and crates are expected")
    return count


def licence(path: Path, data, findings: Findings) -> None:
    for entry in words(data.getVar("LIC_FILES_CHKSUM")):
        file, _, rest = entry.removeprefix("file://").partition(";")
        have = hashlib.md5((TREE / file).read_bytes()).hexdigest()
        if rest != f"md5={have}":
            findings.say(path, f"the licence text {file} has md5={have}")


def complete(path: Path, data, findings: Findings) -> None:
    """Recipes that build a program take all that it is made of, and unit tests leave the program itself out."""
    folder = data.getVar("CARGO_SRC_DIR")
    if not folder:
        return
    for line in tree_sources.missing(TREE, folder, words(data.getVar("P2PCAM_FILES"))):
        findings.say(path, line)
    if bb.data.inherits_class("ptest-cargo", data):
        # As bb.build sets it for the task.
        task = bb.data.createCopy(data)
        task.setVar("OVERRIDES", f"task-compile-ptest-cargo:{data.getVar('OVERRIDES', False)}")
        left = words(task.getVar("CARGO_BUILD_FLAGS"))
        if "--bin" in left or data.getVar("PN") in left:
            findings.say(path, f"tests are built with {' '.join(left)}: ptest-cargo would run the program as a test")


def version(path: Path, data, findings: Findings) -> None:
    manifest = (TREE / "Cargo.toml").read_text()
    if path.suffix == ".bb" and "_" in path.stem:
        want = re.search(r'^version = "(.+)"$', manifest, re.MULTILINE).group(1)
        if data.getVar("PV") != want:
            findings.say(path, f"its version is not the workspace's, {want}")
    rust = data.getVar("P2PCAM_RUST")
    want = re.search(r'^rust-version = "(.+)"$', manifest, re.MULTILINE).group(1)
    if rust and rust != want:
        findings.say(path, f"P2PCAM_RUST is not rust-version of Cargo.toml, {want}")


def reached(layer: Layer, recipes: list[Path], findings: Findings) -> None:
    """layer.conf can be read, and its globs hold every recipe."""
    data = layer.data("qemuarm64")
    data.setVar("LAYERDIR", str(LAYER))
    path = LAYER / "conf/layer.conf"
    data = bb.parse.handle(str(path), data)
    globs = words(data.getVar("BBFILES")) + [e.split(":", 1)[1] for e in words(data.getVar("BBFILES_DYNAMIC"))]
    for recipe in recipes:
        if not any(recipe.match(glob.removeprefix(str(LAYER)).lstrip("/")) for glob in globs):
            findings.say(path, f"neither BBFILES nor BBFILES_DYNAMIC holds {recipe.relative_to(LAYER)}")


SHELL = """
set -eu
bbfatal() { echo "$*" >&2; exit 1; }
chown() { :; }
chgrp() { :; }
"""


def install(path: Path, data, root: Path, stand_ins: Path, findings: Findings) -> None:
    """Runs do_compile where no compiler is needed, and do_install."""
    data = bb.data.createCopy(data)
    build = stand_ins / "build"
    data.setVar("D", str(root))
    data.setVar("S", str(TREE))
    data.setVar("B", str(build))
    script = SHELL
    if "cargo" not in (path.parent / path.name).read_text():
        script += data.getVar("do_compile") or ""
        script += "\n"
    for name in ("p2pcam-agent", "p2pcam-hil"):
        program = build / "target" / data.getVar("CARGO_TARGET_SUBDIR") / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    script += data.getVar("do_install")
    done = subprocess.run(["sh", "-c", script], cwd=build, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        findings.say(path, f"do_install failed for {data.getVar('MACHINE')}: {done.stderr.strip()}")


def installed(path: Path, data, root: Path, findings: Findings) -> None:
    """Units that are switched on, and configuration files, are there."""
    unit_dir = root / data.getVar("systemd_system_unitdir").lstrip("/")
    for unit in words(data.getVar(f"SYSTEMD_SERVICE:{data.getVar('PN')}")):
        if not (unit_dir / unit).exists():
            findings.say(path, f"SYSTEMD_SERVICE names {unit}, which do_install does not install")
    for file in words(data.getVar(f"CONFFILES:{data.getVar('PN')}")):
        if not (root / file.lstrip("/")).exists():
            findings.say(path, f"CONFFILES names {file}, which do_install does not install")


def main() -> None:
    root = Path(sys.argv[1]).resolve()
    findings = Findings()
    lock = (TREE / "Cargo.lock").read_text().count('source = "registry+')
    recipes = sorted(p for p in LAYER.rglob("*.bb*") if p.suffix in (".bb", ".bbappend"))
    with tempfile.TemporaryDirectory() as folder:
        layer = Layer(Path(folder))
        reached(layer, recipes, findings)
        for path in recipes:
            for machine in MACHINES:
                try:
                    data = layer.parse(path, machine)
                except Exception as error:  # noqa: BLE001 - BitBake has no common one
                    findings.say(path, f"{machine}: {error}")
                    break
                crates = sources(path, data, findings)
                if crates not in (0, lock):
                    findings.say(path, f"{crates} crates, Cargo.lock has {lock}")
                licence(path, data, findings)
                version(path, data, findings)
                complete(path, data, findings)
                if path.suffix == ".bb" and data.getVar("do_install"):
                    into = root / machine
                    into.mkdir(parents=True, exist_ok=True)
                    install(path, data, into, Path(folder), findings)
                    installed(path, data, into, findings)
    for line in findings.wrong:
        print(line, file=sys.stderr)
    print(f"{len(recipes)} recipes and appends for {len(MACHINES)} machines, {len(findings.wrong)} findings")
    sys.exit(bool(findings.wrong))


main()
