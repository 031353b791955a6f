"""What a recipe takes from the tree is enough to build its program: for layer.py."""

import re
import tomllib
from pathlib import Path

# include_str!("..."), include_bytes!("...") with a path as it stands there; others begin with concat! or a variable.
INCLUDED = re.compile(r'include_(?:str|bytes)!\(\s*"([^"]+)"')


def taken(tree: Path, files: list[str]) -> list[Path]:
    return [(tree / name).resolve() for name in files]


def missing(tree: Path, package: str, files: list[str]) -> list[str]:
    """Files that cargo or the compiler will ask for and the recipe does not take.

    `package` is the folder of the program; `files` are the recipe's P2PCAM_FILES.
    """
    have = taken(tree, files)

    def held(path: Path) -> bool:
        return any(path == one or one in path.parents for one in have)

    wanted = {}
    for member in tomllib.loads((tree / "Cargo.toml").read_text())["workspace"]["members"]:
        manifest = tree / member / "Cargo.toml"
        wanted[manifest] = "a member of the workspace"
        parsed = tomllib.loads(manifest.read_text())
        for kind, folder in (("bench", "benches"), ("test", "tests"), ("bin", "src/bin"), ("example", "examples")):
            for target in parsed.get(kind, []):
                path = Path(target.get("path", f"{folder}/{target['name']}.rs"))
                wanted[(tree / member / path).resolve()] = f"named by {manifest.relative_to(tree)}"
    for source in sorted((tree / package).rglob("*.rs")):
        if not held(source):
            continue
        for name in INCLUDED.findall(source.read_text()):
            wanted[(source.parent / name).resolve()] = f"included by {source.relative_to(tree)}"
    return [f"{path.relative_to(tree)} is {why}, and not in P2PCAM_FILES" for path, why in wanted.items() if not held(path)]
