"use strict";
// Quicker hints than the browser's own, and a button to copy a command. The page is complete without it.
(() => {
  const hint = document.createElement("div");
  hint.id = "hint";
  hint.hidden = true;
  document.body.append(hint);

  // The texts move to an attribute, so that the browser does not show them a second time.
  for (const title of document.querySelectorAll("svg title")) {
    const owner = title.parentElement;
    if (owner.tagName !== "svg") owner.dataset.hint = title.textContent;
    title.remove();
  }
  for (const cell of document.querySelectorAll(".seeds [title]")) {
    cell.dataset.hint = cell.title;
    cell.removeAttribute("title");
  }

  const show = (event) => {
    const owner = event.target.closest?.("[data-hint]");
    hint.hidden = !owner;
    if (!owner) return;
    if (hint.textContent !== owner.dataset.hint) hint.textContent = owner.dataset.hint;
    const { width, height } = hint.getBoundingClientRect();
    const right = event.clientX + 14 + width < innerWidth;
    const below = event.clientY + 16 + height < innerHeight;
    hint.style.left = `${Math.max(4, right ? event.clientX + 14 : event.clientX - 14 - width)}px`;
    hint.style.top = `${Math.max(4, below ? event.clientY + 16 : event.clientY - 12 - height)}px`;
  };
  document.addEventListener("pointermove", show, { passive: true });
  document.addEventListener("pointerdown", show, { passive: true });
  document.addEventListener("scroll", () => { hint.hidden = true; }, { passive: true });

  if (!navigator.clipboard) return;
  for (const box of document.querySelectorAll(".command")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(box.querySelector("code").textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Not allowed";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    box.append(button);
  }
})();
