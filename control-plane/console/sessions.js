// What a session remembers, and forgetting it.

import { ask } from "./api.js";
import { byId, element, setText, show } from "./dom.js";
import { several, time } from "./format.js";

/** The session that is shown: its path. */
let shown = null;

export function startSessions() {
  byId("session-form").onsubmit = (event) => {
    event.preventDefault();
    read();
  };
  byId("session-delete").onclick = () => {
    setText(byId("delete-id"), byId("session-id").value.trim());
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

function path() {
  const consumer = byId("session-consumer").value.trim();
  const query = consumer ? `?consumer=${encodeURIComponent(consumer)}` : "";
  return `../api/v1/sessions/${encodeURIComponent(byId("session-id").value.trim())}${query}`;
}

async function read() {
  const wanted = path();
  try {
    const { history } = await ask(wanted);
    shown = wanted;
    note("");
    setText(byId("session-about"), several(history.length, "turn"));
    byId("session-turns").replaceChildren(...history.map(turn));
    show(byId("session-found"), true);
  } catch (error) {
    leave();
    note(error.status === 404 ? "There is no such session. One that belongs to a consumer is found with its name alone." : error.message);
  }
}

async function forget() {
  byId("delete-dialog").close();
  try {
    await ask(shown, "DELETE");
    leave();
    note("The session is deleted.");
  } catch (error) {
    note(error.message);
  }
  byId("session-id").focus();
}

function leave() {
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
