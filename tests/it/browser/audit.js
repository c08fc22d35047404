// What a page owes to whoever sees little, or nothing, or has no mouse: the rules of WCAG 2.2 A and
// AA that a program can check. Returns sentences on what is wrong.
(() => {
  const wrong = [];
  const seen = (e) => {
    if (e.closest("[hidden]") || !e.getClientRects().length) return false;
    const style = getComputedStyle(e);
    return style.visibility !== "hidden";
  };
  const where = (e) => `<${e.tagName.toLowerCase()}${e.id ? `#${e.id}` : ""} ${e.className?.baseVal ?? e.className}> "${(e.textContent ?? "").trim().slice(0, 40)}"`;
  const all = (selector) => [...document.querySelectorAll(selector)];

  // Names of what can be used.
  const named = (e) => {
    const by = (e.getAttribute("aria-labelledby") ?? "").split(/\s+/).filter(Boolean)
      .map((id) => document.getElementById(id)?.textContent ?? "").join(" ");
    const labels = [...(e.labels ?? [])].map((label) => label.textContent).join(" ");
    return (by || e.getAttribute("aria-label") || labels || e.getAttribute("title") || e.getAttribute("alt")
      || (e.matches("input, select, textarea, iframe, svg") ? "" : e.textContent)).trim();
  };
  for (const e of all("a[href], button, input:not([type=hidden]), select, textarea, summary, iframe, [role=img]")) {
    if (!named(e)) wrong.push(`no name: ${where(e)}`);
  }
  for (const e of all("img")) if (!e.hasAttribute("alt")) wrong.push(`no alt: ${where(e)}`);
  for (const e of all("svg")) {
    if (e.getAttribute("aria-hidden") !== "true" && e.getAttribute("role") !== "img") wrong.push(`a drawing that says nothing: ${where(e)}`);
  }
  for (const label of all("label[for]")) {
    if (!document.getElementById(label.htmlFor)) wrong.push(`a label of nothing: ${where(label)}`);
  }

  // The page as a whole.
  if (!document.documentElement.lang) wrong.push("no lang");
  if (!document.title) wrong.push("no title");
  if (all("main").length !== 1) wrong.push("not one main");
  if (all("h1").length !== 1) wrong.push(`${all("h1").length} h1`);
  if (!document.querySelector("header") || !document.querySelector("footer")) wrong.push("no header or footer");
  let level = 0;
  for (const h of all("h1, h2, h3, h4")) {
    const own = Number(h.tagName[1]);
    if (own > level + 1 && !(level === 0 && own === 2)) wrong.push(`a heading leaps: ${where(h)}`);
    level = own;
  }
  const ids = new Map();
  for (const e of all("[id]")) ids.set(e.id, (ids.get(e.id) ?? 0) + 1);
  for (const [id, times] of ids) if (times > 1) wrong.push(`the id ${id} stands there ${times} times`);
  for (const e of all("[aria-labelledby], [aria-describedby]")) {
    for (const name of ["aria-labelledby", "aria-describedby"]) {
      for (const id of (e.getAttribute(name) ?? "").split(/\s+/).filter(Boolean)) {
        if (!document.getElementById(id)) wrong.push(`${name} leads nowhere: ${where(e)}`);
      }
    }
  }
  for (const nav of all("nav, section, form[role=search]")) {
    if (!nav.hasAttribute("aria-label") && !nav.hasAttribute("aria-labelledby") && nav.tagName === "NAV") wrong.push(`a nav without a name: ${where(nav)}`);
  }
  for (const list of all("ul, ol")) {
    if ([...list.children].some((child) => child.tagName !== "LI")) wrong.push(`a list with what is no item: ${where(list)}`);
  }
  for (const dl of all("dl")) {
    if ([...dl.children].some((child) => !/^(DT|DD)$/.test(child.tagName))) wrong.push(`a dl with others in it: ${where(dl)}`);
  }
  for (const e of all("[tabindex]")) if (e.tabIndex > 0) wrong.push(`an order of its own: ${where(e)}`);

  // Contrast: text against what is behind it (4.5, and 3 where it is large).
  const parse = (color) => {
    const parts = color.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0, 0];
    return { rgb: parts.slice(0, 3), alpha: parts[3] ?? 1 };
  };
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = (e) => {
    for (let at = e; at; at = at.parentElement) {
      const { rgb, alpha } = parse(getComputedStyle(at).backgroundColor);
      if (alpha > 0.99) return rgb;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
  };
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  for (const e of all("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !seen(e) || e.closest("svg, option, .unseen, .skip")) continue;
    const style = getComputedStyle(e);
    const size = parseFloat(style.fontSize), bold = Number(style.fontWeight) >= 700;
    const least = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
    const found = ratio(parse(style.color).rgb, behind(e));
    if (found < least) wrong.push(`contrast ${found.toFixed(2)}: ${where(e)}`);
  }
  for (const e of all("input:not([type=hidden]), select, textarea, button, .button")) {
    if (!seen(e)) continue;
    const style = getComputedStyle(e);
    if (parseFloat(style.borderTopWidth) === 0) continue;
    const around = behind(e.parentElement);
    const found = Math.max(ratio(parse(style.borderTopColor).rgb, around), ratio(parse(style.backgroundColor).rgb, around));
    if (found < 3) wrong.push(`the edge of a control, ${found.toFixed(2)}: ${where(e)}`);
  }

  // Targets: 24 px (2.5.8), but for links in a sentence.
  const spoken = (e) => [...e.parentElement.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  for (const e of all("button, .button, select, input:not([type=hidden]), nav a, footer a, summary, a[href]")) {
    const box = e.getBoundingClientRect();
    if (e.matches("main a:not(.button)") && spoken(e) || e.matches(".skip")) continue;
    if (seen(e) && (box.height < 24 || box.width < 24)) wrong.push(`small to hit, ${Math.round(box.width)}×${Math.round(box.height)}: ${where(e)}`);
  }

  // Nothing scrolls sideways.
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) {
    const wide = all("body *").filter((e) => seen(e) && e.getBoundingClientRect().right > root.clientWidth + 1).slice(-3).map(where);
    wrong.push(`it scrolls sideways, ${root.scrollWidth} > ${root.clientWidth}: ${wide.join("; ")}`);
  }
  return wrong;
})()
