// What the pages can do better with a script. Each works without it. Nothing is stored,
// nothing is sent anywhere but by the page's own forms, and all words are the page's.
"use strict";

const all = (selector) => document.querySelectorAll(selector);

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
    form.submit();
  } else if (change && /^b[nr]1_/.test(fragment)) {
    // Another link, put into the address of a page that one has led to already. For the
    // browser that is the same page: "?" makes it ask for the form.
    location.replace(`?${location.hash}`);
  }
}
followFragment();
addEventListener("hashchange", followFragment);

// Without a script a revealed file is the answer itself; with one it comes in a page.
for (const form of all("form[data-scripted]")) {
  const field = document.createElement("input");
  Object.assign(field, { type: "hidden", name: "scripted", value: "yes" });
  form.append(field);
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
    button.textContent = button.dataset.done;
    setTimeout(() => (button.textContent = words), 2000);
  });
}

for (const counter of all("[data-counts]")) {
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

for (const message of all("[data-too-large]")) {
  const field = document.getElementById(message.dataset.tooLarge);
  field.addEventListener("change", () => {
    const isTooLarge = field.files.length > 0 && field.files[0].size > Number(field.dataset.limit);
    message.hidden = !isTooLarge;
    if (isTooLarge) field.value = "";
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

// A second click would create a second note, or look as if the first reader were another
for (const form of all("form")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}
addEventListener("pageshow", () => all("form").forEach((form) => delete form.dataset.sent));
