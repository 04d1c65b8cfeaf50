#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pictures that the program draws: well-formed XML (expat), everything inside the page, no two
texts on top of each other, and in docs/pictures what the command draws now.

usage: pictures.py NUMAWISE SOURCE [--draw]     --draw: draw those of docs/pictures again
The list docs/pictures/drawn has a line a picture: FILE | arguments of numawise.
"""
import itertools
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as tree

NS = "{http://www.w3.org/2000/svg}"
# Widths of DejaVu Sans in thousandths; what is not here is 620.
WIDTHS = {c: 278 for c in "ijl|'I"}
WIDTHS.update({c: 318 for c in " .,"})
WIDTHS.update({c: 390 for c in "ft():;-/[]!"})
WIDTHS.update({c: 636 for c in "0123456789"})
WIDTHS.update({c: 900 for c in "mwMW%@"})


def fonts(style):
    """Class -> (size, anchor); "" is the rule of all texts."""
    found = {"": (16.0, "start")}
    for names, body in re.findall(r"([^{}]+)\{([^{}]*)\}", style):
        for name in names.split(","):
            name = name.strip()
            key = "" if name == "text" else name.lstrip(".")
            size = re.search(r"font:[^;]*?([\d.]+)px", body)
            anchor = re.search(r"text-anchor: (\w+)", body)
            old = found.get(key, (None, None))
            found[key] = (float(size[1]) if size else old[0], anchor[1] if anchor else old[1])
    return found


def boxes(root):
    """Each text as (left, top, right, bottom, words)."""
    rules = fonts("".join(root.find(NS + "style").itertext()))
    for text in root.iter(NS + "text"):
        size, anchor = rules[""]
        for name in text.get("class", "").split():
            own = rules.get(name, (None, None))
            size, anchor = own[0] or size, own[1] or anchor
        words = "".join(text.itertext())
        width = sum(WIDTHS.get(c, 620) for c in words) * size / 1000
        x, y = float(text.get("x")), float(text.get("y"))
        left = x - {"start": 0, "middle": width / 2, "end": width}[anchor]
        yield left, y - 0.72 * size, left + width, y, words


def complaints(svg):
    root = tree.fromstring(svg)
    _, _, width, height = map(float, root.get("viewBox").split())
    texts = list(boxes(root))
    for left, top, right, bottom, words in texts:
        if left < 0 or top < 0 or right > width or bottom > height:
            yield f"outside of the page: {words}"
    for a, b in itertools.combinations(texts, 2):
        if a[0] + 1 < b[2] and b[0] + 1 < a[2] and a[1] + 1 < b[3] and b[1] + 1 < a[3]:
            yield f'on top of each other: "{a[4]}" and "{b[4]}"'
    for rect in root.iter(NS + "rect"):
        x, y, w, h = (float(rect.get(k)) for k in ("x", "y", "width", "height"))
        if x < -4 or y < -4 or x + w > width + 1 or y + h > height + 1:
            yield f"a box reaches out of the page: {rect.attrib}"


def main():
    program, source = sys.argv[1], pathlib.Path(sys.argv[2])
    failed = drawn = 0

    def draw(args):
        done = subprocess.run([program, *args], cwd=source, capture_output=True, check=False)
        return done.stdout if done.returncode in (0, 1) else None

    def judge(name, args):
        nonlocal failed, drawn
        svg = draw(args)
        wrong = ["it cannot be drawn"] if svg is None else list(complaints(svg))
        if svg != draw(args):
            wrong.append("two runs draw two pictures")
        for text in wrong[:10]:
            print(f"{name}: {text}")
        failed += bool(wrong)
        drawn += 1
        return svg

    pictures = source / "docs/pictures"
    for line in (pictures / "drawn").read_text().splitlines():
        if line.startswith("#"):
            continue
        name, args = line.split(" | ")
        svg = judge(name, args.split())
        if svg and "--draw" in sys.argv[3:]:
            (pictures / name).write_bytes(svg)
        elif svg != (pictures / name).read_bytes():
            print(f"docs/pictures/{name} is not what this draws now: numawise {args}\n"
                  "Draw them again: tests/lint/pictures.py build/numawise . --draw, and look at them.")
            failed += 1
    for machine in sorted((source / "tests/data/machines").glob("*.xml")):
        judge(machine.name, ["topology", "--xml", str(machine), "-o", "svg"])
    for node in sorted((source / "deploy/examples/cluster/nodes").glob("*.yaml")):
        judge(node.stem, ["topology", node.stem, "--cluster", "deploy/examples/cluster", "-o", "svg"])
    for text in ("numa:1 core:1 pu:1", "package:2 numa:4 l3:2 core:8 pu:2", "package:8 numa:1 core:28 pu:2",
                 "package:1 numa:2 l3:1 core:96 pu:1"):
        judge(text, ["topology", "--synthetic", text, "-o", "svg"])
    print(f"{drawn} pictures, {failed} complaints")
    sys.exit(failed > 0)


main()
