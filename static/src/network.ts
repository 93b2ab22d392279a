/**
 * What the browser says about the network itself, where it says anything.
 */

/** The Network Information API, which not every browser has. */
interface NetworkInformation extends EventTarget {
  readonly type?: string;
}

/** Call `changed` when the network is back, or is of another type. Returns how to stop. */
export function onNetworkChange(changed: () => void): () => void {
  const { connection } = navigator as { connection?: NetworkInformation };
  let type = connection?.type;
  // "change" tells of every new estimate of the rate, too.
  const perhaps = () => {
    if (connection?.type === type) return;
    type = connection?.type;
    changed();
  };
  window.addEventListener("online", changed);
  connection?.addEventListener("change", perhaps);
  return () => {
    window.removeEventListener("online", changed);
    connection?.removeEventListener("change", perhaps);
  };
}
