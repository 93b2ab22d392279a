/**
 * Which video codecs a section offers. Pure.
 *
 * Chromium lists some twenty payload types in each section: with twelve people its offer would
 * be over 70 KB, more than a message may have. One entry of each codec the relay forwards is
 * enough for all, and keeps that offer near 40 KB.
 */

const RELAYED: readonly { mime: string; fmtp?: RegExp }[] = [
  { mime: "video/vp8" },
  { mime: "video/vp9", fmtp: /profile-id=0/ },
  { mime: "video/h264", fmtp: /(?=.*packetization-mode=1)(?=.*profile-level-id=42e0)/i },
  { mime: "video/av1", fmtp: /profile=0/ },
  { mime: "video/rtx" },
];

/** Those of a browser's codecs that are offered, in its own order of preference. */
export function relayedCodecs<C extends { mimeType: string; sdpFmtpLine?: string }>(
  codecs: readonly C[],
): C[] {
  return codecs.filter(({ mimeType, sdpFmtpLine = "" }) =>
    RELAYED.some(
      ({ mime, fmtp }) =>
        mime === mimeType.toLowerCase() && (fmtp === undefined || fmtp.test(sdpFmtpLine)),
    ),
  );
}
