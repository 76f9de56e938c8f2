// The page: asks how everything fares, once a second while somebody looks, and lets each part draw its share.

import { ApiError, ask, startForgetting } from "./api.js";
import { byId, setText } from "./dom.js";
import { time } from "./format.js";
import { drawGateways } from "./gateways.js";
import { drawLimits } from "./limits.js";
import { drawModels } from "./models.js";
import { drawOverview } from "./overview.js";
import { drawPicked } from "./picker.js";
import { drawPlayground, startPlayground } from "./playground.js";
import { startSessions } from "./sessions.js";

/** Time between two questions, in milliseconds. */
const EVERY = 1000;

let settings = null;
let timer = null;

async function look() {
  try {
    const status = await ask("../status");
    if (settings?.config !== status.config.version) {
      settings = await ask("api/settings");
      drawPlayground(settings);
    }
    drawOverview(status);
    drawModels(status.models);
    drawPicked();
    drawLimits(status.quotas, settings);
    drawGateways(status.gateways);
    live("live", `live ${time(Date.now())}`);
  } catch (error) {
    live("away", `control plane: ${error instanceof ApiError ? error.message : "no answer"}`);
  }
}

function live(state, text) {
  byId("live").dataset.state = state;
  setText(byId("live"), text);
}

/** Looks, and again when that is done: a slow answer is waited for, never overtaken. */
async function keepLooking() {
  clearTimeout(timer);
  if (document.hidden) {
    live("waiting", "paused");
    return;
  }
  const mine = (timer = -1);
  await look();
  if (timer === mine) timer = setTimeout(keepLooking, EVERY);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden || timer !== -1) keepLooking();
});
startForgetting();
startPlayground();
startSessions();
keepLooking();
