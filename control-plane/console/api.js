// Questions to the control plane, with the token where it asks for one.
//
// The token is typed once, kept in this tab's session storage, and sent as a header: no cookie, so no other page can use it.

import { byId, show } from "./dom.js";

const STORED_AS = "ai-warp.token";

/** Longest wait for an answer, in milliseconds. */
const TIMEOUT = 10_000;

/** An answer that is no success: `code` and `status` as the control plane has them. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
  }
}

/** The headers that let an operator in. */
export function operatorHeaders() {
  const token = sessionStorage.getItem(STORED_AS);
  return token ? { authorization: `Bearer ${token}` } : {};
}

/**
 * Asks for `path`, relative to the page. Where a token is missing or refused, the person is asked for one, and the question put
 * again; one that is not given leaves the refusal, until somebody wants to give it. Returns what the answer says, `null` where it
 * says nothing.
 */
export async function ask(path, method = "GET") {
  for (;;) {
    const sent = sessionStorage.getItem(STORED_AS);
    const response = await fetch(path, {
      method,
      headers: { accept: "application/json", ...operatorHeaders() },
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT),
    });
    if (response.ok) return response.status === 204 ? null : response.json();
    const told = await response.json().catch(() => ({}));
    const message = told.message ?? `${response.status} ${response.statusText}`;
    const refused = new ApiError(response.status, told.code ?? "UNKNOWN", message);
    if (response.status !== 401) throw refused;
    // Another question may have been given a newer one meanwhile.
    if (sent !== sessionStorage.getItem(STORED_AS)) continue;
    if (!isDeclined) await askForToken(sent ? `That token is refused. ${message}.` : `${message}.`);
    if (isDeclined) throw refused;
  }
}

/** What a header can hold. */
const SENDABLE = /^[\x20-\x7e\xa0-\xff]+$/;

let asking = null;
/** Whether the dialog was left without a token. */
let isDeclined = false;

/** Lets the person type a token; `why` says why one is needed. Several questions share one dialog. */
function askForToken(why) {
  asking ??= new Promise((resolve) => {
    const [dialog, input] = [byId("token-dialog"), byId("token")];
    let isGiven = false;
    byId("token-error").textContent = why;
    input.value = "";
    dialog.showModal();
    byId("token-form").onsubmit = (event) => {
      event.preventDefault();
      const token = input.value.trim();
      if (!SENDABLE.test(token)) {
        byId("token-error").textContent = "No token has such characters: it has letters, digits and signs of Latin-1.";
        return;
      }
      sessionStorage.setItem(STORED_AS, token);
      isGiven = true;
      dialog.close();
    };
    dialog.onclose = () => {
      asking = null;
      isDeclined = !isGiven;
      input.value = "";
      showForget();
      resolve();
    };
  });
  return asking;
}

function showForget() {
  show(byId("forget-token"), sessionStorage.getItem(STORED_AS) !== null);
  show(byId("give-token"), isDeclined);
}

/** Forgets the token on demand, and takes one that was not given when asked for. */
export function startForgetting() {
  showForget();
  byId("give-token").onclick = () => askForToken("");
  byId("forget-token").onclick = () => {
    sessionStorage.removeItem(STORED_AS);
    location.reload();
  };
}
