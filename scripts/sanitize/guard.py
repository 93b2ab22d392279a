"""A pytest plugin: refuses to test any build of the relay but a sanitized one.

It is easy to load the ordinary one by mistake, and then every test passes.
"""

import sys
from pathlib import Path

import pytest


def _sanitized(module_file: str) -> bool:
    code = Path(module_file).read_bytes()
    return b"__asan_report_" in code and b"__ubsan_handle_" in code


def pytest_collection_finish() -> None:
    native = {
        name: str(module.__file__)
        for name, module in sys.modules.items()
        if name.startswith("media.relay.") and str(module.__file__).endswith(".so")
    }
    ordinary = sorted(file for file in native.values() if not _sanitized(file))
    if ordinary or "media.relay.core" not in native:
        raise pytest.UsageError(f"not a sanitized build: {', '.join(ordinary) or 'no relay'}")
