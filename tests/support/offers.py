"""Small valid offers, for tests that care about sections and not about what browsers write."""

from collections.abc import Sequence

FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)

_CODEC = {"audio": (111, "opus/48000/2"), "video": (96, "VP8/90000")}


def offer(
    *sections: tuple[str, str],
    ufrag: str = "clientUfrag",
    fingerprint: str = FINGERPRINT,
    first_ssrc: int = 1000,
) -> str:
    """One section for each (kind, direction), with the mids "0", "1", …

    A section that sends announces the SSRC `first_ssrc` + its index.
    """
    mids = " ".join(str(index) for index in range(len(sections)))
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {mids}"]
    for index, (kind, direction) in enumerate(sections):
        lines += _section(index, kind, direction, ufrag, fingerprint, first_ssrc + index)
    return "".join(f"{line}\r\n" for line in lines)


def _section(
    index: int, kind: str, direction: str, ufrag: str, fingerprint: str, ssrc: int
) -> Sequence[str]:
    payload_type, rtpmap = _CODEC[kind]
    return [
        f"m={kind} 9 UDP/TLS/RTP/SAVPF {payload_type}",
        "c=IN IP4 0.0.0.0",
        f"a=ice-ufrag:{ufrag}",
        "a=ice-pwd:clientPasswordOf24Chars0",
        f"a=fingerprint:{fingerprint}",
        "a=setup:actpass",
        f"a=mid:{index}",
        f"a={direction}",
        "a=rtcp-mux",
        "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
        f"a=rtpmap:{payload_type} {rtpmap}",
        *([f"a=ssrc:{ssrc} cname:test"] if direction.startswith("send") else []),
    ]
