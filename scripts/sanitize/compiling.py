"""`python -m scripts.sanitize.compiling FOLDER`: all packages and native modules into FOLDER.

Runs in a process of its own, whose environment names the compiler and its flags.
"""

import sys
import tomllib
from pathlib import Path
from typing import Final

from setuptools import Distribution, Extension

# Not in pyproject.toml: nobody but the sanitizers' own check is to have it.
PLANTED: Final = Extension("scripts.sanitize.planted", ["scripts/sanitize/planted.pyx"])


def main(folder: str) -> None:
    tool = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["setuptools"]
    native = [Extension(each["name"], each["sources"]) for each in tool["ext-modules"]]
    distribution = Distribution(
        {
            "name": "plumm",
            "script_name": "setup.py",
            "packages": tool["packages"],
            "package_data": tool["package-data"],
            "ext_modules": [*native, PLANTED],
        }
    )
    distribution.command_options["build"] = {
        "build_lib": ("here", f"{folder}/lib"),
        "build_temp": ("here", f"{folder}/temp"),
        "parallel": ("here", "2"),
    }
    distribution.run_command("build")


main(sys.argv[1])
