#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What deploy/ says in more than one place is the same everywhere.

  tests/lint/deploy.py SOURCE [--program BUILD/numawise] [--write]

- The settings that the chart's values.schema.json lets through are those of
  docs/reference/configuration.md, but for what the chart sets itself. --write puts them there.
- One version: of the program, the chart, and every image that is named.
- The packages of deploy/Containerfile: those of deploy/steps.sh to build, and to run those that have
  the libraries the program is linked with. The latter on Debian 12 only, where they have these names.
- The chart's definitions are those of deploy/crds: the same files, not others like them.
- Every plain manifest is one that tests/chart holds the chart against.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys

# What the chart sets by itself.
OWN = ("listeners.", "operator.lease", "operator.advertise", "source.cluster", "source.kubeconfig")
# What the chart takes apart, so that it must be whole.
SHAPES = {"extender.retry": "^([^/]+/[^/]+)?$"}
# In the image though no library of it is linked: whom the machine trusts, for Prometheus by https.
UNLINKED = {"ca-certificates"}
# In every Debian.
ESSENTIAL = {"libc6"}
DURATION = r"^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$"


def leaf(values):
    """The schema of a setting, by the column `values` of the reference page."""
    words = re.findall(r"`([^`]+)`", values)
    if words == ["true", "false"]:
        return {"type": "boolean"}
    if words:
        return {"enum": words}
    if values == "text":
        return {"type": "string"}
    if values == "list of texts":
        return {"type": "array", "items": {"type": "string"}}
    low, high = values.split(" to ")
    if re.search("[KMG]i$", low + high):
        return {"type": ["integer", "string"]}
    if low.isdigit() and high.isdigit():
        return {"type": "integer", "minimum": int(low), "maximum": int(high)}
    return {"type": "string", "pattern": DURATION}


def settings(page):
    """The schema of values.config, from the table of the reference page."""
    rows = re.findall(r"^\| `([^`]+)` \| (.+?) \| `", page, re.M)
    if len(rows) < 20:
        sys.exit("docs/reference/configuration.md: where is the table?")
    top = {"type": "object", "additionalProperties": False, "properties": {}}
    for name, values in rows:
        if name.startswith(OWN):
            continue
        at = top
        *path, last = name.split(".")
        for key in path:
            at = at["properties"].setdefault(
                key, {"type": "object", "additionalProperties": False, "properties": {}})
        at["properties"][last] = leaf(values)
        if name in SHAPES:
            at["properties"][last]["pattern"] = SHAPES[name]
    return top


def schema_problems(source, write):
    path = source / "deploy/chart/numawise/values.schema.json"
    schema = json.loads(path.read_text())
    want = settings((source / "docs/reference/configuration.md").read_text())
    if write:
        schema["properties"]["config"] = want
        path.write_text(json.dumps(schema, indent=1) + "\n")
    elif schema["properties"]["config"] != want:
        yield f"{path}: config is not what docs/reference/configuration.md has; --write"


def version_problems(source):
    version = re.search(r"version: '([^']+)'", (source / "meson.build").read_text())[1]
    said = re.findall(r"^(?:version|appVersion): (.+)$",
                      (source / "deploy/chart/numawise/Chart.yaml").read_text(), re.M)
    if said != [version, version]:
        yield f"Chart.yaml says {said}, meson.build {version}"
    images = 0
    for file in sorted((source / "deploy").rglob("*.yaml")):
        for image in re.findall(r"image: (numawise:\S+)", file.read_text()):
            images += 1
            if image != f"numawise:{version}":
                yield f"{file}: {image}, meson.build says {version}"
    if images < 4:
        yield f"only {images} images found"
    text = (source / "deploy/Containerfile").read_text()
    labels = re.findall(r'(?:image\.version="|-t numawise:)([^" \n]+)', text)
    if labels != [version, version]:
        yield f"Containerfile says {labels}, meson.build {version}"


def installed(source):
    """What each stage of the Containerfile installs."""
    text = (source / "deploy/Containerfile").read_text().replace("\\\n", " ")
    lists = re.findall(r"apt-get install -y --no-install-recommends ([^&\n]+)", text)
    if len(lists) != 2:
        sys.exit(f"Containerfile: {len(lists)} lists of packages")
    return [set(words.split()) for words in lists]


def is_debian_12():
    try:
        release = pathlib.Path("/etc/os-release").read_text()
    except OSError:
        return False
    return bool(re.search("^ID=debian$", release, re.M) and re.search('^VERSION_ID="12"$', release, re.M))


def owner(library):
    """The package of a library that the loader finds; dpkg knows it by one of two paths."""
    real = pathlib.Path(library)
    names = {str(real), str(real).removeprefix("/usr"), "/usr" + str(real).removeprefix("/usr")}
    for name in names:
        found = subprocess.run(["dpkg-query", "-S", name], capture_output=True, text=True)
        if found.returncode == 0:
            return found.stdout.split(":")[0]
    return None


def linked(program):
    """The packages of the libraries that the program itself names; those bring the others along."""
    dynamic = subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic)
    if any(re.match("lib(asan|tsan|ubsan)", name) for name in needed):
        return None
    loaded = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    places = dict(re.findall(r"^\s*(\S+) => (/\S+)", loaded, re.M))
    return {owner(places[name]) or f"the owner of {name}" for name in needed}


def package_problems(source, program):
    build, run = installed(source)
    steps = re.search(r"packages_build='([^']+)'", (source / "deploy/steps.sh").read_text())[1]
    if build != set(steps.split()):
        yield f"Containerfile builds with others than deploy/steps.sh: {sorted(build ^ set(steps.split()))}"
    if not program or not is_debian_12():
        return
    want = linked(program)
    if want is not None and run != (want - ESSENTIAL) | UNLINKED:
        yield f"Containerfile runs with {sorted(run)}, the program is linked with {sorted(want)}"


def definition_problems(source):
    mine = source / "deploy/chart/numawise/crds"
    if mine.resolve() != (source / "deploy/crds").resolve():
        yield f"{mine} is not deploy/crds"


def manifest_problems(source):
    cases = (source / "tests/chart/cases.go").read_text()
    top = source / "deploy/manifests"
    for file in sorted(top.rglob("*.yaml")):
        name = str(file.relative_to(top))
        if name not in ("00-namespace.yaml", "kustomization.yaml") and f'"{name}"' not in cases:
            yield f"{file}: the chart has to have it, too, and tests/chart/cases.go to say so"


def main():
    flags = argparse.ArgumentParser(usage=__doc__)
    flags.add_argument("source", type=pathlib.Path)
    flags.add_argument("--program")
    flags.add_argument("--write", action="store_true")
    args = flags.parse_args()
    problems = [*schema_problems(args.source, args.write), *version_problems(args.source),
                *package_problems(args.source, args.program), *definition_problems(args.source), *manifest_problems(args.source)]
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


main()
