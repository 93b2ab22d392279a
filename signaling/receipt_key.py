"""The key that signs receipts, on disk: 32 bytes in base64, made once, its owner's alone.

Receipts outlive the server that signed them: keep this file, and hand out the public key.
"""

import base64
import binascii
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signaling.private_file import make_private, not_one, read_private

FILE_NAME: Final = "receipt_key"
_WHAT: Final = "a key for receipts"


def read_receipt_key(data_dir: Path) -> Ed25519PrivateKey:
    """The key of a data directory.

    Raises FileNotFoundError where no server ever ran, UnusableFile, or another OSError.
    """
    path = data_dir / FILE_NAME
    try:
        return Ed25519PrivateKey.from_private_bytes(
            base64.b64decode(read_private(path, _WHAT), validate=True)
        )
    except (binascii.Error, ValueError):
        raise not_one(path, _WHAT) from None


def read_or_make_receipt_key(data_dir: Path) -> Ed25519PrivateKey:
    """The key of a data directory, made with it if need be."""
    try:
        return read_receipt_key(data_dir)
    except FileNotFoundError:
        fresh = Ed25519PrivateKey.generate().private_bytes_raw()
        make_private(data_dir / FILE_NAME, base64.b64encode(fresh).decode())
    return read_receipt_key(data_dir)
