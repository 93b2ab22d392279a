"""SRTP sessions, made through the libsrtp that pylibsrtp ships.

Policies are built by cffi, which knows their layout; the relay's native code gets nothing
but opaque sessions and the addresses of the functions that use them.
Sources: RFC 5764, 4.1.2 and RFC 7714, 14.2 (profiles).
"""

from typing import Final

from pylibsrtp import _binding as binding

ffi, lib = binding.ffi, binding.lib

FUNCTIONS: Final = (
    "srtp_protect",
    "srtp_unprotect",
    "srtp_protect_rtcp",
    "srtp_unprotect_rtcp",
    "srtp_dealloc",
    "srtp_remove_stream",
)

# Packets that may come late by sequence number: 1,024 are 3 s of a 3 Mbit/s stream, so that
# one that was lost and sent again under its own number is not taken for a replay.
WINDOW: Final = 1024

_PROFILES: Final = {
    "SRTP_AEAD_AES_128_GCM": lib.srtp_profile_aead_aes_128_gcm,
    "SRTP_AEAD_AES_256_GCM": lib.srtp_profile_aead_aes_256_gcm,
    "SRTP_AES128_CM_SHA1_80": lib.srtp_profile_aes128_cm_sha1_80,
}


def function_addresses() -> tuple[int, ...]:
    """Where libsrtp's FUNCTIONS are, in that order."""
    return tuple(int(ffi.cast("uintptr_t", ffi.addressof(lib, name))) for name in FUNCTIONS)


def create_session(profile: str, key: bytes, *, inbound: bool) -> int:
    """The address of a new session for every SSRC of one direction; the caller deallocates it.

    key: master key and salt, joined, of exactly the profile's length.
    Raises ValueError for a wrong key length or a profile that this libsrtp does not have.
    """
    if profile not in _PROFILES:
        raise ValueError(f"unknown SRTP profile {profile!r}")
    number = _PROFILES[profile]
    length = lib.srtp_profile_get_master_key_length(
        number
    ) + lib.srtp_profile_get_master_salt_length(number)
    if len(key) != length:
        raise ValueError(f"{profile} takes {length} bytes of key and salt, not {len(key)}")
    policy = ffi.new("srtp_policy_t *")
    for set_up, part in (
        (lib.srtp_crypto_policy_set_from_profile_for_rtp, policy.rtp),
        (lib.srtp_crypto_policy_set_from_profile_for_rtcp, policy.rtcp),
    ):
        if set_up(ffi.addressof(part), number) != lib.srtp_err_status_ok:
            raise ValueError(f"libsrtp does not have {profile}")
    master = ffi.new("unsigned char[]", key)
    policy.key = master
    policy.ssrc.type = lib.ssrc_any_inbound if inbound else lib.ssrc_any_outbound
    policy.window_size = WINDOW
    session = ffi.new("srtp_t *")
    status = lib.srtp_create(session, policy)
    ffi.memmove(master, bytes(len(key)), len(key))
    if status != lib.srtp_err_status_ok:
        raise ValueError(f"libsrtp refused a {profile} session: status {status}")
    return int(ffi.cast("uintptr_t", session[0]))
