// The state of every model, and why one is left alone.

import { byId, element, keep, setText } from "./dom.js";
import { several, span } from "./format.js";

const STATES = { ready: "ready", error: "rests", probing: "being tried", unknown: "unknown" };

const REASONS = {
  rateLimit: "rate limited by the provider",
  retry: "server errors",
  timeout: "no answer in time",
  providerCommunicationError: "connection failed, or answer broken",
  providerExceededError: "quota used up",
  credential: "the provider refuses the key",
};

const states = new Map();

/** How a model is, for others that show it: `ready`, `error`, `probing`, `unknown`. */
export const stateOf = (model) => {
  // One with several endpoints has a state for each; it can be asked while one of them is ready.
  const all = [...states].filter(([target]) => target === model || target.startsWith(`${model}@`));
  const of = all.map(([, state]) => state);
  return ["ready", "probing", "error"].find((state) => of.includes(state)) ?? "unknown";
};

/** The pill of a state. */
export const pill = (state, text = STATES[state] ?? state) => element("span", { class: "pill", "data-state": state }, text);

export function drawModels(models) {
  announceChanges(models);
  const ready = models.filter((model) => model.state === "ready").length;
  setText(byId("models-count"), `${ready} of ${models.length} ready`);
  const shown = models.map(({ model, state, reason, retryInMs, trips }) => ({
    model,
    state,
    reason,
    // Whole units only, so that a row is drawn anew when there is something new to read.
    retryIn: state === "error" ? span(Math.max(0, retryInMs)) : null,
    isDue: state === "error" && retryInMs === 0,
    trips,
  }));
  keep(byId("models"), shown, (model) => model.model, row);
}

function row({ model, state, reason, retryIn, isDue, trips }) {
  const why = [
    REASONS[reason] ?? reason,
    retryIn && (isDue ? "tried with the next request" : `tried again in ${retryIn}`),
    trips > 1 && `given up ${trips} times in a row`,
  ];
  return element(
    "li",
    {},
    element("div", { class: "line" }, element("span", { class: "mono name" }, model), pill(state)),
    reason && element("p", { class: "why" }, element("code", {}, reason), ` ${why.filter(Boolean).join(", ")}`),
  );
}

/** Says what changed since the last look, and only that. */
function announceChanges(models) {
  const told = [];
  for (const { model, state, reason } of models) {
    const before = states.get(model);
    if (before && before !== state) {
      told.push(state === "error" ? `${model} rests: ${REASONS[reason] ?? reason}` : `${model}: ${STATES[state]}`);
    }
  }
  states.clear();
  models.forEach(({ model, state }) => states.set(model, state));
  if (told.length > 3) setText(byId("announce"), `${several(told.length, "model")} changed`);
  else if (told.length > 0) setText(byId("announce"), told.join(". "));
}
