# The bill of materials of a program, in both forms: completes what cargo-cyclonedx wrote, and says the same in SPDX.
"""sbom.py write BOM PROGRAM TREE STEM: writes STEM.cdx.json and STEM.spdx.json. TREE is where it was built.
sbom.py check FILE...: holds such files against their standards; needs the packages of sbom-requirements.txt."""

import hashlib
import json
import re
import subprocess
import sys
import uuid
from pathlib import Path

# Whoever names a thing by a URL needs one that is his own.
NAMESPACE = "https://github.com/p2pcam/p2pcam/sbom/"


def needed(program):
    """The shared libraries that the program names: what its system must bring."""
    said = subprocess.run(["readelf", "--dynamic", "--wide", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", said)


def complete(bom, program, tree):
    """The bill without this machine's folders, with the program's checksum and the libraries beside it."""
    bom = json.loads(json.dumps(bom).replace(f"file://{tree}", "file:///p2pcam").replace(str(tree), "/p2pcam"))
    digest = hashlib.sha256(Path(program).read_bytes()).hexdigest()
    subject = bom["metadata"]["component"]
    subject["hashes"] = [{"alg": "SHA-256", "content": digest}]
    libraries = [
        {"type": "library", "bom-ref": f"shared:{name}", "name": name, "scope": "required",
         "description": "shared library of the system"}
        for name in needed(program)
    ]
    bom["components"] += libraries
    for entry in bom["dependencies"]:
        if entry["ref"] == subject["bom-ref"]:
            entry["dependsOn"] = entry.get("dependsOn", []) + [library["bom-ref"] for library in libraries]
    bom["dependencies"] += [{"ref": library["bom-ref"]} for library in libraries]
    # Of the program and not of the hour.
    bom["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, NAMESPACE + digest)}"
    return bom


def licence(component):
    """As an SPDX expression; some crates still write a slash for OR."""
    for entry in component.get("licenses", []):
        said = entry.get("expression") or entry.get("license", {}).get("id")
        if said:
            return said.replace("/", " OR ")
    return "NOASSERTION"


def package(component, name):
    """A component of CycloneDX as a package of SPDX."""
    made = {
        "SPDXID": name,
        "name": component["name"],
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": licence(component),
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": component["type"].upper(),
    }
    if "version" in component:
        made["versionInfo"] = component["version"]
    if component.get("purl", "").startswith("pkg:cargo/"):
        made["externalRefs"] = [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": component["purl"]}
        ]
        if "?" not in component["purl"]:
            crate = f"{component['name']}/{component['name']}-{component['version']}.crate"
            made["downloadLocation"] = f"https://static.crates.io/crates/{crate}"
    checksums = [hash for hash in component.get("hashes", []) if hash["alg"] == "SHA-256"]
    if checksums:
        made["checksums"] = [{"algorithm": "SHA256", "checksumValue": checksums[0]["content"]}]
    return made


def spdx(bom):
    """The same as SPDX 2.3."""
    subject = bom["metadata"]["component"]
    components = [subject, *bom["components"]]
    names = {component["bom-ref"]: f"SPDXRef-{number}" for number, component in enumerate(components)}
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", names[subject["bom-ref"]])]
    for entry in bom["dependencies"]:
        for other in entry.get("dependsOn", []):
            if entry["ref"] in names and other in names:
                relations.append((names[entry["ref"]], "DEPENDS_ON", names[other]))
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{subject['name']}-{subject['version']}",
        "documentNamespace": NAMESPACE + bom["serialNumber"].removeprefix("urn:uuid:"),
        "creationInfo": {
            "created": re.sub(r"\.\d+", "", bom["metadata"]["timestamp"]),
            "creators": ["Tool: cargo-cyclonedx", "Tool: p2pcam-release"],
        },
        "packages": [package(component, names[component["bom-ref"]]) for component in components],
        "relationships": [
            {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
            for one, kind, other in relations
        ],
    }


def write(source, program, tree, stem):
    bom = complete(json.loads(Path(source).read_text()), program, tree)
    for form, made in (("cdx", bom), ("spdx", spdx(bom))):
        Path(f"{stem}.{form}.json").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")


def check(path):
    """Sentences on what is wrong with a file."""
    text = Path(path).read_text()
    if path.endswith(".cdx.json"):
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator

        version = SchemaVersion.from_version(json.loads(text)["specVersion"])
        wrong = JsonStrictValidator(version).validate_str(text)
        return [str(wrong)] if wrong else []
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    return [wrong.validation_message for wrong in validate_full_spdx_document(parse_file(path))]


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(*sys.argv[2:])
    else:
        found = [f"{path}: {wrong}" for path in sys.argv[2:] for wrong in check(path)]
        print("\n".join(found), file=sys.stderr, end="\n" if found else "")
        sys.exit(1 if found else 0)
