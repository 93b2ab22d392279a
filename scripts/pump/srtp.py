"""libsrtp as native code calls it: sessions made by pylibsrtp, functions as addresses.

pylibsrtp ships the library; cffi gives its functions' addresses, so that nothing else has
to be installed or linked. This is the one file that touches pylibsrtp's private names.
"""

from typing import Final, Literal

from pylibsrtp import Policy, Session
from pylibsrtp import _binding as binding

PROFILES: Final = {
    "SRTP_AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "SRTP_AEAD_AES_256_GCM": Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    "SRTP_AES128_CM_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}

# Master key and salt, in bytes (RFC 7714, 12; RFC 3711, 8.2).
KEY_BYTES: Final = {
    "SRTP_AEAD_AES_128_GCM": 16 + 12,
    "SRTP_AEAD_AES_256_GCM": 32 + 12,
    "SRTP_AES128_CM_SHA1_80": 16 + 14,
}


def open_session(profile: str, key: bytes, direction: Literal["send", "receive"]) -> Session:
    """An SRTP session for every SSRC of one direction.

    profile: a name of PROFILES. key: master key and salt, joined.
    Raises KeyError for another profile, ValueError for a key that is too short.
    """
    ssrc_type = Policy.SSRC_ANY_OUTBOUND if direction == "send" else Policy.SSRC_ANY_INBOUND
    policy = Policy(key=key, ssrc_type=ssrc_type, srtp_profile=PROFILES[profile])
    # 1024: a burst that a busy receiver reads late is still within the replay window.
    policy.window_size = 1024
    return Session(policy)


def session_address(session: Session) -> int:
    """The session's srtp_t; valid while the Session lives."""
    return int(binding.ffi.cast("uintptr_t", session._srtp[0]))


def function_address(name: str) -> int:
    """Address of `name` in libsrtp: int name(srtp_t, void *packet, int *length)."""
    pointer = binding.ffi.addressof(binding.lib, name)
    return int(binding.ffi.cast("uintptr_t", pointer))
