"""Writes a base image for tests to standard output, as a tar: prepared runtimes and all of this machine
that they need, so that nothing has to be fetched from a registry.

Usage: base.py RUNTIME_FOLDER...
"""

import json
import os
import subprocess
import sys
import tarfile

# Folders of a Python that its functions do not need and that are most of it.
LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "site-packages"}


def libraries(program: str) -> list[str]:
    """What the dynamic linker loads for a program or a library; nothing for other files."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    words = [word for line in said.splitlines() for word in line.split() if word.startswith("/")]
    return [word for word in words if os.path.exists(word)]


def files_below(folder: str) -> list[str]:
    found = []
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        found += [os.path.join(path, name) for name in files]
    return found


def wanted(runtime: str) -> list[str]:
    """Files of a prepared runtime and of its interpreter."""
    with open(os.path.join(runtime, "runtime.json"), encoding="utf-8") as file:
        interpreter = json.load(file)["interpreter"]
    program, installation = interpreter["program"], interpreter["installation"]
    found = [program, *files_below(runtime)]
    if os.path.isdir(installation):
        release = "python" + ".".join(interpreter["version"].split(".")[:2])
        found += files_below(os.path.join(installation, "lib", release))
    return found


def links(path: str) -> list[str]:
    """A path and, if it is a link, what it leads to."""
    found = [path]
    while os.path.islink(path):
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
        found.append(path)
    return found


def main() -> None:
    runtimes = [os.path.abspath(folder) for folder in sys.argv[1:]]
    paths = {"/bin/sh"}
    for runtime in runtimes:
        paths.update(wanted(runtime))
    for path in sorted(paths):
        with open(path, "rb") as file:
            if file.read(4) == b"\x7fELF":
                paths.update(libraries(path))
    merged = [folder for folder in ("/bin", "/lib", "/lib64") if os.path.islink(folder)]
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for folder in merged:
            tar.add(folder, recursive=False)
        for folder in ("/tmp", "/etc"):
            tar.add(folder, recursive=False)
        added = set()
        for path in sorted(paths):
            for link in links(path):
                # `/lib/x` is `/usr/lib/x` where `/lib` is a link.
                place = os.path.join(os.path.realpath(os.path.dirname(link)), os.path.basename(link))
                if place not in added:
                    added.add(place)
                    tar.add(place, recursive=False)
        modules = [os.path.join(runtime, "node_modules") for runtime in runtimes]
        for module in filter(os.path.isdir, modules):
            link = tarfile.TarInfo("node_modules")
            link.type, link.linkname = tarfile.SYMTYPE, module
            tar.addfile(link)


main()
