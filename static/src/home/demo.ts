/** A made-up session, for trying Plumm out; the server offers it only where it is switched on. */

export interface Demo {
  therapist_url: string;
  client_url: string;
  /** Two accounts whose session it is, too. */
  accounts: { role: "therapist" | "client"; email: string; password: string }[];
}

/** The links of a new session; "off" where the server offers none, "failed" when it made none. */
export async function startDemo(): Promise<Demo | "off" | "failed"> {
  try {
    const response = await fetch("/api/demo", { method: "POST" });
    if (response.status === 404) return "off";
    return response.ok ? ((await response.json()) as Demo) : "failed";
  } catch {
    return "failed";
  }
}
