// The Envoys that are connected, and the version of each kind of configuration that they have accepted.

import { byId, element, keep, setText } from "./dom.js";
import { several, short, time } from "./format.js";
import { pill } from "./models.js";

const PILLS = { current: "ready", behind: "probing", refuses: "error" };

export function drawGateways(gateways) {
  const current = gateways.filter((gateway) => standing(gateway) === "current").length;
  setText(byId("gateways-count"), gateways.length ? `${current} of ${gateways.length} current` : "");
  if (gateways.length === 0) {
    keep(byId("gateways"), [{}], () => "none", () => element("li", { class: "why" }, "No Envoy is connected."));
  } else {
    const sorted = [...gateways].sort((a, b) => a.node.localeCompare(b.node, "en", { numeric: true }));
    keep(byId("gateways"), sorted, (gateway) => `${gateway.node} ${gateway.connectedAtMs}`, row);
  }
}

/** Whether an Envoy has accepted all it was sent, has yet to answer, or refuses something. */
export function standing(gateway) {
  const all = Object.values(gateway.resources);
  if (all.some((progress) => progress.refused)) return "refuses";
  return all.every((progress) => progress.sent === progress.acknowledged) ? "current" : "behind";
}

function row(gateway) {
  const kinds = Object.entries(gateway.resources);
  const is = standing(gateway);
  const { sent, acknowledged } = gateway.resources.filter ?? {};
  const refusals = kinds.filter(([, progress]) => progress.refused);
  return element(
    "li",
    {},
    element("div", { class: "line" }, element("span", { class: "mono name" }, gateway.node), pill(PILLS[is], is)),
    element(
      "p",
      { class: "why" },
      acknowledged ? ["filter ", element("code", {}, short(acknowledged)), " acknowledged, "] : "no filter acknowledged yet, ",
      sent && sent !== acknowledged && [element("code", {}, short(sent)), " sent, "],
      `Envoy ${gateway.envoy}, since ${time(gateway.connectedAtMs)}`,
    ),
    refusals.map(([kind, { refused }]) =>
      element("p", { class: "error-text" }, `${kind} ${short(refused.version)}: ${refused.reason}`),
    ),
    element(
      "details",
      { "data-part": "kinds" },
      element("summary", { "data-part": "summary" }, several(kinds.length, "kind"), " of resources"),
      element(
        "table",
        {},
        element("thead", {}, element("tr", {}, ["kind", "sent", "acknowledged"].map((head) => element("th", { scope: "col" }, head)))),
        element("tbody", {}, kinds.map(([kind, progress]) =>
          element(
            "tr",
            {},
            element("th", { scope: "row" }, kind),
            element("td", { class: "mono" }, short(progress.sent)),
            element("td", { class: "mono", "data-state": progress.sent === progress.acknowledged ? "ready" : "probing" }, short(progress.acknowledged) || "–"),
          ),
        )),
      ),
    ),
  );
}
