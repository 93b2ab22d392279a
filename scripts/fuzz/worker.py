"""`python -m scripts.fuzz.worker TARGET [libFuzzer's words]`: fuzz one target in this process.

Runs on the build that is made for it, with atheris' runtime preloaded: the native code tells
by itself where it has been, the Python code is made to.
"""

import sys

import atheris

with atheris.instrument_imports(
    include=["aioice.stun", "media.answerer", "media.codec", "media.ice_lite", "media.offer"],
    enable_loader_override=False,
):
    from scripts.fuzz.targets import TARGETS

atheris.Setup(sys.argv[1:], TARGETS[sys.argv[1]])
atheris.Fuzz()
