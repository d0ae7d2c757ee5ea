// What the pages can do better with a script. Each works without it. Nothing is stored,
// nothing is sent anywhere but by the page's own forms, and all words are the page's.
"use strict";

const all = (selector, root = document) => root.querySelectorAll(selector);

const language = document.documentElement.lang;
const locale = navigator.languages.find((one) => one.startsWith(language)) ?? language;

// A link's token stands in its fragment, which browsers do not send: put it into the form
// that a reader without a script pastes it into.
function followFragment(change) {
  const fragment = location.hash.slice(1);
  // that of "Skip to the content" names a part of the page
  if (!fragment || document.getElementById(fragment)) return;
  const form = document.querySelector("form[data-fragment]");
  if (form) {
    form.elements.link.value = fragment;
    // on a slow line the token would stand there for anybody to see
    for (const typed of all("[data-typed]")) typed.hidden = true;
    const looking = document.querySelector("[data-looking]");
    looking.textContent = looking.dataset.looking;
    form.submit();
  } else if (change && /^b[nr]1_/.test(fragment)) {
    // Another link, put into the address of a page that one has led to already. For the
    // browser that is the same page: "?" makes it ask for the form.
    location.replace(`?${location.hash}`);
  }
}
followFragment();
addEventListener("hashchange", followFragment);

// Without a script a revealed file is the answer itself; with one it comes in a page. The
// same word asks for the new page's address in place of a redirect to it.
function scripted(form) {
  const field = document.createElement("input");
  Object.assign(field, { type: "hidden", name: "scripted", value: "yes" });
  form.append(field);
}

// A second click would look as if the first reader were another, and one after the browser's
// Stop too: what was sent may have arrived.
for (const form of all("form[data-scripted]")) {
  scripted(form);
  const said = form.querySelector("[data-sent]");
  let sent = false;
  form.addEventListener("submit", (event) => {
    if (sent) {
      event.preventDefault();
      said.textContent = said.dataset.sent;
    }
    sent = true;
  });
  addEventListener("pageshow", () => (sent = false));
}

for (const link of all("a[data-file]")) {
  const base64 = document.getElementById(link.dataset.file).value;
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  link.href = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
}

for (const button of all("button[data-copy]")) {
  const field = document.getElementById(button.dataset.copy);
  const words = button.textContent;
  button.hidden = false;
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      // not a secure context, or not allowed: it is selected, for Ctrl+C
      return;
    }
    field.dispatchEvent(new Event("copied"));
    button.textContent = button.dataset.done;
    setTimeout(() => (button.textContent = words), 2000);
  });
}

// The reader's own time zone and habits, which the server does not know
const format = new Intl.DateTimeFormat(locale, {
  year: "numeric",
  month: "long",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  timeZoneName: "short",
});
for (const time of all("time[datetime]")) time.textContent = format.format(new Date(time.dateTime));

// The form that makes a note
function help(form) {
  for (const counter of all("[data-counts]", form)) {
    const field = document.getElementById(counter.dataset.counts);
    const limit = Number(field.dataset.limit);
    const show = () => {
      // characters as the server counts them, not UTF-16 units
      const length = [...field.value].length;
      counter.textContent = `${length.toLocaleString(locale)} / ${limit.toLocaleString(locale)}`;
      counter.classList.toggle("over", length > limit);
      counter.hidden = false;
    };
    field.addEventListener("input", show);
    show();
  }

  for (const message of all("[data-too-large]", form)) {
    form.addEventListener("change", ({ target: field }) => {
      if (field.id !== message.dataset.tooLarge) return;
      const isTooLarge = field.files.length > 0 && field.files[0].size > Number(field.dataset.limit);
      message.hidden = !isTooLarge;
      if (isTooLarge) field.value = "";
    });
  }

  scripted(form);
  keep(form);
}

// Sends it without leaving the page: whoever refuses, and whatever cuts the line, all that was
// put in is still there, a chosen file too.
function keep(form) {
  const button = form.querySelector("[data-stop]");
  const state = form.querySelector("[data-sending]");
  let sending = null;
  let made = null;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    // a second click would make a second note
    if (sending) return;
    // the browser's Stop came before the new page did
    if (made) return location.assign(made);
    sending = new AbortController();
    button.hidden = false;
    state.textContent = state.dataset.sending;
    form.querySelector("[data-alert]").hidden = true;
    let refusal = null;
    let text = form.dataset.lost;
    try {
      const { signal } = sending;
      const answer = await fetch(location.pathname, { method: "POST", body: new FormData(form), signal });
      made = answer.status === 201 ? answer.headers.get("Location") : null;
      if (!made) refusal = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch {
      if (sending.signal.aborted) text = form.dataset.stopped;
    }
    sending = null;
    button.hidden = true;
    if (made) {
      // for who comes back to this page: the note is sent
      form.reset();
      return location.assign(made);
    }
    state.textContent = "";
    const filled = refusal?.querySelector("form[data-stays]");
    if (filled) return replace(form, filled, refusal.title);
    const alert = form.querySelector("[data-alert]");
    alert.querySelector("strong").textContent = refusal?.querySelector("[data-trouble]")?.textContent ?? text;
    alert.hidden = false;
    document.title = form.dataset.errorTitle;
    alert.focus();
  });
  button.addEventListener("click", () => sending?.abort());
  // who comes back to a page that the browser has kept writes another note
  addEventListener("pageshow", () => {
    made = null;
    state.textContent = "";
  });
}

// Puts the form that came back into the place of this one, whose file it cannot have.
function replace(form, filled, title) {
  const { file } = form.elements;
  const empty = filled.elements.file;
  for (const name of ["aria-invalid", "aria-describedby", "autofocus"]) {
    file.toggleAttribute(name, false);
    if (empty.hasAttribute(name)) file.setAttribute(name, empty.getAttribute(name));
  }
  form.replaceWith(document.adoptNode(filled));
  empty.replaceWith(file);
  document.title = title;
  help(filled);
  filled.querySelector("[autofocus]")?.focus();
}

for (const form of all("form[data-stays]")) help(form);

// Until the only copy of a link was copied, leaving its page asks
for (const field of all("[data-only-copy]")) {
  const ask = (event) => event.preventDefault();
  const done = () => removeEventListener("beforeunload", ask);
  addEventListener("beforeunload", ask);
  field.addEventListener("copied", done);
  field.addEventListener("copy", () => {
    if (field.selectionEnd - field.selectionStart === field.value.length) done();
  });
  // who burns the note needs no link to it
  for (const form of all("form[data-burns]")) form.addEventListener("submit", done);
}

for (const button of all("button[data-close]")) {
  const details = button.closest("details");
  button.hidden = false;
  button.addEventListener("click", () => {
    details.open = false;
    details.querySelector("summary").focus();
  });
}
