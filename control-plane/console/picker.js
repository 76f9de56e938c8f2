// Which models a prompt may try: a route of the configuration, or models of one's own choice in an order of one's own.

import { byId, element, keep, show } from "./dom.js";
import { several } from "./format.js";
import { pill, stateOf } from "./models.js";

/** Most models that a request may name. */
const MOST = 32;

/** The option that stands for one's own choice; no route can be called so. */
const OWN = "";

let models = [];
let picked = [];
let tellChange = () => {};

/** Offers what a configuration has. What is chosen stays, as far as it still exists. */
export function drawPicker(settings) {
  models = settings.models.map((model) => model.id);
  picked = picked.filter((model) => models.includes(model));
  const select = byId("route");
  const chosen = select.options.length ? select.value : settings.routes[0]?.name;
  const routes = settings.routes.map(({ name, models, strategy }) => {
    const order = strategy === "ordered" ? "in order" : strategy === "weighted" ? "by weight" : "least busy first";
    return element("option", { value: name }, `Route ${name}: ${several(models.length, "model")}${models.length > 1 ? ` ${order}` : ""}`);
  });
  select.replaceChildren(...routes, element("option", { value: OWN }, "My choice of models…"));
  select.value = chosen;
  if (select.selectedIndex < 0) select.selectedIndex = 0;
  draw();
}

/** Calls `changed` whenever something else is chosen. */
export function startPicker(changed) {
  tellChange = changed;
  byId("route").onchange = draw;
  byId("add").onclick = () => {
    const model = byId("pick").value;
    if (!model || picked.length >= MOST) return;
    picked.push(model);
    draw();
    byId(byId("pick").options.length ? "pick" : "prompt").focus();
  };
}

/** The part of a request that says which models. */
export function chosenModels() {
  const route = byId("route").value;
  if (route !== OWN) return byId("route").selectedIndex === 0 ? {} : { route };
  return { models: [...picked] };
}

/** Whether there is anything to ask: one's own choice may be empty. */
export const isAnyChosen = () => byId("route").value !== OWN || picked.length > 0;

function draw() {
  show(byId("picker"), byId("route").value === OWN);
  const left = models.filter((model) => !picked.includes(model));
  const select = byId("pick");
  const chosen = select.value;
  select.replaceChildren(...left.map((model) => element("option", { value: model }, model)));
  if (left.includes(chosen)) select.value = chosen;
  byId("add").disabled = left.length === 0 || picked.length >= MOST;
  show(byId("picked-none"), picked.length === 0);
  drawPicked();
  tellChange();
}

/** Draws what is picked, with the states of now. */
export function drawPicked() {
  const items = picked.map((model, index) => ({ model, index, last: index === picked.length - 1, state: stateOf(model) }));
  keep(byId("picked"), items, (item) => item.model, row);
}

function row({ model, index, last, state }) {
  const button = (part, text, label, disabled, act) =>
    element("button", { type: "button", class: "quiet", "data-part": part, "aria-label": `${label} ${model}`, disabled, onclick: act }, text);
  const move = (by) => () => {
    [picked[index], picked[index + by]] = [picked[index + by], picked[index]];
    draw();
  };
  const remove = () => {
    picked.splice(index, 1);
    draw();
    byId("pick").focus();
  };
  return element(
    "li",
    {},
    element("span", { class: "mono name" }, model),
    pill(state),
    button("up", "↑", "Earlier:", index === 0, move(-1)),
    button("down", "↓", "Later:", last, move(1)),
    button("remove", "×", "Without", false, remove),
  );
}
