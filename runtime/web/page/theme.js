// Before the first paint, hence no module: the chosen theme, where one was chosen. Buttons for it are in appearance.js.
try {
  const theme = localStorage.getItem("perse-live.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; the system's theme is fine.
}
