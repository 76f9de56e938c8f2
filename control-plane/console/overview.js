// The line at the top, what needs somebody, and the facts of the control plane itself.

import { byId, element, keep, show } from "./dom.js";
import { bytes, count, several, short, time } from "./format.js";
import { standing } from "./gateways.js";

const STORES = { none: "no sessions", memory: "memory", valkey: "Valkey" };

export function drawOverview(status) {
  const { config, models, gateways, storage } = status;
  const ready = models.filter((model) => model.state === "ready").length;
  const current = gateways.filter((gateway) => standing(gateway) === "current").length;
  const chips = [
    ["Config", config.error ? "file refused" : short(config.version), config.error ? "error" : "ready"],
    ["Models", `${ready} of ${models.length} ready`, ready === models.length ? "ready" : ready ? "probing" : "error"],
    ["Envoys", gateways.length ? `${current} of ${gateways.length} current` : "none", current && current === gateways.length ? "ready" : "error"],
    ["Storage", storage.reachable ? STORES[storage.type] : "not reachable", storage.reachable ? "ready" : "error"],
  ];
  keep(byId("overview"), chips, ([name]) => name, ([name, value, state]) =>
    element("li", { "data-state": state }, element("span", {}, name), ` ${value}`),
  );
  drawProblems(status);
  keep(byId("control-plane"), facts(status), ([name]) => name, ([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value)),
  );
}

function drawProblems({ config, problems }) {
  const all = [
    config.error && ["The configuration file is refused, and the one before goes on", config.error.message],
    ...problems.map((problem) => [problem]),
    config.restartNeeded.length > 0 && [`Changes of ${config.restartNeeded.join(", ")} wait for a restart of the control plane`],
    ...config.warnings.map((warning) => [warning]),
  ].filter(Boolean);
  show(byId("problems"), all.length > 0);
  keep(byId("problems"), all, ([what]) => what, ([what, text]) => element("div", {}, element("p", {}, what), text && element("pre", {}, text)));
}

function facts({ version, config, filter, storage, turns }) {
  return [
    ["Version", version],
    ["Configuration", config.version + (config.error ? `, a newer one refused at ${time(config.error.sinceMs)}` : "")],
    ["Filter code", short(filter.sha256)],
    ["Storage", (STORES[storage.type] ?? storage.type) + (storage.reachable ? "" : ", not reachable")],
    storage.sessions !== undefined && ["Sessions", several(storage.sessions, "session") + (storage.bytes === undefined ? "" : `, ${bytes(storage.bytes)}`)],
    ["Turns", `${count(turns.stored)} stored` + (turns.failed ? `, ${count(turns.failed)} failed` : "")],
  ].filter(Boolean);
}
