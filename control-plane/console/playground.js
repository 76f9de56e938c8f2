// Prompts, sent by the client package, and their answers as they come.

import { operatorHeaders } from "./api.js";
import { byId, element, setText, show } from "./dom.js";
import { count, measured } from "./format.js";
import { pill } from "./models.js";
import { chosenModels, drawPicker, isAnyChosen, startPicker } from "./picker.js";
import { readSession } from "./sessions.js";

/** Most runs that are kept on the page. */
const MOST_RUNS = 20;

let settings = null;
let client = null;
/** Ends what is under way; `null` where nothing is. */
let running = null;
/** Sessions of resumable runs that were stopped. While its rest is kept, a resumable prompt there would be given that instead. */
const stopped = new Set();

export function startPlayground() {
  startPicker(drawSend);
  drawSend();
  const form = byId("prompt-form");
  form.onsubmit = (event) => {
    event.preventDefault();
    if (canSend()) run();
  };
  form.onkeydown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && running && !document.querySelector("dialog[open]")) running.abort();
  });
  byId("stop").onclick = () => running?.abort();
}

/** Offers what the configuration has. */
export function drawPlayground(fresh) {
  settings = fresh;
  drawPicker(settings);
  show(byId("credential-field"), settings.takesCredential);
  show(byId("playground-note"), missing() !== "");
  setText(byId("playground-note"), missing());
  byId("session").disabled = !settings.hasSessions;
}

/** What prompts cannot be sent without; empty where all is there. */
function missing() {
  if (!settings.hasClient) {
    return "The control plane was started without the client package (ai-warp serve --client DIR), so no prompt can be sent from here.";
  }
  return settings.gateway ? "" : "The configuration does not say where the gateway is: set console.gateway.";
}

const canSend = () => running === null && settings !== null && missing() === "" && isAnyChosen();

function drawSend() {
  byId("send").disabled = !canSend();
  byId("stop").disabled = running === null;
}

/** What the form asks for. */
function request() {
  const value = (id) => byId(id).value.trim();
  const number = (id) => (value(id) === "" ? undefined : Number(value(id)));
  const sessionId = value("session") || undefined;
  return {
    prompt: byId("prompt").value,
    context: value("context") || undefined,
    temperature: number("temperature"),
    maxTokens: number("max-tokens"),
    sessionId,
    resume: byId("resume").checked && !stopped.has(sessionId),
    ...chosenModels(),
  };
}

async function run() {
  const asked = request();
  const abort = (running = new AbortController());
  const card = newRun(asked);
  const started = performance.now();
  let session = asked.sessionId;
  drawSend();
  try {
    client ??= await import("./client/index.js");
    const { stream, headers } = await ai().ask({ ...asked, stream: true, signal: abort.signal });
    card.answeredBy(headers);
    session = headers.get(settings.sessionHeader) ?? session;
    let events = 0;
    for await (const message of stream) {
      if (message.type === "content") {
        if (events++ === 0) card.fact("first", measured(performance.now() - started));
        card.write(message.content);
        card.fact("events", count(events));
      } else if (message.type === "done") {
        card.end(message.response);
      } else if (message.type === "error") {
        card.fail(message.error);
      }
    }
  } catch (error) {
    card.fail(error, abort.signal.aborted);
    if (abort.signal.aborted && asked.resume && session) stopped.add(session);
  } finally {
    card.settle(performance.now() - started);
    running = null;
    drawSend();
  }
}

/** The client, for this origin: the control plane hands prompts on to the gateway. */
function ai() {
  const credential = byId("credential").value.trim();
  return client.buildClient({
    url: new URL("gateway", location.href).href,
    headers: { ...operatorHeaders(), ...(credential && { "x-gateway-authorization": `Bearer ${credential}` }) },
    timeout: settings.longestWaitMs,
    promptPath: settings.promptPath,
    streamPath: settings.streamPath,
  });
}

const FACTS = {
  attempts: "attempts",
  first: "to the first token",
  total: "in all",
  events: "pieces",
  tokens: "tokens",
  result: "result",
};

/** The card of a run, above those before it. */
function newRun(asked) {
  const model = element("span", { class: "mono name" }, "…");
  const state = element("span", { class: "state" }, pill("probing", "under way"));
  const answer = element("div", { class: "answer", role: "log", "aria-live": "polite", "aria-busy": "true", "aria-label": "Answer", tabIndex: -1 });
  const facts = element("dl", { class: "facts inline" });
  const after = element("div", { class: "after" });
  const prompt = element("p", { class: "asked" }, asked.prompt);
  const card = element("article", { class: "run" }, element("div", { class: "line" }, model, state), prompt, answer, facts, after);
  byId("runs").prepend(card);
  [...byId("runs").children].slice(MOST_RUNS).forEach((old) => old.remove());

  const fact = (name, value) => {
    let at = facts.querySelector(`[data-fact="${name}"] dd`);
    if (!at) {
      at = element("dd", {});
      facts.append(element("div", { "data-fact": name }, element("dt", {}, FACTS[name]), at));
    }
    setText(at, value);
  };
  const mark = (kind, text) => state.replaceChildren(pill(kind, text));
  let isOver = false;
  return {
    fact,
    answeredBy(headers) {
      setText(model, headers.get("x-ai-warp-model") ?? "");
      if (headers.get("x-ai-warp-attempts")) fact("attempts", headers.get("x-ai-warp-attempts"));
      offerSession(after, headers.get(settings.sessionHeader));
    },
    write(text) {
      answer.append(text);
    },
    end(response) {
      isOver = true;
      mark("ready", "answered");
      if (response.result) fact("result", response.result);
      if (response.usage) fact("tokens", `${count(response.usage.inputTokens)} read, ${count(response.usage.outputTokens)} written`);
      if (response.sessionId) offerSession(after, response.sessionId);
      if (response.stored === false) after.append(element("p", { class: "why" }, "The turn is not stored yet: the store is away."));
    },
    fail(error, stopped = false) {
      isOver = true;
      mark(stopped ? "unknown" : "error", stopped ? "stopped" : "failed");
      if (model.textContent === "…") setText(model, "no model");
      if (stopped) return;
      const { code, message } = told(error);
      after.prepend(element("p", { class: "error-text", role: "alert" }, element("code", {}, code), ` ${message}`));
    },
    settle(ms) {
      if (!isOver) mark("error", "broken off");
      fact("total", measured(ms));
      answer.setAttribute("aria-busy", "false");
    },
  };
}

/** The session of a run, to go on with and to read. */
function offerSession(at, id) {
  if (!id || at.querySelector("[data-session]")) return;
  const goOn = () => {
    byId("options").open = true;
    byId("session").value = id;
    byId("prompt").focus();
  };
  at.append(
    element(
      "p",
      { class: "session", "data-session": id },
      element("span", { class: "why" }, "session "),
      element("code", {}, id),
      element("button", { type: "button", class: "quiet", onclick: goOn }, "Go on"),
      element("button", { type: "button", class: "quiet", onclick: () => readSession(id) }, "Read"),
    ),
  );
}

/** Code and sentence of an error, of the gateway or of the client. An answer that is no success has both in its body. */
function told(error) {
  const body = /^HTTP \d+: (\{.*\})$/s.exec(error.message ?? "")?.[1];
  let inner = {};
  try {
    inner = body ? JSON.parse(body) : {};
  } catch {
    // It is said as it is.
  }
  // Old errors of browsers have numbers for codes.
  const code = typeof error.code === "string" ? error.code : (inner.code ?? error.name ?? "ERROR");
  return { code, message: inner.message ?? error.message ?? String(error) };
}
