import { expect, test } from "vitest";
import { nextAddress, signInAddress } from "../src/account/address";

test("after signing in one is back where one was", () => {
  const address = signInAddress("/room/abc");
  expect(nextAddress(new URL(address, "https://plumm.example").search)).toBe("/room/abc");
});

test.each([
  "",
  "?next=",
  "?next=//elsewhere.example",
  "?next=/\\elsewhere.example",
  "?next=https://elsewhere.example",
  "?next=javascript:alert(1)",
  "?next=/%09/elsewhere.example",
])("%s leads to no other site", (search) => {
  expect(nextAddress(search)).toBe("/dashboard");
});
