// Keeps the page up to date. Without it the page is the same, and a reload brings it up to date.
"use strict";

(() => {
  const main = document.getElementById("main");
  const said = document.getElementById("said");
  const pause = document.getElementById("pause");
  if (!main.dataset.version || !window.EventSource) return;

  // Not location.href: whoever came by a URL with a password in it could not fetch that.
  const here = location.origin + location.pathname + location.search;
  let shown = main.dataset.version;
  let newest = shown;
  let paused = false;
  let busy = false;

  // As words.py has it.
  const howLong = (seconds) => {
    const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
    if (seconds < 1) return "now";
    if (days) return `${days} d ${hours % 24} h ago`;
    if (hours) return `${hours} h ${minutes % 60} min ago`;
    return minutes ? `${minutes} min ago` : `${Math.floor(seconds)} s ago`;
  };
  // The server's clock counts: the times are its own.
  let ahead = 0;
  const tick = () => {
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const text = howLong(Math.max(0, (Date.now() + ahead - Date.parse(time.dateTime)) / 1000));
      if (time.textContent !== text) time.textContent = text;
    }
  };

  const readAt = (at) => {
    const time = document.getElementById("read-at");
    if (time && at) time.dateTime = at;
    tick();
  };

  // A part as the server made it, whatever its times were then.
  const sourceOf = (part) => {
    const copy = part.cloneNode(true);
    for (const time of copy.querySelectorAll("time[data-ago]")) time.textContent = "";
    return copy.outerHTML;
  };
  const sources = new Map([...document.querySelectorAll("[id^=part-]")].map((part) => [part.id, sourceOf(part)]));

  // Only what differs is replaced, so that whoever reads or works with the rest is not disturbed.
  const replace = (page) => {
    const focused = document.activeElement;
    for (const part of page.querySelectorAll("[id^=part-]")) {
      const old = document.getElementById(part.id);
      const source = sourceOf(part);
      if (!old || sources.get(part.id) === source || (old.contains(focused) && focused.matches("input"))) continue;
      const place = old.contains(focused) ? [focused.id, focused.getAttribute("href")] : null;
      old.replaceWith(part);
      sources.set(part.id, source);
      if (place) {
        const again = [...part.querySelectorAll("a, button, [tabindex]")].find(
          (one) => (place[0] && one.id === place[0]) || (place[1] && one.getAttribute("href") === place[1]));
        if (again) again.focus({ preventScroll: true });
      }
    }
    const fresh = page.getElementById("main");
    if (main.dataset.sentence !== fresh.dataset.sentence) said.textContent = `Groups: ${fresh.dataset.sentence}`;
    main.dataset.sentence = fresh.dataset.sentence;
    main.dataset.version = shown = fresh.dataset.version;
    document.title = page.title;
    readAt(page.getElementById("read-at")?.dateTime);
  };

  const load = async () => {
    if (busy || paused || newest === shown) return;
    busy = true;
    const asked = newest;
    try {
      const answer = await fetch(here, { headers: { Accept: "text/html" } });
      const date = Date.parse(answer.headers.get("Date"));
      if (date) ahead = date - Date.now();
      if (answer.ok) replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
      if (newest === asked) newest = shown;
    } catch {
      // The stream says when the server is there again.
    } finally {
      busy = false;
    }
  };

  let stream = null;
  const listen = () => {
    stream = new EventSource(`${location.origin}/events`);
    stream.addEventListener("state", (event) => { newest = String(JSON.parse(event.data).version); load(); });
    stream.addEventListener("read", (event) => readAt(JSON.parse(event.data).at));
    stream.addEventListener("error", () => {
      // Too many viewers: no stream is opened again by itself, so the page is asked for now and then.
      if (stream && stream.readyState === EventSource.CLOSED) { stream = null; setTimeout(again, 30000); }
    });
  };
  const again = () => { if (!paused && !stream) { newest = "?"; load(); listen(); } };

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    if (paused) { stream?.close(); stream = null; } else { again(); }
  });
  // A page that nobody sees needs nothing.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { stream?.close(); stream = null; } else { again(); }
  });
  setInterval(tick, 1000);
  setInterval(load, 2000);
  listen();
})();
