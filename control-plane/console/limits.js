// What of each limit is granted to gateways in the window under way.

import { byId, element, keep, setText, show } from "./dom.js";
import { count, several, span, windowLength } from "./format.js";

/** Part of a limit from which it is marked as nearly used up. */
const NEARLY = 0.8;

export function drawLimits(quotas, settings) {
  const used = new Map(quotas.map((quota) => [quota.quota, quota]));
  const limits = [...limitsOf("model", settings.models, "id"), ...limitsOf("route", settings.routes, "name")];
  const shown = limits.map((limit) => ({ ...limit, ...used.get(limit.quota) }));
  const inUse = shown.filter((limit) => limit.granted > 0);
  keep(
    byId("limits"),
    inUse.map((limit) => ({ ...limit, windowEndsInMs: span(limit.windowEndsInMs) })),
    (limit) => limit.quota,
    bar,
  );
  const unused = shown.filter((limit) => !(limit.granted > 0));
  show(byId("unused"), unused.length > 0);
  setText(byId("unused-title"), `${several(unused.length, "limit")} without use in this window`);
  keep(byId("unused-limits"), unused, (limit) => limit.quota, (limit) =>
    element("li", { class: "line" }, name(limit), element("span", { class: "why" }, allows(limit))),
  );
}

/** The limits of models or routes, with the names that the status has for them. */
function limitsOf(kind, owners, key) {
  return owners.flatMap((owner) =>
    [["rate", "Rate", "requests"], ["tokens", "Tokens", "tokens"]].flatMap(([limit, suffix, unit]) => {
      const of = owner.limits[limit];
      return of ? [{ quota: `${kind}${suffix}:${owner[key]}`, of: owner[key], kind, unit, ...of }] : [];
    }),
  );
}

const name = (limit) =>
  element("span", { class: "name" }, limit.kind === "route" && "route ", element("span", { class: "mono" }, limit.of));

const allows = (limit) => `${count(limit.max)} ${limit.unit} in ${windowLength(limit.windowMs)}`;

function bar(limit) {
  const told = `${count(limit.granted)} of ${count(limit.max)} ${limit.unit}`;
  const level = limit.granted >= limit.max ? "error" : limit.granted >= limit.max * NEARLY ? "probing" : "ready";
  return element(
    "li",
    {},
    element("div", { class: "line" }, name(limit), element("span", { class: "figure" }, told)),
    element("progress", { max: limit.max, value: Math.min(limit.granted, limit.max), "data-state": level, "aria-label": `${limit.of}: ${told}` }),
    element("p", { class: "why" }, `${windowLength(limit.windowMs)} window, ${limit.windowEndsInMs} left`),
  );
}
