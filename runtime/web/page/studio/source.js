/** From where the motion comes, chosen while the session runs: this browser's camera, one of the computer's, or none. */

import { element } from "../dom.js";
import { t } from "../language.js";

/** @typedef {{id: string, kind: "browser" | "camera" | "given" | "none", name: string, problem: string}} Source */

/**
 * @param {import("./app.js").Shell} shell @param {import("../store.js").Store} store @param {HTMLElement} place
 * @param {() => void} releaseCamera turns this browser's camera off: the computer's may be the same one
 */
export function mountSourceChoice({ studio, say }, store, place, releaseCamera) {
  const choice = element("select", { id: "motion-choice" });
  place.append(element("label", { class: "hidden-name", for: "motion-choice" }, t("Where the motion comes from")), choice);
  place.hidden = false;
  let chosen = "";
  let shown = "";

  /** @param {Source} source */
  function words({ kind, name, problem }) {
    const text = kind === "browser" ? t("Camera of this browser") : kind === "none" ? t("No camera") : kind === "camera" ? t("Camera of the computer: {name}", { name }) : t("As at the start: {name}", { name });
    return problem ? `${text} (${problem.split(":")[0]})` : text;
  }

  async function refresh() {
    try {
      /** @type {{sources: Source[], chosen: string}} */
      const known = await studio.api.call("GET", "/api/studio/sources");
      const shape = JSON.stringify(known);
      if (shape === shown) return;
      shown = shape;
      chosen = known.chosen;
      choice.replaceChildren(...known.sources.map((source) => element("option", { value: source.id, disabled: Boolean(source.problem) }, words(source))));
      choice.value = chosen;
      place.hidden = known.sources.length < 2;
    } catch {
      // Asked again with the next change.
    }
  }

  choice.addEventListener("change", async () => {
    const wished = choice.value;
    choice.disabled = true;
    releaseCamera();
    try {
      await studio.api.call("POST", "/api/studio/source", { id: wished });
    } catch (error) {
      say(error instanceof Error ? error.message : String(error), "error");
    }
    choice.disabled = false;
    shown = "";
    await refresh();
  });
  choice.addEventListener("focus", () => void refresh()); // a camera may have been plugged in
  let name = "";
  store.subscribe(({ state }) => {
    if (!state || state.source.name === name) return;
    name = state.source.name;
    void refresh(); // chosen in another window
  });
}
