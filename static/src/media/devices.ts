/**
 * Asking the browser for a camera and a microphone, one at a time where both together fail.
 */

import { recall, remember } from "../memory";
import type { Source } from "../signaling/protocol";

/** What is sent from a device, and not from the screen. */
export type Device = Exclude<Source, "screen">;

/** Why a device is not there. "unplugged": it was there and went away. */
export type DeviceProblem = "refused" | "missing" | "busy" | "unplugged" | "insecure" | "failed";

export type Opened = { track: MediaStreamTrack } | { problem: DeviceProblem };

/** The value of a device picker that means: join without one. */
export const NO_DEVICE = "none";

const KIND: Record<Device, MediaDeviceKind> = { microphone: "audioinput", camera: "videoinput" };

const PROBLEMS: Record<string, DeviceProblem> = {
  NotAllowedError: "refused",
  SecurityError: "refused",
  NotFoundError: "missing",
  OverconstrainedError: "missing",
  NotReadableError: "busy",
  AbortError: "busy",
};

export function problemOf(error: unknown): DeviceProblem {
  return error instanceof DOMException ? (PROBLEMS[error.name] ?? "failed") : "failed";
}

/** The device that the person picked last, NO_DEVICE, or undefined for the browser's choice. */
export function chosenDevice(source: Device): string | undefined {
  return recall("device", source);
}

/** Undo "join without one"; a device that was picked stays picked. */
export function chooseAnyDevice(source: Device): void {
  if (chosenDevice(source) === NO_DEVICE) remember("device", source, undefined);
}

export function chooseDevice(source: Device, deviceId: string): void {
  remember("device", source, deviceId);
}

/** How large a picture is asked of the camera. */
export function pictureAsked(): { width: number; height: number } {
  // Encoding 640x480 costs a third of a core; HD is for machines that have cores to spare.
  const hd = navigator.hardwareConcurrency >= 4;
  return hd ? { width: 1280, height: 720 } : { width: 640, height: 480 };
}

function constraints(source: Device): MediaTrackConstraints {
  const deviceId = chosenDevice(source);
  const device = deviceId !== undefined && deviceId !== NO_DEVICE ? { deviceId } : {};
  if (source === "microphone") {
    return { ...device, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  }
  const { width, height } = pictureAsked();
  return {
    ...device,
    width: { ideal: width },
    height: { ideal: height },
    frameRate: { ideal: 30, max: 30 },
  };
}

async function request(sources: readonly Device[]): Promise<MediaStreamTrack[]> {
  const stream = await navigator.mediaDevices.getUserMedia({
    ...(sources.includes("microphone") && { audio: constraints("microphone") }),
    ...(sources.includes("camera") && { video: constraints("camera") }),
  });
  return stream.getTracks();
}

async function openOne(source: Device): Promise<Opened> {
  try {
    const [track] = await request([source]);
    return track === undefined ? { problem: "failed" } : { track };
  } catch (error) {
    return { problem: problemOf(error) };
  }
}

/** Whether a machine has such a device at all; known without asking for permission. */
async function present(source: Device): Promise<boolean> {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.some((device) => device.kind === KIND[source]);
}

async function permitted(source: Device): Promise<boolean> {
  try {
    const status = await navigator.permissions.query({ name: source as PermissionName });
    return status.state === "granted";
  } catch {
    return true; // Browsers that cannot be asked about a device are asked for the device itself.
  }
}

/** Open these sources with as few questions to the person as can be. Never throws. */
export async function openDevices(
  sources: readonly Device[],
): Promise<Partial<Record<Device, Opened>>> {
  const opened: Partial<Record<Device, Opened>> = {};
  if (navigator.mediaDevices === undefined) {
    for (const source of sources) opened[source] = { problem: "insecure" };
    return opened;
  }
  const there: Device[] = [];
  for (const source of sources) {
    if (await present(source)) there.push(source);
    else opened[source] = { problem: "missing" };
  }
  const [first] = there;
  if (first === undefined) return opened;
  if (there.length === 1) return { ...opened, [first]: await openOne(first) };
  try {
    for (const track of await request(there)) {
      opened[track.kind === "audio" ? "microphone" : "camera"] = { track };
    }
  } catch (error) {
    const refused = problemOf(error) === "refused";
    for (const source of there) {
      // After a refusal of both, a second question is asked only where the answer is known.
      if (refused && !(await permitted(source))) opened[source] = { problem: "refused" };
      else opened[source] = await openOne(source);
    }
  }
  return opened;
}

/** The devices to pick from; without permission their labels are empty and they are left out. */
export async function listDevices(source: Device): Promise<MediaDeviceInfo[]> {
  if (navigator.mediaDevices === undefined) return [];
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter((device) => device.kind === KIND[source] && device.label !== "");
}
