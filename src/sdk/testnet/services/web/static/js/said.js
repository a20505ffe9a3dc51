// Says something to readers of screens, without moving anybody's focus.
export function say(text) {
  const place = document.getElementById("said");
  if (!place) return;
  place.textContent = "";
  // The same words twice are read twice only if they were away in between.
  requestAnimationFrame(() => { place.textContent = text; });
}
