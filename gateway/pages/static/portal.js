// MijnAccountantsPortal. Every page works without this; it only makes them pleasanter.
// No eval, no inline handlers, no styles set: the page's Content-Security-Policy forbids them.

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const digits = (text) => text.replace(/\D/g, "");

/** Show or hide what was typed in a password field. */
function reveal(button) {
  const input = document.getElementById(button.getAttribute("aria-controls"));
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
    input.focus();
  });
  // A password never leaves as the text of a text field that the browser may remember.
  input.form?.addEventListener("submit", () => { input.type = "password"; });
}

/** Two boxes that behave as one: a whole code may be pasted, and typing goes on by itself. */
function codes(group) {
  const [first, second] = all("input", group);
  const half = Number(group.dataset.codes);
  const spread = (from) => {
    const typed = digits(from.value);
    if (from.value !== typed) from.value = typed;
    if (typed.length <= half) {
      if (from === first && typed.length === half) second.focus();
      return;
    }
    if (typed.length >= half * 2 || from === first) {
      first.value = typed.slice(0, half);
      second.value = typed.slice(half, half * 2);
      second.focus();
    } else {
      from.value = typed.slice(0, half);
    }
  };
  for (const input of [first, second]) input.addEventListener("input", () => spread(input));
  second.addEventListener("keydown", (event) => {
    if (event.key === "Backspace" && second.value === "") first.focus();
  });
  first.form?.addEventListener("reset", () => first.focus());
}

/** A button that rests for some seconds, and tells how many. */
function countdown(button) {
  const note = document.getElementById(button.getAttribute("aria-describedby"));
  const text = note?.dataset.text ?? "";
  const until = Date.now() + Number(button.dataset.wait) * 1000;
  if (!note || until <= Date.now()) return;
  button.disabled = true;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    if (left > 0) {
      note.textContent = text.replace("{seconds}", String(left));
      setTimeout(tick, 1000);
    } else {
      button.disabled = false;
      note.textContent = note.dataset.ready ?? "";
    }
  };
  tick();
}

/** The boxes of a list: all at once, and how many are chosen. */
function selection(form) {
  const every = form.querySelector("[data-all]");
  const button = form.querySelector("[data-chosen]");
  const boxes = () => all("tbody input[type=checkbox]", form);
  if (!every || !button) return;
  const show = () => {
    const chosen = boxes().filter((box) => box.checked).length;
    every.checked = chosen > 0 && chosen === boxes().length;
    every.indeterminate = chosen > 0 && !every.checked;
    button.disabled = chosen === 0;
    const number = button.querySelector("[data-number]");
    if (number) number.textContent = chosen ? ` (${chosen})` : "";
  };
  every.closest("[hidden]")?.removeAttribute("hidden");
  every.addEventListener("change", () => {
    for (const box of boxes()) box.checked = every.checked;
    show();
  });
  form.addEventListener("change", show);
  show();
}

/** Narrow a list of choices while typing. */
function filter(input) {
  const list = document.getElementById(input.dataset.filter);
  const none = document.getElementById(input.dataset.none);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const item of list.children) {
      const text = item.textContent.toLowerCase();
      item.hidden = !words.every((word) => text.includes(word));
      if (!item.hidden) found += 1;
    }
    if (none) none.hidden = found > 0;
  });
}

/** Fetch what was too slow for the page, and put it in place of the part that waited. */
async function fill(part) {
  const chosen = new Set(all("input:checked", part).map((box) => box.value));
  const focus = document.activeElement?.id;
  try {
    const answer = await fetch(part.dataset.fill, {
      headers: { Accept: "text/html" }, redirect: "error", credentials: "same-origin",
    });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById(part.id);
    if (!fresh || !part.isConnected) return;
    part.replaceWith(fresh);
    for (const box of all("input[type=checkbox]", fresh)) box.checked = chosen.has(box.value);
    enhance(fresh);
    if (focus && !document.activeElement?.id) document.getElementById(focus)?.focus();
    const told = document.getElementById("told");
    if (told) told.textContent = fresh.dataset.told ?? "";
  } catch {
    // The part still says what is missing and offers "opnieuw".
  }
}

/** Warn before a session ends, on time to go on without losing what was typed. */
function session(dialog) {
  const warning = 120;
  const key = "map-session-until";
  const token = dialog.querySelector("[name=form_token]").value;
  const left = dialog.querySelector("[data-left]");
  const until = () => Number(localStorage.getItem(key));
  const extend = (seconds) => localStorage.setItem(key, String(Date.now() + seconds * 1000));
  extend(Number(dialog.dataset.seconds));
  dialog.querySelector("[data-stay]").addEventListener("click", async () => {
    const body = new URLSearchParams({ form_token: token });
    try {
      const answer = await fetch("/sessie/verlengen", { method: "POST", body, redirect: "error" });
      if (!answer.ok) throw new Error(String(answer.status));
      extend((await answer.json()).seconds);
      dialog.close();
    } catch {
      location.reload();
    }
  });
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  setInterval(() => {
    const seconds = Math.round((until() - Date.now()) / 1000);
    if (seconds <= 0) {
      location.assign(dialog.dataset.ended);
    } else if (seconds <= warning) {
      left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
      if (!dialog.open) dialog.showModal();
    } else if (dialog.open) {
      dialog.close(); // another tab went on
    }
  }, 1000);
}

/** Only one pull-down at a time; Escape and a click beside it close it. */
function pulls() {
  const close = (but) => {
    for (const one of all("details.pull[open]")) if (one !== but) one.open = false;
  };
  document.addEventListener("click", (event) => close(event.target.closest("details.pull")));
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && document.querySelector("details.pull[open]");
    if (open) {
      open.open = false;
      open.querySelector("summary").focus();
    }
  });
}

/** Copy the text of another element. */
function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  if (!source || !navigator.clipboard) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(source.textContent);
    button.querySelector("[data-done]").textContent = button.dataset.done;
  });
}

function enhance(root) {
  const each = (selector, action) => {
    if (root instanceof Element && root.matches(selector)) action(root);
    all(selector, root).forEach(action);
  };
  each("[data-reveal]", reveal);
  each("[data-codes]", codes);
  each("[data-wait]", countdown);
  each("[data-select]", selection);
  each("[data-filter]", filter);
  each("[data-copy]", copy);
  each("[data-fill]", fill);
}

enhance(document);
pulls();
document.querySelector("[data-focus]")?.focus();
all("dialog[data-session]").forEach(session);
