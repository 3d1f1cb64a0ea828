/** Dark or light: the system's choice until the user makes one. */

import { t } from "./language.js";

/** @param {HTMLButtonElement} button */
export function mountAppearance(button) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

  function show() {
    const text = t(isDark() ? "Switch to light" : "Switch to dark");
    button.setAttribute("aria-label", text);
    button.title = text;
    root.classList.toggle("dark", isDark());
  }

  button.addEventListener("click", () => {
    const chosen = isDark() ? "light" : "dark";
    root.dataset.theme = chosen;
    try {
      localStorage.setItem("perse-live.theme", chosen);
    } catch {
      // Then it lasts as long as the page.
    }
    show();
  });
  system.addEventListener("change", show);
  show();
}
