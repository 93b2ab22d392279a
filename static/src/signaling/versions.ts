/**
 * Keeps the newest room:state of one socket; a snapshot that is not newer is dropped.
 * A new socket starts anew, because a restarted server counts from the start again.
 */
export class SnapshotGate {
  #newest = Number.NEGATIVE_INFINITY;

  reset(): void {
    this.#newest = Number.NEGATIVE_INFINITY;
  }

  /** True when this snapshot is to be shown. */
  accept(version: number): boolean {
    if (version <= this.#newest) return false;
    this.#newest = version;
    return true;
  }

  /** True while a version the server has spoken of has not been seen: one was missed or is late. */
  behind(version: number): boolean {
    return this.#newest < version;
  }
}
