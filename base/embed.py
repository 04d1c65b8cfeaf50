# SPDX-License-Identifier: Apache-2.0
"""A file as a C array: embed.py FILE OUT.c HEADER NAME."""
import sys

path, out, header, name = sys.argv[1:]
with open(path, "rb") as f:
    data = f.read()
with open(out, "w", encoding="ascii") as f:
    f.write(f'#include "{header}"\n\nconst char {name}[] = {{\n')
    for i in range(0, len(data), 16):
        f.write("    " + " ".join(f"{b if b < 128 else b - 256}," for b in data[i : i + 16]) + "\n")
    f.write(f"    0}};\nconst size_t {name}_bytes = sizeof({name}) - 1;\n")
