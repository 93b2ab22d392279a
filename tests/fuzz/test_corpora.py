"""Every kept input, on the ordinary build: what `make fuzz` found once is never found again."""

from pathlib import Path

import pytest

from scripts.fuzz.fuzzer import inputs
from scripts.fuzz.targets import TARGETS

INPUTS = {target: inputs(target) for target in TARGETS}


@pytest.mark.parametrize("target", TARGETS)
def test_every_kept_input_is_taken(target: str) -> None:
    assert INPUTS[target], "an empty corpus"
    for path in INPUTS[target]:
        try:
            TARGETS[target](path.read_bytes())
        except Exception as error:
            error.add_note(f"{target} was given {path.relative_to(Path.cwd())}")
            raise
