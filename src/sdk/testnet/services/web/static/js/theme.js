// Before the first paint: the colours that the reader has chosen, if any. A plain script, for a module comes too late.
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // No storage: as the system.
}
