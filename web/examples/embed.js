/**
 * The smallest page that shows an application: start a session, connect a video element to it.
 */

import { BrokerClient } from "../broker-client.js";
import { connect } from "../stream-client.js";

const videoElement = document.querySelector("video") ?? undefined;
const status = /** @type {HTMLElement} */ (document.querySelector("#status"));
try {
  const { id, route } = await new BrokerClient().start({ id: "test-pattern", profile: "default" });
  if (route === null) {
    throw new Error("The session has no route.");
  }
  const stream = await connect({ sessionId: id, ...route, videoElement });
  stream.addEventListener("end", (event) => (status.textContent = /** @type {CustomEvent} */ (event).detail.message));
  status.textContent = "Connected: mouse, wheel and keyboard go to the application.";
} catch (error) {
  status.textContent = error instanceof Error ? error.message : String(error);
}
