import { expect, test } from "vitest";
import { relayedCodecs } from "../src/media/codecs";

const OFFERED = [
  { mimeType: "video/VP8" },
  { mimeType: "video/rtx" },
  { mimeType: "video/VP9", sdpFmtpLine: "profile-id=0" },
  { mimeType: "video/VP9", sdpFmtpLine: "profile-id=2" },
  {
    mimeType: "video/H264",
    sdpFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
  },
  {
    mimeType: "video/H264",
    sdpFmtpLine: "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f",
  },
  {
    mimeType: "video/H264",
    sdpFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c1f",
  },
  { mimeType: "video/AV1", sdpFmtpLine: "level-idx=5;profile=0;tier=0" },
  { mimeType: "video/AV1", sdpFmtpLine: "level-idx=5;profile=1;tier=0" },
  { mimeType: "video/red" },
  { mimeType: "video/ulpfec" },
];

test("one entry of each relayed codec is offered, in the browser's order", () => {
  expect(relayedCodecs(OFFERED).map((codec) => codec.mimeType)).toEqual([
    "video/VP8",
    "video/rtx",
    "video/VP9",
    "video/H264",
    "video/AV1",
  ]);
});

test("of H264 it is the profile that every browser has, in packets of any size", () => {
  const [h264] = relayedCodecs(OFFERED).filter((codec) => codec.mimeType === "video/H264");
  expect(h264?.sdpFmtpLine).toContain("packetization-mode=1;profile-level-id=42e01f");
});
