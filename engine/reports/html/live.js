
// -- the dashboard: what is on is asked for again, and put in place of what was there --
const main = document.getElementById("page");
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const places = () => all("a[href], button, input, select, summary, [tabindex]", main);
const scrollers = () => all(".graph, .scroll, pre, .log", main);

function replace(html) {
  const held = document.activeElement, at = places().indexOf(held), id = held?.id;
  const caret = held?.selectionStart;
  const forms = all("form.filter", main).map((form) => [...form.elements].map((one) => one.value));
  const open = new Set(all("details[open]", main).map((one) => one.id || one.textContent));
  const scrolled = scrollers().map((one) => [one.scrollLeft, one.scrollTop]);
  const top = scrollY;
  main.innerHTML = html;
  all("form.filter", main).forEach((form, n) => {
    [...form.elements].forEach((one, m) => { if (forms[n]?.[m] !== undefined) one.value = forms[n][m]; });
    filter(form);
  });
  for (const one of all("details", main)) if (open.has(one.id || one.textContent)) one.open = true;
  scrollers().forEach((one, n) => { if (scrolled[n]) [one.scrollLeft, one.scrollTop] = scrolled[n]; });
  if (at >= 0) {
    const again = (id && document.getElementById(id)) || places()[at];
    again?.focus({ preventScroll: true });
    if (caret !== null && again?.setSelectionRange && again.type !== "number") again.setSelectionRange(caret, caret);
  }
  scrollTo({ top, behavior: "instant" });
}

function tell(text) {
  const stale = document.getElementById("stale");
  stale.textContent = text;
  stale.hidden = !text;
}

async function follow() {
  let { live, tag, every } = main.dataset;
  while (live) {
    await pause(Number(every));
    if (document.hidden || getSelection().toString()) continue;
    let answer;
    try {
      answer = await fetch(live, { headers: { "If-None-Match": tag }, cache: "no-store" });
    } catch {
      tell("The dashboard does not answer: what is shown is not up to date.");
      continue;
    }
    tell(answer.ok || answer.status === 304 ? "" : "What is shown is not up to date.");
    every = answer.headers.get("Live-Every") ?? every;
    if (answer.ok) {
      tag = answer.headers.get("ETag");
      replace(await answer.text());
    }
    if (answer.headers.get("Live-Every") === "0") live = "";
  }
}
follow();

// -- a log: what was added is asked for and added --
async function tail(log) {
  let { next, every } = log.dataset;
  while (next) {
    await pause(Number(every));
    if (document.hidden) continue;
    const answer = await fetch(next, { cache: "no-store" }).catch(() => null);
    if (!answer?.ok) continue;
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
    log.append(await answer.text());
    if (atEnd) log.scrollTop = log.scrollHeight;
    next = answer.headers.get("Log-Next");
  }
}
all(".log[data-next]").forEach((log) => { log.scrollTop = log.scrollHeight; tail(log); });
