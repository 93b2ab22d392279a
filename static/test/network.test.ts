import { describe, expect, test, vi } from "vitest";
import { onNetworkChange } from "../src/network";

class Connection extends EventTarget {
  type = "wifi";

  becomes(type: string): void {
    this.type = type;
    this.dispatchEvent(new Event("change"));
  }
}

function watched(connection?: Connection) {
  const window = new EventTarget();
  vi.stubGlobal("window", window);
  vi.stubGlobal("navigator", { connection });
  const changed = vi.fn();
  const stop = onNetworkChange(changed);
  return { window, changed, stop };
}

describe("the watch over the network", () => {
  test("tells when it is back", () => {
    const { window, changed, stop } = watched();
    window.dispatchEvent(new Event("online"));
    expect(changed).toHaveBeenCalledOnce();
    stop();
    window.dispatchEvent(new Event("online"));
    expect(changed).toHaveBeenCalledOnce();
  });

  test("tells when it is of another type, not of another estimated rate", () => {
    const connection = new Connection();
    const { changed, stop } = watched(connection);
    connection.becomes("wifi");
    expect(changed).not.toHaveBeenCalled();
    connection.becomes("cellular");
    expect(changed).toHaveBeenCalledOnce();
    stop();
    connection.becomes("wifi");
    expect(changed).toHaveBeenCalledOnce();
  });
});
