// Follows a verification, and shows the page anew when it is another step further.
const POLL_MS = 1000;
const place = document.getElementById("verification");

async function follow(before) {
  const answer = await fetch(place.dataset.twin, { credentials: "omit" }).catch(() => null);
  const now = answer?.ok ? await answer.json() : null;
  const step = now && `${now.state} ${now.before}`;
  if (before && step && step !== before) {
    location.reload();
    return;
  }
  setTimeout(() => follow(before ?? step), POLL_MS);
}

if (place?.dataset.twin) follow(`${place.dataset.state} ${place.dataset.before}`);
