// What a session remembers, and forgetting it.

import { ask } from "./api.js";
import { byId, element, setText, show } from "./dom.js";
import { several, time } from "./format.js";

/** The session that is shown, as it was asked for: `path`, `id`, `consumer`. */
let shown = null;
/** The session that the dialog names. */
let doomed = null;
/** How often something else was wanted: what was asked for before is not shown any more. */
let wishes = 0;

export function startSessions() {
  byId("session-form").onsubmit = (event) => {
    event.preventDefault();
    read();
  };
  for (const field of ["session-id", "session-consumer"]) byId(field).oninput = leave;
  byId("session-delete").onclick = () => {
    doomed = shown;
    setText(byId("delete-id"), doomed.id);
    setText(byId("delete-consumer"), doomed.consumer && ` of ${doomed.consumer}`);
    byId("delete-dialog").showModal();
    byId("delete-cancel").focus();
  };
  byId("delete-cancel").onclick = () => byId("delete-dialog").close();
  byId("delete-confirm").onclick = forget;
}

/** Reads a session that nobody owns, or of the consumer that is written there already. */
export function readSession(id) {
  byId("session-id").value = id;
  byId("session-id").scrollIntoView({ block: "center" });
  byId("session-id").focus();
  return read();
}

/** What the fields say. */
function written() {
  const [id, consumer] = ["session-id", "session-consumer"].map((field) => byId(field).value.trim());
  const query = consumer ? `?consumer=${encodeURIComponent(consumer)}` : "";
  return { id, consumer, path: `../api/v1/sessions/${encodeURIComponent(id)}${query}` };
}

async function read() {
  const wanted = written();
  const wish = ++wishes;
  try {
    const { history } = await ask(wanted.path);
    if (wish !== wishes) return;
    shown = wanted;
    note("");
    setText(byId("session-about"), several(history.length, "turn"));
    byId("session-turns").replaceChildren(...history.map(turn));
    show(byId("session-found"), true);
  } catch (error) {
    if (wish !== wishes) return;
    leave();
    note(error.status === 404 ? "There is no such session. One that belongs to a consumer is found with its name alone." : error.message);
  }
}

async function forget() {
  byId("delete-dialog").close();
  try {
    await ask(doomed.path, "DELETE");
    if (shown === doomed) leave();
    note("The session is deleted.");
  } catch (error) {
    note(error.message);
  }
  byId("session-id").focus();
}

function leave() {
  wishes++;
  shown = null;
  show(byId("session-found"), false);
  byId("session-turns").replaceChildren();
}

function note(text) {
  show(byId("session-note"), text !== "");
  setText(byId("session-note"), text);
}

function turn({ prompt, response, result, model, at }) {
  const about = [time(at), result !== "COMPLETE" && result].filter(Boolean).join(", ");
  return element(
    "li",
    {},
    element("p", { class: "asked" }, prompt),
    element("p", { class: "said" }, response),
    element("p", { class: "why" }, element("span", { class: "mono" }, model), ` ${about}`),
  );
}
