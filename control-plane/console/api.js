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
 * again. Returns what the answer says, `null` where it says nothing.
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
    if (response.status !== 401) throw new ApiError(response.status, told.code ?? "UNKNOWN", message);
    // Another question may have been given a newer one meanwhile.
    if (sent === sessionStorage.getItem(STORED_AS)) await askForToken(sent ? message : "");
  }
}

let asking = null;

/** Lets the person type a token; `why` says what is wrong with the one before. Several questions share one dialog. */
function askForToken(why) {
  asking ??= new Promise((resolve) => {
    const [dialog, input] = [byId("token-dialog"), byId("token")];
    byId("token-error").textContent = why;
    input.value = "";
    dialog.showModal();
    byId("token-form").onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem(STORED_AS, input.value.trim());
      input.value = "";
      dialog.close();
    };
    // Escape leaves nothing to look at behind it, so the dialog comes back with the next question.
    dialog.onclose = () => {
      asking = null;
      showForget();
      resolve();
    };
  });
  return asking;
}

function showForget() {
  show(byId("forget-token"), sessionStorage.getItem(STORED_AS) !== null);
}

/** Forgets the token on demand. */
export function startForgetting() {
  showForget();
  byId("forget-token").onclick = () => {
    sessionStorage.removeItem(STORED_AS);
    location.reload();
  };
}
