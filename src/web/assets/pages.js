// Keeps a page fresh: when the bridge says that something has changed, the page is fetched again and
// its parts marked `data-live` are exchanged. Without it every page works by links and forms.
"use strict";

(() => {
  const live = document.getElementById("live");
  const announce = document.getElementById("announce");
  const MINUTE = 60, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

  const span = (seconds) => {
    if (seconds < MINUTE) return `${Math.max(0, Math.floor(seconds))} s`;
    if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min`;
    const [large, small, big, little] = seconds < 2 * DAY
      ? [HOUR, MINUTE, "h", "min"] : [DAY, HOUR, "d", "h"];
    const rest = Math.floor((seconds % large) / small);
    return `${Math.floor(seconds / large)} ${big}${rest ? ` ${rest} ${little}` : ""}`;
  };

  // Ages go on, and clocks go by the reader's own zone, which stands beside them.
  const clock = (at) => {
    const day = at.toDateString() === new Date().toDateString() ? {} : { day: "numeric", month: "short" };
    const other = at.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" };
    return new Intl.DateTimeFormat("en-GB", {
      ...day, ...other, hour: "2-digit", minute: "2-digit", timeZoneName: "short",
    }).format(at);
  };
  const tick = (within) => {
    for (const time of within.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const seconds = (Date.now() - at.getTime()) / 1000;
      for (const ago of time.querySelectorAll("[data-ago]")) {
        ago.textContent = seconds < 0 ? `in ${span(-seconds)}` : `${span(seconds)} ago`;
      }
      for (const open of time.querySelectorAll("[data-span]")) open.textContent = span(seconds);
      for (const shown of time.querySelectorAll("[data-clock]")) {
        shown.textContent = clock(at);
        shown.title = time.dateTime;
      }
    }
  };

  const parts = (page) => [...page.querySelectorAll("[data-live][id]")];
  // As the server wrote them: what is shown differs by its clocks.
  const written = new Map(parts(document).map((part) => [part.id, part.innerHTML]));

  // What is opened or in focus, by where it stands: what is new comes before it and moves it on.
  const place = (one) => one.id ||
    [one.closest("[id]").id, one.tagName, one.getAttribute("href") ?? (one.querySelector("summary") ?? one).textContent].join(" ");

  const exchange = (page) => {
    let said = "";
    for (const fresh of parts(page)) {
      const old = document.getElementById(fresh.id);
      if (!old || old.contains(document.activeElement) && old.querySelector("input:focus, textarea:focus, select:focus")) continue;
      const html = fresh.innerHTML.replace(/>[^<]*<\/span>/g, "");
      const was = (written.get(fresh.id) ?? "").replace(/>[^<]*<\/span>/g, "");
      const text = (part) => part.querySelectorAll("[data-ago], [data-clock], [data-span]").length;
      written.set(fresh.id, fresh.innerHTML);
      if (html === was && text(fresh) === text(old)) continue;
      const open = new Set([...old.querySelectorAll("details[open]")].map(place));
      const focused = old.contains(document.activeElement) && place(document.activeElement);
      const node = document.importNode(fresh, true);
      old.replaceWith(node);
      for (const details of node.querySelectorAll("details")) details.open ||= open.has(place(details));
      if (focused) [...node.querySelectorAll("a, summary")].find((one) => place(one) === focused)?.focus();
      if (fresh.dataset.announce) said = fresh.dataset.announce;
    }
    tick(document);
    document.title = page.title;
    if (said) announce.textContent = said;
  };

  const say = (text) => { live.textContent = text; };
  const LIVE = "Live: changes show by themselves";

  let events = null, waiting = false, again = false;
  const refresh = async () => {
    if (waiting) { again = true; return; }
    waiting = true;
    try {
      const reply = await fetch(location.href, { credentials: "same-origin", redirect: "manual" });
      if (reply.ok) {
        exchange(new DOMParser().parseFromString(await reply.text(), "text/html"));
        if (events?.readyState === EventSource.OPEN) say(LIVE);
      } else if (reply.status === 401 || reply.type === "opaqueredirect") {
        say("Not live: you are signed out. Reload the page to sign in again.");
      } else if (reply.status < 500) {
        say("Not live: this page cannot be loaded again. What is shown may be old.");
      } else {
        say("Not live: the bridge cannot answer. What is shown may be old.");
      }
    } catch { /* The connection's own event says so. */ }
    waiting = false;
    if (again) { again = false; setTimeout(refresh, 250); }
  };

  tick(document);
  setInterval(() => tick(document), 15000);

  // A menu closes as menus do.
  const menu = document.querySelector("details.more");
  document.addEventListener("click", (event) => { if (menu?.open && !menu.contains(event.target)) menu.open = false; });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu?.open) { menu.open = false; menu.querySelector("summary").focus(); }
  });

  // A mail that is dropped on its field is chosen.
  for (const area of document.querySelectorAll("textarea[name=mail], textarea[name=config]")) {
    area.addEventListener("dragover", (event) => event.preventDefault());
    area.addEventListener("drop", async (event) => {
      const file = event.dataTransfer.files[0];
      if (!file) return;
      event.preventDefault();
      const chosen = area.form.querySelector("input[type=file]");
      chosen.files = event.dataTransfer.files;
    });
  }

  // What was written into the fields with much room outlives an answer that does not show it, such
  // as a sign-in in between, in this tab alone.
  for (const area of document.querySelectorAll("textarea[name=mail], textarea[name=config]")) {
    const kept = `alertbridge ${area.name}`;
    try {
      if (!area.value) area.value = sessionStorage.getItem(kept) ?? "";
      sessionStorage.removeItem(kept);
    } catch { continue; /* The browser keeps nothing. */ }
    document.addEventListener("submit", () => {
      try { if (area.value) sessionStorage.setItem(kept, area.value); } catch { /* Nor so much. */ }
    });
  }

  // A browser opens six connections to a host, for all its tabs and the pages behind them together:
  // only a page that is looked at keeps one.
  let soon = 0;
  const changed = () => { clearTimeout(soon); soon = setTimeout(refresh, 150); };
  const leave = () => { events?.close(); events = null; };
  const watch = () => {
    if (document.visibilityState === "hidden") return leave();
    if (events && events.readyState !== EventSource.CLOSED) return;
    events = new EventSource("/api/v1/events");
    events.onopen = () => { say(LIVE); changed(); };
    events.onerror = () => {
      say("Not live: the connection is lost. What is shown may be old.");
      // It is not tried again where it was refused, and the page itself tells why.
      if (events?.readyState === EventSource.CLOSED) changed();
    };
    events.addEventListener("changed", changed);
  };
  if (parts(document).length && new URLSearchParams(location.search).get("live") !== "no") {
    document.addEventListener("visibilitychange", watch);
    addEventListener("pageshow", watch);
    addEventListener("pagehide", leave);
    watch();
  }

  // Alertmanager's tools link to a silence at an address of its single page: `/#/silences/UUID`.
  const silence = /^#\/silences\/[0-9a-f-]+-([0-9a-f]{12})$/.exec(location.hash);
  if (silence) location.replace(`/silences/${parseInt(silence[1], 16)}`);

  // What was done is told once, and not again to who comes back.
  addEventListener("pagehide", () => document.querySelector("main > .notice[role=status]")?.remove());
})();
